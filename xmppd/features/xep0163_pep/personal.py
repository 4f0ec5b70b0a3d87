"""
What other features may do with accounts' nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.features.xep0163_pep.profile import PersonalProfile
from xmppd.ixmppd import IPersonalNodes, NodeItem, Request
from xmppd.pubsub.requests import PubSub
from xmppd.wire.element import Element


@implementer(IPersonalNodes)
class PersonalNodes:
    """See L{IPersonalNodes}."""

    def __init__(self, service: PubSub, profile: PersonalProfile) -> None:
        self._service = service
        self._profile = profile

    def configure(self, node: str, values: Mapping[str, tuple[str, ...]]) -> None:
        """See L{IPersonalNodes}."""
        self._profile.configure(node, values)

    def follow(
        self,
        node: str,
        published: Callable[[Request, NodeItem], Any],
        retracted: Callable[[Request, Sequence[str]], Any] | None = None,
        emptied: Callable[[Request], Any] | None = None,
    ) -> None:
        """See L{IPersonalNodes}."""
        self._service.publishing.published.setdefault(node, []).append(published)
        if retracted is not None:
            self._service.publishing.retracted.setdefault(node, []).append(retracted)
        if emptied is not None:
            self._service.owning.emptied.setdefault(node, []).append(emptied)

    def publish(
        self, request: Request, node: str, item: Element, values: Mapping[str, tuple[str, ...]] | None = None
    ) -> Deferred[None]:
        """See L{IPersonalNodes}."""
        return Deferred.fromCoroutine(self._service.publishing.publishAs(request, node, item, values or {}))

    def retract(self, request: Request, node: str, ids: Sequence[str]) -> Deferred[None]:
        """See L{IPersonalNodes}."""
        return Deferred.fromCoroutine(self._service.publishing.retractAs(request, node, ids))

    def items(self, account: str, node: str) -> Deferred[Sequence[NodeItem]]:
        """See L{IPersonalNodes}."""
        return Deferred.fromCoroutine(self._items(account, node))

    async def _items(self, account: str, node: str) -> Sequence[NodeItem]:
        found = await self._service.shelf.find(account, node)
        if found is None:
            return ()
        items = await self._service.shelf.newest(found, self._profile.bounds.items)
        return items[::-1]

    def item(self, account: str, node: str, id: str) -> Deferred[NodeItem | None]:
        """See L{IPersonalNodes}."""
        found = self._service.shelf.store.itemsById(account, node, [id])
        return found.addCallback(lambda items: items[0] if items else None)

    def accessModel(self, account: str, node: str) -> Deferred[str | None]:
        """See L{IPersonalNodes}."""
        found = self._service.shelf.store.get(account, node)
        return found.addCallback(lambda it: None if it is None else self._service.shelf.configOf(it).accessModel)
