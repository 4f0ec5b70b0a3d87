"""
What owners do with a node: configure, purge, delete (XEP-0060 sections 8.2 to 8.5).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.logger import Logger

from xmppd.adapters import checkStorage
from xmppd.ixmppd import Request, StoreUnavailable
from xmppd.pubsub import configuration
from xmppd.pubsub.configuration import NodeConfig
from xmppd.pubsub.errors import refusal, unsupported
from xmppd.pubsub.names import EVENT, NODE_CONFIG, OWNER
from xmppd.pubsub.notices import Notices, simpleEvent
from xmppd.pubsub.publishing import KIND
from xmppd.pubsub.shelf import Node, Shelf, bareOf
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

log = Logger(namespace="xmppd.pubsub")

LONGEST_URI: Final = 2000
"""How many characters the address of a replacement may have."""

Emptied = Callable[[Request], Coroutine[Any, Any, None]]


class Owning:
    """
    Nodes, as their owners see them.

    @ivar emptied: called with the request when a node was purged or deleted, by name of the node.
    """

    def __init__(self, shelf: Shelf, notices: Notices) -> None:
        self._shelf = shelf
        self._notices = notices
        self._profile = shelf.profile
        self.emptied: dict[str, list[Emptied]] = {}

    # --- configuration

    async def configuration(self, request: Request, action: Element) -> Element:
        """The form of a node's configuration (section 8.2.1)."""
        node = await self._owned(request, action)
        form = configuration.toForm(node.config, self._profile.bounds)
        return Element("pubsub", OWNER, {}, (Element("configure", OWNER, {"node": node.name}, (form,)),))

    async def default(self, request: Request, action: Element) -> Element:
        """The form of the default configuration (section 8.3)."""
        if action.get("type", "leaf") != "leaf":
            raise unsupported("collections")
        form = configuration.toForm(self._profile.defaults, self._profile.bounds)
        return Element("pubsub", OWNER, {}, (Element("default", OWNER, {}, (form,)),))

    async def configure(self, request: Request, action: Element) -> None:
        """Change a node's configuration (section 8.2.4)."""
        name = self._shelf.named(action.get("node"))

        async def work() -> None:
            node = await self._owned(request, action)
            form = action.find("x", ns.DATA_FORMS)
            if form is not None and form.get("type") == "cancel":
                return
            values = configuration.submitted(form, NODE_CONFIG)
            config = configuration.changed(node.config, values, self._profile.bounds)
            checkStorage(request.session, KIND, len(config.toText().encode()))
            await self._configure(node, config)

        await self._shelf.alone(self._profile.owner(request), name, work)

    async def _configure(self, node: Node, config: NodeConfig) -> None:
        store = self._shelf.store
        text = config.toText()
        await self._shelf.makeRoom(node.owner, max(0, len(text.encode()) - len(node.record.config.encode())))
        await store.configure(node.owner, node.name, text)
        self._profile.retold(node.owner)
        changed = Node(node.record, config, node.affiliations, node.subscriptions)
        if node.config.persistItems and not config.persistItems:
            await store.purge(node.owner, node.name)
        elif config.most(self._profile.bounds) < node.config.most(self._profile.bounds):
            await store.publish(node.owner, node.name, [], config.most(self._profile.bounds))
        if config.accessModel != node.config.accessModel or config.rosterGroups != node.config.rosterGroups:
            changed = await self._reconsider(changed)
        if config.notifyConfig:
            full = config.deliverPayloads
            form = configuration.toForm(config, self._profile.bounds, "result") if full else None
            await self._tell(changed, simpleEvent("configuration", changed, form))

    async def _reconsider(self, node: Node) -> Node:
        """End the subscriptions of those who have lost access."""
        kept = []
        judged = await self._shelf.judged(node)
        for each in node.subscriptions:
            if judged(bareOf(each.jid)) is None:
                kept.append(each)
            else:
                await self._notices.cancel(node, each)
        return Node(node.record, node.config, node.affiliations, kept)

    # --- purge and delete

    async def purge(self, request: Request, action: Element) -> None:
        """Delete all items (section 8.5)."""
        name = self._shelf.named(action.get("node"))

        async def work() -> None:
            node = await self._owned(request, action)
            if not node.config.persistItems:
                raise unsupported("persistent-items")
            await self._shelf.store.purge(node.owner, node.name)
            await self._tell(node, simpleEvent("purge", node))

        await self._shelf.alone(self._profile.owner(request), name, work)
        await self._afterwards(request, name)

    async def delete(self, request: Request, action: Element) -> None:
        """Delete a node, perhaps saying where there is another in its place (section 8.4)."""
        name = self._shelf.named(action.get("node"))
        redirect = action.find("redirect")
        uri = None if redirect is None else redirect.get("uri")
        if redirect is not None and (not uri or len(uri) > LONGEST_URI):
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-options", "A redirection needs an address.")

        async def work() -> None:
            node = await self._owned(request, action)
            await self._delete(node, None if uri is None else Element("redirect", EVENT, {"uri": uri}))

        await self._shelf.alone(self._profile.owner(request), name, work)
        await self._afterwards(request, name)

    async def deleteNow(self, owner: str, name: str) -> None:
        """Delete a node on the service's part, and tell its subscribers as its configuration says."""

        async def work() -> None:
            node = await self._shelf.find(owner, name)
            if node is not None:
                await self._delete(node)

        await self._shelf.alone(owner, name, work)

    async def deleteOwnerless(self, owner: str, name: str) -> None:
        """Delete a node that still belongs to nobody, and tell its subscribers as its configuration says."""

        async def work() -> None:
            node = await self._shelf.find(owner, name)
            if node is not None and not node.owners():
                await self._delete(node)

        await self._shelf.alone(owner, name, work)

    async def _delete(self, node: Node, child: Element | None = None) -> None:
        await self._shelf.store.delete(node.owner, node.name)
        self._profile.retold(node.owner)
        if node.config.notifyDelete:
            await self._tell(node, simpleEvent("delete", node, child), pending=True)

    async def _owned(self, request: Request, action: Element) -> Node:
        return await self._shelf.owned(self._profile.owner(request), action.get("node"), request.sender.bare)

    async def _afterwards(self, request: Request, name: str) -> None:
        for observer in self.emptied.get(name, ()):
            try:
                await observer(request)
            except (StanzaError, StoreUnavailable) as error:
                log.warn("what follows from an emptied node failed: {error}", error=error)

    async def tell(self, node: Node, event: bytes) -> None:
        """Tell a node's subscribers what the service has done to it."""
        await self._tell(node, event)

    async def _tell(self, node: Node, event: bytes, pending: bool = False) -> None:
        """Notify. The change is made by now: if somebody can't be told, that doesn't undo it."""
        if node.config.deliverNotifications:
            try:
                await self._notices.tell(node, event, pending=pending, notated=False)
            except StoreUnavailable:
                log.error("not everybody could be notified: the database is not available")
