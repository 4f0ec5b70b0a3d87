"""
Bounds on what strangers can have us do elsewhere: connections that we make to other servers, and keys that we have
verified there.

Who has a domain with all names below it can send keys, or ask questions, from as many domains as it likes; for each of
them another server has to be called. Whatever comes of that has to leave room for what is sent from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from xmppd.ixmppd import IClock
from xmppd.stream.outgoing import OutgoingStream
from xmppd.wire.addresses import counted
from xmppd.wire.errors import StanzaCondition, StanzaError

CALLS: Final = 4000
"""How many connections that we have made may be open."""

SILENT_SECONDS: Final = 10
"""After how much silence one may have to make room for another."""

VERIFYING: Final = 250
"""How many keys may be verified at a time; fewer than streams may be on their way."""

VERIFYING_FROM: Final = 50
"""How many of them from one address."""


class Calls:
    """
    The connections that we have made.

    @ivar streams: their streams.
    """

    def __init__(self, clock: IClock) -> None:
        self.streams: set[OutgoingStream] = set()
        self._clock = clock
        self._verifying: Counter[str] = Counter()

    def makeRoom(self) -> None:
        """
        If there are too many, close the one that has been silent for the longest.

        @raise StanzaError: none is.
        """
        if len(self.streams) < CALLS:
            return
        silent = min((each for each in self.streams if not each.acks.kept), key=lambda each: each.used, default=None)
        if silent is None or self._clock.seconds() - silent.used < SILENT_SECONDS:
            reason = "Too many other servers are connected to."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, reason)
        silent.close()

    def verify(self, address: str, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """
        Have a key verified that has come from an address.

        Fails with StanzaError: there is no room for that.
        """
        source = counted(address)
        if self._verifying.total() >= VERIFYING or self._verifying[source] >= VERIFYING_FROM:
            work.close()
            return fail(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many keys are being verified."))
        self._verifying[source] += 1

        def done(result: Any) -> Any:
            self._verifying[source] -= 1
            self._verifying += Counter()  # forgets who has none
            return result

        return Deferred.fromCoroutine(work).addBoth(done)
