"""
What becomes of nodes, items, affiliations and subscriptions of somebody who goes for good (XEP-0175 section 3).

A guest's items are retracted wherever it has published, and everybody who gets the node's events is told; its
subscriptions end, its affiliations are taken back, and a node that only the guest owned is deleted. The nodes of the
leaving account itself are deleted, whoever it is. All that can be done twice: what is gone is not found again.
"""

from __future__ import annotations

from collections.abc import Callable

from xmppd.ixmppd import Departure, NodeSubscription
from xmppd.pubsub.notices import retractEvent
from xmppd.pubsub.owning import Owning
from xmppd.pubsub.shelf import FEW, Node, Shelf


class Departing:
    """
    Takes leave for the nodes of one profile.

    @ivar deleting: whether a node that only a guest owned is deleted, or else stays with whoever reigns.
    """

    def __init__(self, shelf: Shelf, owning: Owning, serves: Callable[[str], bool], deleting: bool = True) -> None:
        """
        @param serves: whether the nodes of an owner are these.
        """
        self._shelf = shelf
        self._owning = owning
        self._serves = serves
        self.deleting = deleting

    async def farewell(self, departure: Departure) -> None:
        """See C{hooks.farewell}."""
        bare = departure.bare
        for owner, name in departure.at("node"):
            if owner != bare and self._serves(owner):
                await self._leave(owner, name, bare)
        if self._serves(bare):
            for record in await self._shelf.records(bare):
                await self._owning.deleteNow(bare, record.node)

    async def _leave(self, owner: str, name: str, bare: str) -> None:
        """Take a guest out of somebody else's node."""

        async def work() -> bool:
            node = await self._shelf.find(owner, name)
            if node is None:
                return False
            owners = node.owners()
            if self.deleting and bare in owners and owners == [bare] and not self._shelf.profile.reigns(owner, owner):
                return True
            await self._retract(node, bare)
            if bare in node.affiliations:
                await self._shelf.store.setAffiliations(owner, name, {bare: "none"})
            for each in node.of(bare):
                await self._shelf.store.setSubscription(owner, name, NodeSubscription(each.jid, each.subid, "none"))
            self._shelf.profile.retold(owner)
            return False

        if await self._shelf.alone(owner, name, work):
            await self._owning.deleteNow(owner, name)

    async def _retract(self, node: Node, bare: str) -> None:
        """Delete the guest's items, few at a time, and tell."""
        before: str | None = None
        while True:
            some = await self._shelf.store.items(node.owner, node.name, FEW, before)
            ids = [item.id for item in some if item.publisher == bare]
            left = [item.id for item in some if item.publisher != bare]
            gone = await self._shelf.store.retract(node.owner, node.name, ids) if ids else ()
            if gone and node.config.notifyRetract:
                await self._owning.tell(node, retractEvent(node, gone))
            if len(some) < FEW:
                return
            before = left[-1] if left else before
