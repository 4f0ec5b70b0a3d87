"""
Events: made once, sent to many (XEP-0060 sections 7.1.2, 12.2 to 12.4 and 12.14).

A L{Notice} is a message whose content is serialised once; for each receiver there is one more start of a start tag.
Only who has several subscriptions by one JID, and is told by which of them, costs a serialisation of its own.

What comes back as an error ends the subscription that it was for, if the error says that there is nobody any more.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppd.ixmppd import Missing, NodeItem, NodeSubscription
from xmppd.pubsub.names import ADDRESS, EVENT, SHIM
from xmppd.pubsub.options import fromText, stampOf
from xmppd.pubsub.shelf import Node, Shelf, bareOf
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute, startTag
from xmppd.wire.stanza import Stanza, build

log = Logger(namespace="xmppd.pubsub")

MESSAGE: Final = f"{ns.CLIENT} message"
NAME: Final = f"{EVENT} event"
START: Final = len("<message")

REMEMBERED: Final = 1000
"""Of how many notices it is known what they were about, should an error come back."""

AT_ONCE: Final = 400
"""How many messages are sent in one turn of the reactor."""

GONE: Final = ("gone", "item-not-found")
"""Errors that say that a subscriber isn't there any more."""


class Notice:
    """
    A message ready to be addressed to anybody.

    @ivar inner: the content.
    """

    __slots__ = ("_attrs", "_names", "_tail", "inner")

    def __init__(self, attrs: dict[str, str], inner: bytes, names: tuple[str, ...] = (NAME,)) -> None:
        self.inner = inner
        self._attrs = attrs
        self._names = names
        self._tail = startTag("message", attrs)[START:].encode() + b">" + inner + b"</message>"

    def to(self, jid: str) -> Stanza:
        """The message for one receiver."""
        raw = b"<message to='" + escapeAttribute(jid).encode() + b"'" + self._tail
        return Stanza("message", MESSAGE, {**self._attrs, "to": jid}, self._names, raw)

    def also(self, addition: Element) -> Notice:
        """The same with one more element."""
        return Notice(self._attrs, self.inner + addition.toBytes(), (*self._names, addition.qname))


def itemBytes(item: NodeItem, payload: bool, publisher: bool) -> bytes:
    """An item as it is sent, in whatever namespace C{<items/>} is."""
    attrs = {"id": item.id, **({"publisher": item.publisher} if publisher and item.publisher else {})}
    start = startTag("item", attrs).encode()
    return start + b">" + item.payload + b"</item>" if payload and item.payload else start + b"/>"


def itemsEvent(node: Node, item: NodeItem | None) -> bytes:
    """The event of an item that was published; without an item for a node that has none (section 4.3)."""
    inner = b""
    if item is not None:
        inner = itemBytes(item, node.config.deliverPayloads, node.config.itemReply == "publisher")
    return _event(b"items", node.name, inner)


def retractEvent(node: Node, ids: Iterable[str]) -> bytes:
    """The event of items that were deleted (section 7.2.2.1)."""
    return _event(b"items", node.name, b"".join(startTag("retract", {"id": id}).encode() + b"/>" for id in ids))


def simpleEvent(name: str, node: Node, child: Element | None = None) -> bytes:
    """Another event about a node: C{purge}, C{delete}, C{configuration}."""
    return _event(name.encode(), node.name, b"" if child is None else child.toBytes(EVENT))


def _event(name: bytes, node: str, inner: bytes) -> bytes:
    start = b"<" + name + b" node='" + escapeAttribute(node).encode() + b"'"
    body = start + b">" + inner + b"</" + name + b">" if inner else start + b"/>"
    return f"<event xmlns='{EVENT}'>".encode() + body + b"</event>"


def delay(seconds: float) -> Element:
    """When what is told late happened (XEP-0203)."""
    return Element("delay", ns.DELAY, {"stamp": stampOf(seconds)})


def replyTo(jid: str) -> Element:
    """The resource that published (XEP-0163 section 4.3.1, XEP-0033)."""
    return Element("addresses", ADDRESS, {}, (Element("address", ADDRESS, {"type": "replyto", "jid": jid}),))


def subIds(subids: Iterable[str]) -> Element:
    """The subscriptions that something is sent for (section 7.1.2.4)."""
    return Element("headers", SHIM, {}, tuple(Element("header", SHIM, {"name": "SubID"}, (each,)) for each in subids))


class Notices:
    """Sends events."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._host = shelf.host
        self._sent: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def notice(self, node: Node, event: bytes) -> Notice:
        """A message about a node."""
        id = self._host.entropy.token()
        self._sent[id] = (node.owner, node.name)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        attrs = {"from": node.owner, "id": id}
        if node.config.notificationType == "headline":
            attrs["type"] = "headline"
        return Notice(attrs, event)

    async def tell(
        self, node: Node, event: bytes, publisher: str | None = None, pending: bool = False, notated: bool = True
    ) -> None:
        """
        Tell everybody who is to be told.

        @param publisher: the full JID of who published, for those who may know.
        @param pending: whether also to tell those whose subscription is pending (section 8.4.2).
        @param notated: whether to name subscriptions, where there are several (section 12.16).
        """
        notice = self.notice(node, event)
        named = notice if publisher is None else notice.also(replyTo(publisher))
        told: set[str] = set()
        for number, watcher in enumerate(await self._shelf.profile.watchers(node), 1):
            told.add(watcher.jid)
            told.add(bareOf(watcher.jid))
            self._host.router.route((named if watcher.contact else notice).to(watcher.jid))
            await self._breathe(number)
        subscribers = self._subscribers(node, pending)
        if not subscribers:
            return
        # Who has several subscriptions is told which one it was, also if the others didn't want this (section 7.1.2.4).
        held = Counter(each.jid for each in node.subscriptions if each.state == "subscribed")
        judged = await self._shelf.judged(node)
        vetoed = await self._shelf.profile.veto(node.owner)
        for number, (jid, subscriptions) in enumerate(subscribers.items(), 1):
            if judged(bareOf(jid)) is not None:
                await self._lost(node, subscriptions)
            elif jid not in told and (vetoed is None or not vetoed(jid)):
                several = notated and held[jid] > 1
                one = notice.also(subIds(each.subid for each in subscriptions)) if several else notice
                self._host.router.route(one.to(jid))
            await self._breathe(number)

    async def _breathe(self, count: int) -> None:
        """After each few hundred messages, let others have the reactor."""
        if count % AT_ONCE == 0:
            pause: Deferred[None] = Deferred()
            self._host.clock.callLater(0, pause.callback, None)
            await pause

    def _subscribers(self, node: Node, pending: bool) -> dict[str, list[NodeSubscription]]:
        """Who subscribed and wants notifications now, by the JID that is told."""
        found: dict[str, list[NodeSubscription]] = {}
        for each in node.subscriptions:
            if each.state == "subscribed":
                options = fromText(each.options)
                sessions = self._host.router.sessionsOf(bareOf(each.jid))
                if not options.deliver or (sessions and not options.wanted(sessions)):
                    continue
            elif not pending:
                continue
            found.setdefault(each.jid, []).append(each)
        return found

    async def _lost(self, node: Node, subscriptions: Sequence[NodeSubscription]) -> None:
        """
        End the subscriptions of somebody who has lost access (section 12.14, XEP-0163 section 7.1). Rosters change
        without the node being asked: it is found out here, before anything is told.
        """
        for each in subscriptions:
            await self.cancel(node, each)

    async def cancel(self, node: Node, subscription: NodeSubscription) -> None:
        """End a subscription on the service's part, and tell the former subscriber."""
        ended = NodeSubscription(subscription.jid, subscription.subid, "none")
        try:
            await self._shelf.store.setSubscription(node.owner, node.name, ended)
        except Missing:
            pass  # with the node, all its subscriptions are gone
        self.state(node, ended)

    def state(self, node: Node, subscription: NodeSubscription, to: str | None = None) -> None:
        """Tell a subscriber, or somebody else, of the state of a subscription (section 12.14)."""
        child = Element("subscription", EVENT, subscriptionAttrs(node.name, subscription))
        event = Element("event", EVENT, {}, (child,))
        attrs = {"from": node.owner, "to": to or subscription.jid, "id": self._host.entropy.token()}
        self._host.router.route(build("message", attrs, event))

    def last(self, node: Node, item: NodeItem, jid: str) -> None:
        """Send an item that was published before (section 6.1.7)."""
        self._host.router.route(self.notice(node, itemsEvent(node, item)).also(delay(item.stamp)).to(jid))

    async def bounced(self, stanza: Stanza) -> None:
        """A notice came back: if there is nobody any more, end the subscription (section 12.4)."""
        about = self._sent.get(stanza.id or "")
        error = stanza.find(f"{ns.CLIENT} error")
        jid = stanza.attrs.get("from", "")
        if about is None or error is None or not any(error.find(name, ns.STANZA_ERRORS) for name in GONE):
            return
        for each in await self._shelf.store.subscriptions(*about):
            if each.jid == jid:
                ended = NodeSubscription(each.jid, each.subid, "none")
                await self._shelf.store.setSubscription(*about, ended)


def subscriptionAttrs(node: str | None, subscription: NodeSubscription) -> dict[str, str]:
    """The attributes of a C{<subscription/>}."""
    attrs = {} if node is None else {"node": node}
    attrs["jid"] = subscription.jid
    attrs["subscription"] = subscription.state
    attrs["subid"] = subscription.subid
    return attrs
