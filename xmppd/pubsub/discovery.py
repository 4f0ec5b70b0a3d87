"""
What disco tells about nodes: which there are, what they are, and which items they have (XEP-0060 sections 5.2 to 5.5).

Whoever may neither read a node nor ask to subscribe doesn't learn of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xmppd.hooks import DiscoInfo, DiscoItem
from xmppd.ixmppd import Request
from xmppd.pubsub.configuration import NodeConfig, texts
from xmppd.pubsub.names import META_DATA, features
from xmppd.pubsub.options import stampOf
from xmppd.pubsub.shelf import Node, Shelf
from xmppd.wire import forms
from xmppd.wire.element import Element

FEW: Final = 100
"""How many closed nodes are looked at to answer one question."""

MOST: Final = 1000
"""How many items are listed, the newest."""

META: Final = (
    "pubsub#type",
    "pubsub#title",
    "pubsub#description",
    "pubsub#language",
    "pubsub#contact",
    "pubsub#access_model",
    "pubsub#publish_model",
    "pubsub#max_items",
)
"""The fields of a configuration that are metadata too."""


class Discovery:
    """Answers disco about nodes."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._profile = shelf.profile

    async def info(self, request: Request, name: str) -> DiscoInfo | None:
        """What a node is (sections 5.3 and 5.4), or None."""
        node = await self._visible(request, name)
        if node is None:
            return None
        identity = ("pubsub", "leaf", node.config.title)
        return DiscoInfo((identity,), features(), (self._metadata(node),))

    async def items(self, request: Request, name: str) -> Sequence[DiscoItem] | None:
        """The nodes, or the items of one (sections 5.2 and 5.5); None if there is no such node."""
        owner = self._profile.owner(request)
        if not name:
            return [DiscoItem(owner, title, node) for node, title in await self._nodes(request, owner)]
        node = await self._visible(request, name)
        if node is None:
            return None
        if await self._shelf.readRefusal(node, request.sender.bare) is not None or not node.config.persistItems:
            return []
        return [DiscoItem(owner, id) for id in (await self._shelf.ids(node))[-MOST:]]

    async def _visible(self, request: Request, name: str) -> Node | None:
        node = await self._shelf.find(self._profile.owner(request), name)
        if node is None:
            return None
        error = await self._shelf.readRefusal(node, request.sender.bare, subscribing=True)
        return node if error is None else None

    async def _nodes(self, request: Request, owner: str) -> list[tuple[str, str]]:
        """The names and titles of all nodes that somebody may know of."""
        bare = request.sender.bare
        found: list[tuple[str, str]] = []
        closed = 0
        for record in await self._shelf.records(owner):
            config = self._shelf.configOf(record)
            if config.accessModel not in ("open", "authorize") and not self._profile.reigns(owner, bare):
                closed += 1
                if closed > FEW:
                    continue
                node = await self._shelf.complete(record)
                if await self._shelf.readRefusal(node, bare, subscribing=True) is not None:
                    continue
            found.append((record.node, config.title))
        return found

    def _metadata(self, node: Node) -> Element:
        config: NodeConfig = node.config
        rows = [forms.field(name, *texts(config, name, self._profile.bounds)) for name in META]
        publishers = [bare for bare, affiliation in node.affiliations.items() if affiliation == "publisher"]
        subscribers = {each.jid for each in node.subscriptions if each.state == "subscribed"}
        rows += [
            forms.field("pubsub#creator", *([node.record.creator] if node.record.creator else [])),
            forms.field("pubsub#creation_date", stampOf(node.record.created)),
            forms.field("pubsub#owner", *node.owners()),
            forms.field("pubsub#publisher", *publishers),
            forms.field("pubsub#num_subscribers", str(len(subscribers))),
        ]
        return forms.form("result", *(row for row in rows if row.children), formType=META_DATA)
