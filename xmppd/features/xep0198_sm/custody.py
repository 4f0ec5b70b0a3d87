"""
The custody of messages for clients without stream management.

Such a client never says what it has. The best that can be known is that its kernel has acknowledged every byte: when
nothing of its stream is unsent any more, everything it was sent before has arrived at its machine. A client whose
messages are at risk is looked at now and then until that is so. What its senders can't wait for is written to the
spool, held by a token of this session that no crash survives: after a crash it is an offline message. What is at risk
when the connection is lost is written at once, since what comes next for the account is, and must not come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.features.xep0198_sm.queue import outlasts
from xmppd.features.xep0198_sm.settlement import tidy
from xmppd.ixmppd import ICustody, IHost, ISession, SpooledMessage, StoreUnavailable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.sm")

LOOKS: Final = (0.0, 0.02, 0.1, 0.5, 2.0, 5.0)
"""Seconds between looks at how much is unsent; the last repeats."""

LOOK_INTERVAL: Final = 0.0005
"""Seconds for which the last look is still good: looking takes a system call, and many custodies may ask."""

SLOT: Final = "xep0198_sm custody"


@implementer(ICustody)
class Settled:
    """The custody of what needs none."""

    __slots__ = ()

    def message(self) -> None:
        """See L{ICustody}."""

    def stored(self, id: int) -> None:
        """See L{ICustody}."""

    def failed(self) -> None:
        """See L{ICustody}."""

    def line(self) -> Sequence[ICustody]:
        """See L{ICustody}."""
        return ()


SETTLED: Final = Settled()


@implementer(ICustody)
class PlainCustody:
    """
    The custody of one message for a client without stream management.

    @ivar stanza: the message.
    @ivar row: where the spool has it, or None.
    @ivar done: whether the client has it, or its sender knows that it may not.
    """

    __slots__ = ("_ledger", "_stamp", "done", "row", "stanza")

    def __init__(self, ledger: Ledger, stanza: Stanza, stamp: float) -> None:
        self._ledger = ledger
        self._stamp = stamp
        self.stanza = stanza
        self.row: int | None = None
        self.done = False

    @property
    def kept(self) -> bool:
        """Whether the account has the message, or will have it, by this."""
        return self.done or self.row is not None or not self._ledger.over

    def message(self) -> SpooledMessage | None:
        """See L{ICustody}."""
        if not self.done and self.row is None and not self._ledger.over:
            self._ledger.look()
        return None if self.done or self.row is not None else self.record()

    def record(self) -> SpooledMessage:
        """The message as it is stored."""
        ledger = self._ledger
        return SpooledMessage(ledger.bare, self.stanza.raw, self._stamp, None if ledger.over else ledger.token)

    def stored(self, id: int) -> None:
        """See L{ICustody}."""
        if self.done or self.row is not None:
            self._ledger.discard([id])
            return
        self.row = id
        if self._ledger.over:
            self._ledger.release()

    def failed(self) -> None:
        """See L{ICustody}."""
        self._ledger.late = True

    def line(self) -> Sequence[ICustody]:
        """See L{ICustody}."""
        return self._ledger.line()


class Ledger:
    """
    The open custodies of one session.

    @ivar bare: the account.
    @ivar token: what its messages are held by.
    @ivar over: whether the session has ended.
    @ivar late: whether something could not be written, so that messages are written together, in order.
    """

    def __init__(self, host: IHost, session: ISession, token: str) -> None:
        self._host = host
        self._session = session
        self._stream = session.stream
        self.bare = session.bare
        self.token = token
        self.over = False
        self.late = False
        self._open: list[PlainCustody] = []
        self._looks = 0
        self._looked = 0.0
        self._next: IDelayedCall | None = None

    def open(self, stanza: Stanza) -> PlainCustody:
        """Take custody of a message that is about to be transmitted."""
        custody = PlainCustody(self, stanza, self._host.clock.seconds())
        self._open.append(custody)
        self._looks = 0
        if self._next is None:
            self._next = self._host.clock.callLater(0, self._lookAgain)
        return custody

    def look(self) -> None:
        """If nothing is unsent, all is settled. Must not be asked between taking custody and transmitting."""
        stream, now = self._session.stream, self._host.clock.seconds()
        if not self._open or now - self._looked < LOOK_INTERVAL:
            return
        self._looked = now
        if stream is None or stream.closed or stream.unsent():
            return
        self._settle()

    def _settle(self) -> Deferred[None] | None:
        """The client has everything. Fires after the first attempt to remove what the spool has, if anything."""
        settled, self._open = self._open, []
        rows = []
        for custody in settled:
            custody.done = True
            if custody.row is not None:
                rows.append(custody.row)
        return self.discard(rows) if rows else None

    def unsettled(self) -> frozenset[bytes]:
        """The messages in custody, as they were sent."""
        return frozenset(each.stanza.raw for each in self._open)

    def line(self) -> Sequence[ICustody]:
        """What has to be written together, in order (L{ICustody.line})."""
        unwritten = [each for each in self._open if each.row is None] if self.late else []
        self.late = bool(unwritten)
        return unwritten

    def precede(self, sender: str) -> None:
        """Something of this sender is about to be stored for the account: write first what the client may not have."""
        self.look()
        unwritten = [each for each in self._open if each.row is None and each.stanza.attrs.get("from") == sender]
        if unwritten:
            self._write(unwritten)

    def _write(self, custodies: Sequence[PlainCustody]) -> Deferred[None]:
        """Write what has no row; who has promised something for it waits until that is done."""
        done: Deferred[None] = Deferred()
        messages = []
        for each in custodies:
            messages.append(each.record())
            if each.stanza.promise is not None:
                each.stanza.promise.append(done)
        maybeDeferred(self._host.spool.add, messages).addBoth(self._written, custodies, self.over, done)
        return done

    def _written(self, rows: Any, custodies: Sequence[PlainCustody], over: bool, done: Deferred[None]) -> None:
        if isinstance(rows, Failure):
            if rows.check(StoreUnavailable) is None:
                log.failure("storing messages failed", rows)
            self.late = True
            if over:
                self._refuse(custodies)
        else:
            for custody, row in zip(custodies, rows, strict=True):
                if over and not custody.done and custody.row is None:
                    custody.row = row  # an offline message, which nobody holds
                else:
                    custody.stored(row)
        done.callback(None)

    def _refuse(self, custodies: Sequence[PlainCustody]) -> None:
        """The store does not keep what the session has left: as with all that is for somebody who is away."""
        for each in custodies:
            if not each.done and each.row is None:
                each.done = True
                self._host.router.bounce(each.stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))

    def _lookAgain(self) -> None:
        self._next = None
        self.look()
        if self._open and not self.over:
            self._looks = min(self._looks + 1, len(LOOKS) - 1)
            self._next = self._host.clock.callLater(LOOKS[self._looks], self._lookAgain)

    def discard(self, rows: list[int]) -> Deferred[None]:
        """Rows of the spool are not needed any more; fires after the first attempt to remove them."""
        return self._tidy(lambda: self._host.spool.remove(rows))

    def release(self) -> Deferred[None]:
        """What the spool holds for the session becomes offline messages; fires after the first attempt."""
        return self._tidy(lambda: self._host.spool.release(self.token))

    def _tidy(self, act: Callable[[], Deferred[Any]]) -> Deferred[None]:
        first: Deferred[None] = Deferred()
        work = Deferred.fromCoroutine(tidy(self._host.clock, act, first))
        work.addErrback(lambda failure: log.failure("the spool could not be tidied up", failure))
        return first

    def ended(self) -> Deferred[None] | None:
        """
        The session is over. Fires, if there is something to wait for, when its messages are offline messages, or gone
        with their row if the client has got them: who closes a stream has acknowledged what came before, and would get
        it twice otherwise.
        """
        self.over = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._open and self._stream is not None and not self._stream.unsent():
            return self._settle()
        left, self._open = self._open, []
        unwritten = [custody for custody in left if custody.row is None]
        acts = [self.release()] if len(unwritten) < len(left) else []
        if unwritten:
            acts.append(self._write(unwritten))
        return gatherResults(acts).addCallback(_nothing) if acts else None


def _nothing(_: object) -> None:
    """Only the moment counts."""


def unsettled(session: ISession) -> frozenset[bytes]:
    """The messages that are in custody for a session, as they were sent."""
    ledger: Ledger | None = session.slots.get(SLOT)
    return frozenset() if ledger is None else ledger.unsettled()


class Custodies:
    """Takes custody of messages for the plain sessions of a host; what C{IHost.custody} is."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    def __call__(self, session: ISession, stanza: Stanza) -> ICustody:
        """The custody of a stanza that is about to be transmitted."""
        if stanza.kind != "message" or session.account.anonymous or not outlasts(stanza):
            return SETTLED
        ledger: Ledger | None = session.slots.get(SLOT)
        if ledger is None:
            ledger = session.slots[SLOT] = Ledger(self._host, session, self._host.entropy.token())
        return ledger.open(stanza)
