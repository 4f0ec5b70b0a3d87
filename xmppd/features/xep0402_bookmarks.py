"""
Bookmarks on a node of their own, one item for each room (XEP-0402), kept equal to the two older ways (XEP-0048): one
item with the whole list on the node C{storage:bookmarks}, and the same list in private XML storage (XEP-0049).

Theory of operation. Whatever a client writes in one way is written in the other two before it is answered. The items
are what counts: an old list is taken apart into items, of which only those that differ are published and those that
are missing are retracted, so nobody hears of bookmarks that haven't changed (section 5.3.2); and what an old client
can't know, the C{<extensions/>} of an item, is kept. Web pages and whatever else is in the old list in private storage
stays there.

All of it is private even if a client forgets to say so.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, IPersonalNodes, NodeItem, Request, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import JIDMalformed
from xmppd.wire.jid import parse as parseJid

NODE: Final = "urn:xmpp:bookmarks:1"
OLD: Final = "storage:bookmarks"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
KIND: Final = "private"
KEY: Final = f"{OLD} storage"
CURRENT: Final = "current"
"""The id of the one item of the old node."""

MOST: Final = 1000
"""How many bookmarks of an old list are taken."""

PRIVATE: Final[Mapping[str, tuple[str, ...]]] = {
    "pubsub#access_model": ("whitelist",),
    "pubsub#persist_items": ("1",),
    "pubsub#send_last_published_item": ("never",),
}

log = Logger(namespace="xmppd.bookmarks")


def _renamed(element: Element, namespace: str) -> Element:
    """An element of the one vocabulary as one of the other."""
    return Element(element.name, namespace, {}, tuple(each for each in element.children if isinstance(each, str)))


def _payloadOf(item: NodeItem) -> Element | None:
    """What an item holds, if it holds anything."""
    return parse(item.payload) if item.payload else None


def toOld(item: NodeItem) -> Element | None:
    """A bookmark as the old list has it (section 5.3.1), or None if the item is none."""
    payload = _payloadOf(item)
    if payload is None or payload.qname != f"{NODE} conference":
        return None
    attrs = {"jid": item.id, **{key: payload.attrs[key] for key in ("name", "autojoin") if key in payload.attrs}}
    children = tuple(
        _renamed(each, OLD) for each in payload.elements() if each.qname in (f"{NODE} nick", f"{NODE} password")
    )
    return Element("conference", OLD, attrs, children)


def toNew(conference: Element, known: Element | None) -> Element:
    """A bookmark of an old list as an item's payload, with what only the item knows."""
    attrs = {key: conference.attrs[key] for key in ("name", "autojoin") if key in conference.attrs}
    children = [
        _renamed(each, NODE) for each in conference.elements() if each.qname in (f"{OLD} nick", f"{OLD} password")
    ]
    if known is not None:
        children += [each for each in known.elements() if each.qname == f"{NODE} extensions"]
    return Element("conference", NODE, attrs, tuple(children))


def _roomOf(conference: Element) -> str | None:
    """The address of a bookmarked room, or None if it isn't one."""
    try:
        return parseJid(conference.get("jid") or "").bare
    except JIDMalformed:
        return None


class Bookmarks:
    """Keeps the three ways equal on one host."""

    def __init__(self, host: IHost, personal: IPersonalNodes) -> None:
        self._host = host
        self._personal = personal
        self._locks: dict[str, DeferredLock] = {}

    async def _alone(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        """One conversion of an account after the other: each writes what the former left."""
        account = request.target.bare
        lock = self._locks.setdefault(account, DeferredLock())
        await lock.acquire()
        try:
            await work
        finally:
            lock.release()
            if not lock.locked and self._locks.get(account) is lock:
                del self._locks[account]

    # --- from items to lists

    async def published(self, request: Request, item: NodeItem) -> None:
        """A client has published a bookmark."""
        await self._alone(request, self._collate(request))

    async def retracted(self, request: Request, ids: Sequence[str]) -> None:
        """A client has deleted bookmarks."""
        await self._alone(request, self._collate(request))

    async def emptied(self, request: Request) -> None:
        """A client has deleted all bookmarks."""
        await self._alone(request, self._collate(request))

    async def _collate(self, request: Request, node: bool = True, private: bool = True) -> None:
        """Write the old lists: that of the old node, and that in private storage."""
        items = await self._personal.items(request.target.bare, NODE)
        conferences = tuple(old for old in map(toOld, items) if old is not None)
        if node:
            storage = Element("storage", OLD, {}, conferences)
            await self._personal.publish(request, OLD, Element("item", PUBSUB, {"id": CURRENT}, (storage,)))
        if private:
            await self._store(request.target.bare, conferences)

    async def _store(self, account: str, conferences: tuple[Element, ...]) -> None:
        stored = await self._host.facts.get(account, KIND, KEY)
        others: tuple[Element | str, ...] = ()
        if stored is not None:
            old = parse(stored, ns.PRIVATE)
            others = tuple(each for each in old.elements() if each.qname != f"{OLD} conference")
        data = Element("storage", OLD, {}, (*conferences, *others)).toBytes(ns.PRIVATE)
        if len(data) > self._host.limits.privateBytes:
            log.warn("the bookmarks of {account} are too large for private storage", account=account)
            return
        await self._host.facts.put(account, KIND, KEY, data)

    # --- from lists to items

    async def listPublished(self, request: Request, item: NodeItem) -> None:
        """A client has published a list on the old node."""
        payload = _payloadOf(item)
        if payload is not None and payload.qname == KEY:
            await self._alone(request, self._convert(request, payload, node=False))

    async def stored(self, request: Request, kind: str, elements: Sequence[Element]) -> None:
        """A client has written private storage. See C{hooks.stored}."""
        if kind != KIND:
            return
        for element in elements:
            if element.qname == KEY:
                try:
                    await self._alone(request, self._convert(request, element, private=False))
                except (StanzaError, StoreUnavailable) as error:
                    log.warn("converting bookmarks failed: {error}", error=error)

    async def _convert(self, request: Request, storage: Element, node: bool = True, private: bool = True) -> None:
        """From a list to items, and to the other list."""
        await self._takeApart(request, storage)
        await self._collate(request, node, private)

    async def _takeApart(self, request: Request, storage: Element) -> None:
        """Make the items those of a list; unchanged ones are left alone (section 5.3.2)."""
        items = {item.id: _payloadOf(item) for item in await self._personal.items(request.target.bare, NODE)}
        wanted: dict[str, Element] = {}
        for conference in list(storage.elements("conference"))[:MOST]:
            room = _roomOf(conference)
            if room is not None:
                wanted[room] = toNew(conference, items.get(room))
        for room, payload in wanted.items():
            if items.get(room) != payload:
                await self._personal.publish(request, NODE, Element("item", PUBSUB, {"id": room}, (payload,)))
        gone = [room for room in items if room not in wanted]
        if gone:
            await self._personal.retract(request, NODE, gone)


def join(host: IHost) -> None:
    """Follow all three ways."""
    personal: Any = host.personal
    if personal is None:
        return
    bookmarks = Bookmarks(host, personal)
    personal.configure(NODE, {**PRIVATE, "pubsub#max_items": ("max",)})
    personal.configure(OLD, PRIVATE)
    personal.follow(NODE, bookmarks.published, bookmarks.retracted, bookmarks.emptied)
    personal.follow(OLD, bookmarks.listPublished)
    host.hooks.stored.addObserver(bookmarks.stored)
    host.accountNamespaces.update((f"{NODE}#compat", f"{NODE}#compat-pep"))


feature = Feature(
    name="xep0402_bookmarks",
    specs=(Spec("XEP-0402", "1.2.0"), Spec("XEP-0048", "1.2")),
    join=join,
    after=("xep0163_pep", "xep0049_private"),
)
