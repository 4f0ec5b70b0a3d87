"""
What publishers do: publish, retract; and what goes with it, creating nodes (XEP-0060 sections 7 and 8.1).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.logger import Logger

from xmppd.adapters import checkStorage
from xmppd.ixmppd import Exists, NodeItem, NodeRecord, Request, StoreUnavailable
from xmppd.pubsub import configuration
from xmppd.pubsub.errors import forbidden, notFound, refusal, unsupported
from xmppd.pubsub.names import LONGEST_ITEM, LONGEST_NODE, NODE_CONFIG
from xmppd.pubsub.notices import Notices, itemsEvent, retractEvent
from xmppd.pubsub.shelf import PUBLISHERS, Node, Shelf
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

log = Logger(namespace="xmppd.pubsub")

KIND: Final = "pubsub"
"""What restrictions on storage call it."""

UNDECLARED: Final = "-"
"""No namespace: so that a payload's own is always written on it, wherever it will stand."""

Published = Callable[[Request, NodeItem], Coroutine[Any, Any, None]]
Retracted = Callable[[Request, Sequence[str]], Coroutine[Any, Any, None]]


class Publishing:
    """
    Publishes and retracts.

    @ivar published: called when an item was published and told, by name of the node; errors are logged.
    @ivar retracted: called when items were deleted, likewise.
    """

    def __init__(self, shelf: Shelf, notices: Notices) -> None:
        self._shelf = shelf
        self._notices = notices
        self._host = shelf.host
        self._profile = shelf.profile
        self.published: dict[str, list[Published]] = {}
        self.retracted: dict[str, list[Retracted]] = {}

    # --- nodes

    async def create(self, request: Request, name: str | None, form: Element | None) -> str:
        """
        Create a node (section 8.1); answers its name.

        @param name: None for a name of the server's choice (an instant node).
        @param form: the configuration, or None for the default.
        """
        owner = self._profile.owner(request)
        if name is None:
            name = self._host.entropy.token()
        elif len(name.encode()) > LONGEST_NODE or not name:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"A node's name has 1 to {LONGEST_NODE} octets.")
        values = {} if form is None else configuration.submitted(form, NODE_CONFIG)
        await self._make(request, owner, name, values)
        return name

    async def _make(self, request: Request, owner: str, name: str, values: forms.Values) -> Node:
        error = self._profile.creationRefusal(request)
        if error is not None:
            raise error
        config = configuration.changed(self._profile.defaultsFor(name), values, self._profile.bounds)
        creator = request.sender.bare
        if await self._count(owner, creator) >= self._profile.bounds.nodes:
            raise refusal(StanzaCondition.NOT_ALLOWED, "max-nodes-exceeded", "There are too many nodes.")
        record = NodeRecord(owner, name, config.toText(), creator, self._host.clock.seconds())
        size = len(name.encode()) + len(record.config.encode())
        checkStorage(request.session, KIND, size)
        await self._shelf.makeRoom(owner, size)
        try:
            await self._shelf.store.create(record)
        except Exists:
            raise StanzaError(StanzaCondition.CONFLICT, "There is a node of that name.") from None
        affiliations = {}
        if creator != owner:
            affiliations = {creator: "owner"}
            await self._shelf.store.setAffiliations(owner, name, affiliations)
        self._profile.retold(owner)
        return Node(record, config, affiliations, ())

    async def _count(self, owner: str, creator: str) -> int:
        if owner == creator:
            return len(await self._shelf.records(owner))
        found = await self._shelf.store.affiliationsOf(owner, creator)
        return sum(1 for affiliation in found.values() if affiliation == "owner")

    # --- publish

    async def publish(
        self, request: Request, name: str | None, items: Sequence[Element], options: Element | None
    ) -> NodeItem | None:
        """
        Publish an item (section 7.1); answers it, or None for a node without items.

        @param items: the C{<item/>}s of the request: one, or none.
        @param options: the form with preconditions, or None.
        """
        owner = self._profile.owner(request)
        name = self._shelf.named(name)
        values = {} if options is None else configuration.preconditions(options)

        async def work() -> NodeItem | None:
            node = await self._forPublishing(request, owner, name, values)
            return await self._publish(request, node, items)

        item = await self._shelf.alone(owner, name, work)
        if item is not None:
            await self._observe(self.published.get(name, ()), request, item)
        return item

    async def _forPublishing(self, request: Request, owner: str, name: str, values: forms.Values) -> Node:
        """The node, created if that is done here, and fulfilling the preconditions."""
        node = await self._shelf.find(owner, name)
        if node is None:
            if not self._profile.autoCreate:
                raise notFound("There is no such node.")
            return await self._make(request, owner, name, values)
        if not self._mayPublish(node, request.sender.bare):
            raise forbidden()
        configuration.compare(node.config, values, self._profile.bounds)
        return node

    def _mayPublish(self, node: Node, bare: str) -> bool:
        affiliation = self._shelf.affiliation(node, bare)
        if affiliation in PUBLISHERS or affiliation == "outcast":
            return affiliation != "outcast"
        model = node.config.publishModel
        if model == "subscribers":
            return any(each.state == "subscribed" for each in node.of(bare))
        return model == "open"

    async def _publish(self, request: Request, node: Node, items: Sequence[Element]) -> NodeItem | None:
        item = self._item(request, node, items)
        if item is None:
            await self._tell(node, itemsEvent(node, None), request)
            return None
        checkStorage(request.session, KIND, len(item.payload))
        dropped: Sequence[str] = ()
        if node.config.persistItems:
            dropped = await self._keep(node, item)
        await self._tell(node, itemsEvent(node, item), request)
        if dropped and node.config.notifyRetract and node.config.nodeFull == "retract-oldest":
            if node.config.most(self._profile.bounds) > 1:
                await self._tell(node, retractEvent(node, dropped), request)
        return item

    def _item(self, request: Request, node: Node, items: Sequence[Element]) -> NodeItem | None:
        """What is to be published, if it is as the node's configuration wants it (sections 4.3 and 7.1.3)."""
        config = node.config
        if len(items) > 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Publish one item at a time.")
        if not items:
            if config.persistItems or config.deliverPayloads:
                raise refusal(StanzaCondition.BAD_REQUEST, "item-required")
            return None
        if not config.persistItems and not config.deliverPayloads:
            raise refusal(StanzaCondition.BAD_REQUEST, "item-forbidden")
        payload = self._payload(config, items[0])
        id = items[0].get("id") or self._host.entropy.token()
        if len(id.encode()) > LONGEST_ITEM:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"An item's id has at most {LONGEST_ITEM} octets.")
        return NodeItem(id, payload, request.sender.bare, self._host.clock.seconds())

    def _payload(self, config: configuration.NodeConfig, item: Element) -> bytes:
        payloads = list(item.elements())
        if len(payloads) > 1:
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-payload", "An item has one payload.")
        if not payloads:
            if config.deliverPayloads:
                raise refusal(StanzaCondition.BAD_REQUEST, "payload-required")
            return b""
        if config.type and payloads[0].ns != config.type:
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-payload", "The node wants another namespace.")
        data = payloads[0].toBytes(UNDECLARED)
        if len(data) > config.largest(self._profile.bounds):
            raise refusal(StanzaCondition.NOT_ACCEPTABLE, "payload-too-big")
        return data

    async def _keep(self, node: Node, item: NodeItem) -> Sequence[str]:
        """Store an item; answers which ones had to go."""
        store, bounds = self._shelf.store, self._profile.bounds
        await self._shelf.makeRoom(node.owner, len(item.payload) + len(item.id))
        most = node.config.most(bounds)
        if node.config.nodeFull == "reject" and not await store.itemsById(node.owner, node.name, [item.id]):
            if await store.countItems(node.owner, node.name) >= most:
                raise refusal(StanzaCondition.CONFLICT, "node-full")
        return await store.publish(node.owner, node.name, [item], most)

    async def _tell(self, node: Node, event: bytes, request: Request) -> None:
        """Notify. The change is made by now: if somebody can't be told, that doesn't undo it."""
        if node.config.deliverNotifications:
            try:
                await self._notices.tell(node, event, request.sender.full)
            except StoreUnavailable:
                log.error("not everybody could be notified: the database is not available")

    async def _observe(
        self, observers: Sequence[Callable[..., Coroutine[Any, Any, None]]], request: Request, what: object
    ) -> None:
        """
        Tell those who follow a node. Nobody has the node for himself meanwhile, since what they do may concern others.
        """
        for observer in observers:
            try:
                await observer(request, what)
            except (StanzaError, StoreUnavailable) as error:
                log.warn("what follows from a change of a node failed: {error}", error=error)

    # --- retract

    async def retract(self, request: Request, name: str | None, ids: Sequence[str], notify: bool | None) -> None:
        """
        Delete items (section 7.2), all or none.

        @param notify: whether to tell; None leaves it to the node's configuration.
        """
        owner = self._profile.owner(request)
        name = self._shelf.named(name)

        async def work() -> None:
            node = await self._shelf.get(owner, name)
            await self._retract(request, node, ids, notify)

        await self._shelf.alone(owner, name, work)
        await self._observe(self.retracted.get(name, ()), request, ids)

    async def _retract(self, request: Request, node: Node, ids: Sequence[str], notify: bool | None) -> None:
        bare = request.sender.bare
        affiliation = self._shelf.affiliation(node, bare)
        if affiliation == "outcast":
            raise forbidden()
        if not node.config.persistItems:
            raise unsupported("persistent-items")
        found = await self._shelf.store.itemsById(node.owner, node.name, ids)
        if affiliation != "owner" and not all(item.publisher == bare for item in found):
            raise forbidden()
        if affiliation in ("none", "member") and not self._mayPublish(node, bare):
            raise forbidden()
        if len({item.id for item in found}) < len(set(ids)):
            raise notFound("There is no such item.")
        await self._shelf.store.retract(node.owner, node.name, ids)
        if node.config.notifyRetract if notify is None else notify:
            await self._tell(node, retractEvent(node, ids), request)

    # --- on the server's own part

    async def publishAs(self, request: Request, name: str, item: Element, values: forms.Values) -> None:
        """
        Publish for the account of a request what follows from the request; nobody follows that in turn.
        """
        owner = self._profile.owner(request)

        async def work() -> None:
            node = await self._shelf.find(owner, name)
            if node is None:
                node = await self._make(request, owner, name, values)
            await self._publish(request, node, [item])

        await self._shelf.alone(owner, name, work)

    async def retractAs(self, request: Request, name: str, ids: Sequence[str]) -> None:
        """Retract likewise, and tell."""
        owner = self._profile.owner(request)

        async def work() -> None:
            node = await self._shelf.find(owner, name)
            if node is not None:
                gone = await self._shelf.store.retract(owner, name, ids)
                if gone:
                    await self._tell(node, retractEvent(node, gone), request)

        await self._shelf.alone(owner, name, work)
