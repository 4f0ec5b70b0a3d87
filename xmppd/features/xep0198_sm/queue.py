"""
The queue of what a client has been sent and has not acknowledged (XEP-0198 section 4). No clock, no stream, no store.

Theory of operation: numbers count modulo 2**32. Between C{acked}, the last number the client has acknowledged, and
C{sent}, the last that was given out, there is exactly one entry for each number, in order. An acknowledgement C{h} is
good if it lies in that range, both ends included; then it settles as many entries at the front as it is ahead of
C{acked}. Anything else is further than what was sent (L{HandledCountTooHigh}) or behind what was acknowledged before
(L{HandledCountTooLow}), told apart by which is nearer.

After a crash the server doesn't know how many stanzas it had sent: only messages were stored. Then the queue is
I{adrift}: its entries keep the numbers they had, new ones get none, and L{Queue.anchor} takes the client's word.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from zope.interface import implementer

from xmppd.ixmppd import ICustody, ISession, SpooledMessage
from xmppd.wire import ns
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import BODY, Stanza

MASK: Final = 0xFFFFFFFF
HALF: Final = 1 << 31
MODULUS: Final = 1 << 32

NOT_STORED_TYPES: Final = frozenset({"groupchat", "headline", "error"})
"""Types of messages that are not kept for somebody who is away (RFC 6121 section 8.5.2.2)."""

FLEETING: Final = frozenset(
    [f"{ns.CHAT_STATES} {state}" for state in ("active", "composing", "paused", "inactive", "gone")]
    + [f"{ns.CLIENT} thread", f"{ns.HINTS} no-store", f"{ns.HINTS} no-permanent-store", f"{ns.HINTS} no-copy"]
)
"""Content that is worth nothing a moment later, and what stands beside it."""

COPIES: Final = frozenset([f"{ns.CARBONS} sent", f"{ns.CARBONS} received", f"{ns.ARCHIVE} result"])
"""Content of a copy (XEP-0280, XEP-0313), which nobody but the client it was made for wants."""

NOT_STORED: Final = COPIES | {f"{ns.HINTS} {hint}" for hint in ("no-store", "no-permanent-store", "no-storage")}
"""Content that says a message is not to be kept for somebody who is away (XEP-0334), or is a copy."""

STRETCH: Final = 5
"""How many times as much may wait for a client that can't have answered yet."""

ANSWERING_SECONDS: Final = 10.0
"""For how long a client that was asked can't have answered yet: a slow line, and a crowd that comes at once."""

_NUMBER = re.compile("[0-9]{1,10}")


def mostOctets(session: ISession) -> int:
    """How much may wait for the client of a session: less for a guest."""
    most: int = session.host.limits.managementBytes
    guests = session.host.guests
    return min(most, guests.allowed.waitingBytes) if session.account.anonymous and guests is not None else most



class HandledCountTooHigh(Exception):
    """
    More was acknowledged than was sent (section 6).

    @ivar h: what the client said.
    @ivar sent: how many it was sent.
    """

    def __init__(self, h: int, sent: int) -> None:
        super().__init__(h, sent)
        self.h = h
        self.sent = sent

    def toStreamError(self) -> StreamError:
        """The error that ends the stream."""
        return StreamError(
            StreamCondition.UNDEFINED_CONDITION,
            f"You acknowledged {self.h} stanzas, but I only sent you {self.sent} so far.",
            application=(
                f"<handled-count-too-high xmlns='{ns.STREAM_MANAGEMENT}' h='{self.h}' send-count='{self.sent}'/>"
            ).encode(),
        )


class HandledCountTooLow(Exception):
    """Less was acknowledged than before."""


def number(text: str | None) -> int | None:
    """An C{xs:unsignedInt}, or None if it is not one."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    value = int(text)
    return value if value < MODULUS else None


def ahead(h: int, base: int) -> int:
    """How far C{h} is ahead of C{base}; negative if it is behind."""
    distance = (h - base) & MASK
    return distance if distance < HALF else distance - MODULUS


def outlasts(stanza: Stanza) -> bool:
    """Whether a message is kept for a recipient who is away, so that somebody has to answer for it."""
    if stanza.attrs.get("type") in NOT_STORED_TYPES:
        return False
    names = stanza.childNames
    if len(names) == 1:
        name = names[0]
        return name == BODY or (name not in FLEETING and name not in NOT_STORED)
    return NOT_STORED.isdisjoint(names) and not fleeting(stanza)


def fleeting(stanza: Stanza) -> bool:
    """Whether there is nothing in a message but a state of the conversation (XEP-0085)."""
    return FLEETING.issuperset(stanza.childNames)


class Keeper(Protocol):
    """
    Whose queue an entry stands in.

    @ivar bare: the recipient's account.
    @ivar token: what its messages are held by in the spool.
    """

    bare: str
    token: str

    def discard(self, row: int) -> None:
        """A row of the spool is not needed any more."""

    def strayed(self, row: int) -> None:
        """A row was written for somebody whose session has ended meanwhile."""

    def fallBehind(self) -> None:
        """Something could not be written."""

    def line(self) -> Sequence[Entry]:
        """What has to be written together, in order, since something could not be written."""


@implementer(ICustody)
class Entry:
    """
    One stanza in a queue; for a message, also the custody of it.

    @ivar number: its number.
    @ivar stamp: when it came, seconds since the epoch.
    @ivar row: where the spool has it, or None.
    @ivar done: whether the client has it.
    @ivar moved: whether the session has ended, and the stanza was given to somebody else.
    """

    __slots__ = ("done", "keeper", "moved", "number", "row", "stamp", "stanza")

    def __init__(self, keeper: Keeper, stanza: Stanza, number: int, stamp: float, row: int | None = None) -> None:
        self.keeper = keeper
        self.stanza = stanza
        self.number = number
        self.stamp = stamp
        self.row = row
        self.done = False
        self.moved = False

    @property
    def kept(self) -> bool:
        """Whether the account has the stanza, or will have it, by this."""
        return self.done or not self.moved

    def message(self) -> SpooledMessage | None:
        """See L{ICustody}."""
        if self.done or self.moved or self.row is not None:
            return None
        keeper = self.keeper
        return SpooledMessage(keeper.bare, self.stanza.raw, self.stamp, keeper.token, self.number)

    def stored(self, id: int) -> None:
        """See L{ICustody}."""
        if self.done or self.row is not None:
            self.keeper.discard(id)
        elif self.moved:
            self.keeper.strayed(id)
        else:
            self.row = id

    def failed(self) -> None:
        """See L{ICustody}."""
        if self.message() is not None:
            self.keeper.fallBehind()

    def line(self) -> Sequence[Entry]:
        """See L{ICustody}."""
        return self.keeper.line()


class Queue:
    """
    What a client has not acknowledged yet.

    @ivar entries: one for each number, in order.
    @ivar sent: the last number given out.
    @ivar acked: the last number acknowledged.
    @ivar octets: the size of all entries.
    @ivar adrift: whether the numbers are those of a process that crashed.
    """

    __slots__ = ("acked", "adrift", "entries", "octets", "sent")

    def __init__(self, acked: int = 0) -> None:
        self.entries: deque[Entry] = deque()
        self.sent = acked
        self.acked = acked
        self.octets = 0
        self.adrift = False

    def add(self, keeper: Keeper, stanza: Stanza, stamp: float) -> Entry:
        """Give a stanza the next number; while the queue is adrift, none."""
        if not self.adrift:
            self.sent = (self.sent + 1) & MASK
            entry = Entry(keeper, stanza, self.sent, stamp)
        else:
            entry = Entry(keeper, stanza, 0, stamp)
        self.entries.append(entry)
        self.octets += len(stanza.raw)
        return entry

    def check(self, h: int) -> int:
        """
        How many entries an acknowledgement settles; for a queue that is adrift, how far it is ahead.

        @raise HandledCountTooHigh: more than were sent.
        @raise HandledCountTooLow: less than before.
        """
        count = ahead(h, self.acked)
        if count < 0:
            raise HandledCountTooLow(h)
        if count > len(self.entries) and not self.adrift:
            raise HandledCountTooHigh(h, self.sent)
        return count

    def ack(self, h: int) -> list[Entry]:
        """
        The client has everything up to C{h}.

        @return: the entries that this settles.
        @raise HandledCountTooHigh: it can't have.
        @raise HandledCountTooLow: it said otherwise before.
        """
        count = self.check(h)
        take = self.entries.popleft
        settled = [take() for _ in range(count)]
        for entry in settled:
            entry.done = True
            self.octets -= len(entry.stanza.raw)
        self.acked = h
        return settled

    def anchor(self, h: int) -> list[Entry]:
        """
        End being adrift: the client says how many it got before the crash. What has a number up to that is settled, the
        rest is numbered from there on.

        @return: the entries that this settles.
        """
        settled, left = [], []
        for entry in self.entries:
            if entry.number and ahead(entry.number, h) <= 0:
                entry.done = True
                settled.append(entry)
            else:
                left.append(entry)
        self.acked = self.sent = h
        self.octets = 0
        for entry in left:
            self.sent = entry.number = (self.sent + 1) & MASK
            self.octets += len(entry.stanza.raw)
        self.entries = deque(left)
        self.adrift = False
        return settled

    def clear(self) -> list[Entry]:
        """Take everything out."""
        entries = list(self.entries)
        self.entries.clear()
        self.octets = 0
        return entries

    def exceeds(self, entries: int, octets: int) -> bool:
        """Whether more waits than that."""
        return len(self.entries) > entries or self.octets > octets

    def where(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        """The entries for which C{wanted} is true, in order."""
        return [entry for entry in self.entries if wanted(entry)]
