"""
Making good on a promise: everything that must be true before the server says that it has handled a message.

Theory of operation: whoever takes a message adds to its C{promise} what remains to be settled: Deferreds, and
custodies (L{ICustody}) of recipients. L{secure} waits for the Deferreds, gives the recipients a moment to settle their
custodies by themselves (that costs nothing), and writes what is left to the store, all in one transaction. Afterwards
it looks again, since a list may have grown. When the store can't be written it tries again with growing pauses; a
message that can't be secured then is answered with C{wait}/C{resource-constraint}, and its sender knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IClock, ICustody, IHost, SpooledMessage, StoreUnavailable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.sm")

TURNS: Final = 2
"""How many turns of the reactor recipients get before their messages are written."""

PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to write. Then the senders are told."""

MENDING: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts at what only tidies up; the last repeats."""

TIDYING: Final = 100
"""How many attempts there are at that. What is not tidied up then, the next start finds."""

Pair = tuple[ICustody, SpooledMessage]
Write = Callable[[Sequence[SpooledMessage]], "Deferred[Sequence[int]]"]


def later(clock: IClock, seconds: float) -> Deferred[None]:
    """A Deferred that fires after some time; 0 seconds are a turn of the reactor."""
    waiting: Deferred[None] = Deferred()
    clock.callLater(seconds, waiting.callback, None)
    return waiting


def unfired(stanza: Stanza) -> list[Deferred[object]]:
    """
    The Deferreds a promise still waits for; those that have fired are taken out, and a failure breaks the promise.

    @raise StoreUnavailable: what somebody waited for has failed.
    """
    waiting: list[Deferred[object]] = []
    promise = stanza.promise
    if not promise:
        return waiting
    for item in tuple(promise):
        if not isinstance(item, Deferred):
            continue
        if not item.called or item.paused:
            waiting.append(item)
            continue
        promise.remove(item)
        if isinstance(item.result, Failure):
            item.addErrback(_noted)
            raise StoreUnavailable
    return waiting


def _noted(failure: Failure) -> None:
    """Log what isn't the store's word that it can't."""
    if failure.check(StoreUnavailable) is None:
        log.failure("what a message waited for has failed", failure)


def unsettled(stanza: Stanza) -> list[Pair]:
    """The custodies of a promise that the store has to take over."""
    left = []
    for item in stanza.promise or ():
        if isinstance(item, Deferred):
            continue
        message = item.message()
        if message is not None:
            left.append((item, message))
    return left


def lined(left: Sequence[Pair]) -> list[Pair]:
    """
    What has to be stored, and what has to be stored with it: the store's order is the order in which messages come
    after a crash, so one that failed must not be stored behind another of its sender.
    """
    found: list[Pair] = []
    seen: set[int] = set()
    for custody, message in left:
        if id(custody) in seen:
            continue
        for each in custody.line():
            earlier = each.message()
            if earlier is not None and id(each) not in seen:
                seen.add(id(each))
                found.append((each, earlier))
        if id(custody) not in seen:
            seen.add(id(custody))
            found.append((custody, message))
    return found


def settled(stanza: Stanza) -> bool:
    """Whether nothing is left to do for a stanza."""
    for item in stanza.promise or ():
        if isinstance(item, Deferred) or item.message() is not None:
            return False
    return True


def _watch(waiting: Deferred[object]) -> Deferred[None]:
    """A Deferred that fires, without the result, when another one does; the other keeps its result."""
    fired: Deferred[None] = Deferred()

    def passing(result: object) -> object:
        fired.callback(None)
        return result

    waiting.addBoth(passing)
    return fired


class Settlement:
    """
    Secures a batch of stanzas.

    @ivar stanzas: those of which something is still to be settled.
    """

    def __init__(self, host: IHost, stanzas: Iterable[Stanza], write: Write, anyway: bool = False) -> None:
        """
        @param write: writes messages in one transaction.
        @param anyway: whether it is to be called once even if there is no message to write.
        """
        self._host = host
        self.stanzas = list(stanzas)
        self._write = write
        self._anyway = anyway

    async def secure(self) -> None:
        """Return when every stanza is settled, or its sender has been told that it can't be."""
        turns = tries = 0
        while True:
            await self._fired()
            left = [pair for stanza in self.stanzas for pair in unsettled(stanza)]
            if not left and not self._anyway:
                return
            if left and turns < TURNS:
                turns += 1
                await later(self._host.clock, 0)
                continue
            left = lined(left)
            try:
                rows = await self._write([message for _, message in left])
            except StoreUnavailable:
                for custody, _ in left:
                    custody.failed()
                if tries == len(PAUSES):
                    self._giveUp()
                    return
                await later(self._host.clock, PAUSES[tries])
                tries += 1
                continue
            self._anyway = False
            for (custody, _), row in zip(left, rows, strict=True):
                custody.stored(row)
            self.stanzas = [stanza for stanza in self.stanzas if not settled(stanza)]

    async def _fired(self) -> None:
        """Wait until all Deferreds of all promises have fired."""
        for stanza in tuple(self.stanzas):
            try:
                waiting = unfired(stanza)
                while waiting:
                    await _watch(waiting[0])
                    waiting = unfired(stanza)
            except StoreUnavailable:
                self.stanzas.remove(stanza)
                self.refuse(stanza)

    def _giveUp(self) -> None:
        for stanza in self.stanzas:
            if not settled(stanza):
                self.refuse(stanza)

    def refuse(self, stanza: Stanza) -> None:
        """Tell the sender of a message that the server can't answer for it."""
        error = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The message could not be stored. Try again later.")
        if stanza.kind == "message":
            self._host.router.bounce(stanza, error)


async def tidy(clock: IClock, act: Callable[[], Deferred[Any]], first: Deferred[None] | None = None) -> None:
    """
    Do something to the store that may wait, again and again until it succeeds or there is no hope.

    @param first: fires after the first attempt.
    """
    for attempt in range(TIDYING):
        tried = maybeDeferred(act)
        if first is not None and not attempt:
            # A callback, and no "finally" around what waits: that would also run when an abandoned coroutine is
            # collected as garbage, and wake others that are.
            tried.addBoth(_fire, first)
        try:
            await tried
            return
        except StoreUnavailable:
            pass
        await later(clock, MENDING[min(attempt, len(MENDING) - 1)])
    log.error("the store could not be tidied up; the next start will do it")


def _fire(result: Any, first: Deferred[None]) -> Any:
    first.callback(None)
    return result
