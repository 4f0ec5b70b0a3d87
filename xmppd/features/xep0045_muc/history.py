"""
The last things said in a room, for those who enter later (sections 7.2.13 and 7.2.14).

Theory of operation: a message is kept as it was given to the occupants. With its delay element it is encoded when
somebody first asks, and never again. Both the number and the octets are bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xmppd.features.xep0045_muc.encoding import DELAY, Fan, delay
from xmppd.wire import ns
from xmppd.wire.dates import dateTime, fromDateTime
from xmppd.wire.element import Element
from xmppd.wire.stanza import BODY, Stanza

STORE = f"{ns.HINTS} store"
NO_STORE = frozenset(f"{ns.HINTS} {hint}" for hint in ("no-store", "no-permanent-store", "no-storage"))
LONGEST_NUMBER = 15


class Entry:
    """
    Something said.

    @ivar id: its stanza id, or empty if it has none.
    @ivar bare: real bare JID of who said it, or empty once that account is gone.
    @ivar stamp: when, in seconds since the epoch.
    """

    __slots__ = ("_delayed", "_room", "bare", "characters", "fan", "id", "octets", "stamp")

    def __init__(self, room: str, id: str, bare: str, stamp: float, fan: Fan) -> None:
        self._room = room
        self.id = id
        self.bare = bare
        self.stamp = stamp
        self.fan = fan
        self.octets = len(fan.tail)
        self._delayed: Fan | None = None
        self.characters = 0

    @property
    def delayed(self) -> Fan:
        """The message as it is told later."""
        if self._delayed is None:
            element = delay(self._room, dateTime(self.stamp, fraction=True))
            self._delayed = Fan(self.fan.stanza.extended(element, (DELAY,)))
            self.characters = len(self._delayed.tail.decode())
        return self._delayed


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    How much history somebody wants; None: no word about it. All conditions hold together.

    @ivar characters: of the complete stanzas.
    @ivar since: seconds since the epoch.
    """

    characters: int | None = None
    stanzas: int | None = None
    seconds: int | None = None
    since: float | None = None


def wanted(element: Element | None) -> Wanted:
    """What a C{<history/>} asks for; what can't be read counts as not said."""
    if element is None:
        return Wanted()
    since = None
    try:
        since = fromDateTime(element.get("since", "") or "")
    except (ValueError, OverflowError):
        pass
    characters, stanzas, seconds = (_number(element.get(name)) for name in ("maxchars", "maxstanzas", "seconds"))
    return Wanted(characters, stanzas, seconds, since)


def _number(text: str | None) -> int | None:
    if text is None or len(text) > LONGEST_NUMBER or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def isKept(stanza: Stanza) -> bool:
    """Whether a message belongs into the history: it says something, and doesn't ask to be forgotten (XEP-0334)."""
    names = stanza.childNames
    return (BODY in names or STORE in names) and NO_STORE.isdisjoint(names)


class History:
    """
    The history of one room.

    @ivar authors: how many of its messages are by whom, by bare JID.
    """

    __slots__ = ("_entries", "_mention", "_most", "_octets", "_used", "authors")

    def __init__(self, most: int, octets: int, mention: Callable[[str], None] = lambda bare: None) -> None:
        """
        @param most: messages.
        @param octets: of all together.
        @param mention: told whenever somebody has become an author, or is one no more.
        """
        self._most = most
        self._octets = octets
        self._used = 0
        self._mention = mention
        self._entries: deque[Entry] = deque()
        self.authors: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Keep one more; the oldest go."""
        if entry.octets > self._octets or not self._most:
            return
        self._entries.append(entry)
        self._used += entry.octets
        count = self.authors[entry.bare] = self.authors.get(entry.bare, 0) + 1
        if count == 1:
            self._mention(entry.bare)
        while len(self._entries) > self._most or self._used > self._octets:
            self._gone(self._entries.popleft())

    def _gone(self, entry: Entry) -> None:
        """One message less."""
        self._used -= entry.octets
        left = self.authors.get(entry.bare, 0) - 1
        if left > 0:
            self.authors[entry.bare] = left
        elif self.authors.pop(entry.bare, None) is not None:
            self._mention(entry.bare)

    def find(self, id: str) -> Entry | None:
        """The message with that stanza id."""
        return next((entry for entry in self._entries if entry.id == id), None) if id else None

    def remove(self, entry: Entry) -> None:
        """Forget one (XEP-0424, XEP-0425)."""
        self._entries.remove(entry)
        self._gone(entry)

    def disown(self, bare: str) -> None:
        """An account is gone; what it said stays, and is nobody's."""
        if self.authors.pop(bare, None) is not None:
            for entry in self._entries:
                if entry.bare == bare:
                    entry.bare = ""

    def pick(self, wish: Wanted, most: int, start: int, now: float) -> list[Fan]:
        """
        What to send, oldest first: the latest that meet all conditions.

        @param most: messages that the room allows.
        @param start: characters that each stanza gets for its receiver's address.
        """
        limit = most if wish.stanzas is None else min(most, wish.stanzas)
        oldest = max(now - wish.seconds if wish.seconds is not None else 0.0, wish.since or 0.0)
        picked = list(self._latest(limit, oldest, wish.characters, start))
        picked.reverse()
        return picked

    def _latest(self, limit: int, oldest: float, characters: int | None, start: int) -> Iterator[Fan]:
        left = characters
        for count, entry in enumerate(reversed(self._entries)):
            if count >= limit or entry.stamp < oldest or (left is not None and left <= 0):
                return
            fan = entry.delayed
            if left is not None:
                left -= entry.characters + start
                if left < 0:
                    return
            yield fan
