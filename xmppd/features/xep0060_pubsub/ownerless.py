"""
What becomes of nodes whose only owner was removed.

The account's affiliations are gone with it, in one transaction; whoever takes the name later is nobody to its nodes.
Where users create nodes, a node that nobody owns any more is deleted, and its subscribers are told, as if its owner
had done so. Where only administrators create nodes, they are the service's, not a person's: they stay, and belong to
the administrators that there are.

Nodes are looked for some time after a removal, so that many removals cost one search; and at the start, since a crash
may have come in between.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IHost, Missing, StoreUnavailable
from xmppd.pubsub.requests import PubSub

PAUSE: Final = 1.0
"""How many seconds after a removal nodes without an owner are looked for."""

log = Logger(namespace="xmppd.pubsub")


class Ownerless:
    """
    Deletes the nodes of a service that have lost their last owner.

    @ivar deleting: whether it does; otherwise only the names of removed accounts are forgotten.
    """

    def __init__(self, host: IHost, service: PubSub, deleting: bool) -> None:
        self._host = host
        self._service = service
        self._deleting = deleting
        self._search: Any = None
        self._gone: set[str] = set()

    def removed(self, bare: str) -> None:
        """An account, or a guest, is gone: it may have written something after the store forgot it."""
        self._host.pubsub.forgetEntity(bare).addErrback(_failed)
        self._gone.add(bare)
        if self._search is None:
            self._search = self._host.clock.callLater(PAUSE, self.start)

    def start(self) -> None:
        """Look for nodes now."""
        self._search = None
        gone, self._gone = self._gone, set()
        Deferred.fromCoroutine(self._tidy(gone)).addErrback(_failed)

    def stop(self) -> None:
        """The server stops."""
        if self._search is not None:
            self._search.cancel()
            self._search = None

    async def _tidy(self, gone: set[str]) -> None:
        for bare in gone:  # whose last requests were still being answered then
            if await self._host.accounts.get(bare) is None:
                await self._host.pubsub.forgetEntity(bare)
        if not self._deleting:
            return
        for name in await self._host.pubsub.ownerless(self._host.domain):
            try:
                await self._service.owning.deleteOwnerless(self._host.domain, name)
            except Missing:
                continue  # somebody was faster
            log.info(
                "deleted a node without an owner: domain={domain} node={node!r}", domain=self._host.domain, node=name
            )


def _failed(failure: Failure) -> None:
    """What the store refuses now is done after the next removal, or the next start."""
    if failure.check(StoreUnavailable):
        log.error("what a removed account left at nodes could not be deleted")
    else:
        log.failure("deleting nodes without an owner failed", failure)
