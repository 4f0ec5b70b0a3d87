"""
Deleting what is too old (XEP-0313 section 3.2: the oldest first, and never in between).

Theory of operation: now and then all archives of a domain are visited, a few at a time with pauses, and of each the
messages that are too old are deleted in batches. So nobody waits long for the store because of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xmppd.ixmppd import IHost, StoreUnavailable

log = Logger(namespace="xmppd.archive")

DAY: Final = 86400.0
FIRST_SECONDS: Final = 60.0
"""How long after the start the first visit begins."""

ROUND_SECONDS: Final = 6 * 3600.0
"""The pause between two visits."""

PAUSE_SECONDS: Final = 0.05
BATCH: Final = 1000
"""Messages deleted, or archives visited, between two pauses."""

ARCHIVES: Final = 100

Owners = Callable[[str, int], Awaitable[Sequence[str]]]
"""Called with (after, limit): the next owners of archives, in order."""


class Retention:
    """Deletes what is too old in the archives of one domain."""

    def __init__(self, host: IHost, days: int, owners: Owners) -> None:
        """
        @param days: for how long messages are kept; 0 for ever.
        """
        self._host = host
        self._seconds = days * DAY
        self._owners = owners
        self._next: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin visiting."""
        if self._seconds:
            self._next = self._host.clock.callLater(FIRST_SECONDS, self._begin)

    def stop(self) -> None:
        """Visit nobody any more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _begin(self) -> None:
        Deferred.fromCoroutine(self._round()).addErrback(
            lambda failure: log.failure("deleting old messages failed", failure)
        ).addBoth(lambda _: self._again())

    def _again(self) -> None:
        if not self._stopped:
            self._next = self._host.clock.callLater(ROUND_SECONDS, self._begin)

    async def _round(self) -> None:
        after, deleted = "", 0
        try:
            while owners := await self._owners(after, ARCHIVES):
                for owner in owners:
                    deleted += await self._prune(owner)
                    if self._stopped:
                        return
                after = owners[-1]
                await self._pause()
        except StoreUnavailable:
            log.warn("old messages can't be deleted just now")
        if deleted:
            log.info("{count} messages in archives of {domain} were too old", count=deleted, domain=self._host.domain)

    async def _prune(self, owner: str) -> int:
        before, all = self._host.clock.seconds() - self._seconds, 0
        while deleted := await self._host.archives.prune(before, owner, BATCH):
            all += deleted
            await self._pause()
            if self._stopped:
                break
        return all

    def _pause(self) -> Deferred[None]:
        pause: Deferred[None] = Deferred()
        self._next = self._host.clock.callLater(PAUSE_SECONDS, pause.callback, None)
        return pause
