"""
Retrieving items (XEP-0060 section 6.5), page by page where there are many (XEP-0059).

Items are answered in the order in which they were published. Without paging the newest are answered; if those are not
all, the answer says which part of the whole it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xmppd.ixmppd import NodeItem, Request
from xmppd.pubsub import paging
from xmppd.pubsub.errors import refusal, unsupported
from xmppd.pubsub.names import PUBSUB
from xmppd.pubsub.notices import itemBytes
from xmppd.pubsub.shelf import FEW, Node, Shelf
from xmppd.wire import ns
from xmppd.wire.element import Element, startTag
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.resultsets import PageWanted, pageWanted, resultSet

MOST: Final = 1000
"""How many items are answered at a time."""


class Retrieving:
    """
    Answers who asks for items.

    An answer has no more octets of items than fit into a stanza that we would take ourselves, so that nobody on its way
    refuses it. One item it has in any case.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._room = shelf.host.limits.stanzaBytes * 3 // 4

    async def items(self, request: Request, action: Element) -> bytes:
        """Items of a node: all, the newest, some by their ids, or a page."""
        node = await self.readable(request, action.get("node"))
        _checkSubscription(node, request.sender, action.get("subid"))
        if not node.config.persistItems:
            raise unsupported("persistent-items")
        ids = [item.get("id") for item in action.elements("item")]
        if ids:
            return self._answer(node, await self._byId(node, ids))
        if request.payload.find("set", ns.RESULT_SET) is not None:
            return await self._page(node, pageWanted(request.payload))
        most = action.get("max_items")
        return await self._newest(node, _count(most) if most is not None else None)

    async def readable(self, request: Request, name: str | None) -> Node:
        """
        A node of which somebody may read the items.

        @raise StanzaError: there is none, or it is closed to who asks.
        """
        node = await self._shelf.get(self._shelf.profile.owner(request), name)
        error = await self._shelf.readRefusal(node, request.sender.bare)
        if error is not None:
            raise error
        return node

    async def _byId(self, node: Node, ids: Sequence[str | None]) -> list[NodeItem]:
        """Items by their ids; those that aren't there are left out (section 6.5.9.12)."""
        if len(ids) > MOST or any(not id for id in ids):
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"At most {MOST} items, each by its id.")
        return await self._fetch(node, [id for id in dict.fromkeys(ids) if id])

    async def _fetch(self, node: Node, ids: Sequence[str]) -> list[NodeItem]:
        """Those of some items that fit into an answer, the first ones first."""
        kept: list[NodeItem] = []
        for start in range(0, len(ids), FEW):
            some = ids[start : start + FEW]
            found = {item.id: item for item in await self._shelf.store.itemsById(node.owner, node.name, some)}
            items = self._shelf.fresh(node, [found[id] for id in some if id in found])
            if not self._fill(kept, items):
                break
        return kept

    def _fill(self, kept: list[NodeItem], items: Sequence[NodeItem]) -> bool:
        """Add items as long as they fit; answers whether all of them did."""
        size = sum(len(each.payload) + len(each.id) for each in kept)
        for item in items:
            size += len(item.payload) + len(item.id)
            if kept and size > self._room:
                return False
            kept.append(item)
        return True

    async def _newest(self, node: Node, most: int | None) -> bytes:
        """The newest items, in the order of publication."""
        limit = MOST if most is None else min(most, MOST)
        kept: list[NodeItem] = []
        before: str | None = None
        whole = False
        while len(kept) < limit:
            asked = min(FEW, limit - len(kept))
            some = await self._shelf.store.items(node.owner, node.name, asked, before)
            if not self._fill(kept, self._shelf.fresh(node, some)):
                break
            if len(some) < asked:
                whole = True
                break
            before = some[-1].id
        kept.reverse()
        if whole or most is not None:
            return self._answer(node, kept)
        count = await self._shelf.store.countItems(node.owner, node.name)
        return self._answer(node, kept, _part(kept, count - len(kept), count))

    async def _page(self, node: Node, page: PageWanted) -> bytes:
        ids = await self._shelf.ids(node)
        first, end = paging.bounds(ids, page, MOST)
        if page.before is None:
            kept = await self._fetch(node, ids[first:end])
        else:
            kept = (await self._fetch(node, ids[first:end][::-1]))[::-1]
            first = end - len(kept)
        return self._answer(node, kept, _part(kept, first, len(ids)))

    def _answer(self, node: Node, items: Sequence[NodeItem], page: Element | None = None) -> bytes:
        """The C{<pubsub/>} with items."""
        publisher = node.config.itemReply == "publisher"
        inner = b"".join(itemBytes(item, True, publisher) for item in items)
        start = startTag("items", {"node": node.name}).encode()
        body = start + b">" + inner + b"</items>" if inner else start + b"/>"
        rest = b"" if page is None else page.toBytes(PUBSUB)
        return f"<pubsub xmlns='{PUBSUB}'>".encode() + body + rest + b"</pubsub>"


def _part(items: Sequence[NodeItem], index: int, count: int) -> Element:
    """What is told of a part of the whole."""
    return resultSet(items[0].id, items[-1].id, index, count) if items else resultSet(None, None, None, count)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "max_items is a positive number.")
    return int(text)


def _checkSubscription(node: Node, sender: JID, subid: str | None) -> None:
    """Who has several subscriptions names one, and whoever names one has it (sections 6.5.9.1 and 6.5.9.2)."""
    if subid is None:
        if sum(each.jid in (sender.full, sender.bare) for each in node.subscriptions) > 1:
            raise refusal(StanzaCondition.BAD_REQUEST, "subid-required")
    elif all(each.subid != subid for each in node.of(sender.bare)):
        raise refusal(StanzaCondition.NOT_ACCEPTABLE, "invalid-subid")
