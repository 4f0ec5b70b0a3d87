"""
Service discovery (XEP-0030) with extended information (XEP-0128): answers for the domain and on behalf of accounts.

What there is to tell comes from the host: identities and namespaces of what joined it, its services, and the sources
that features added to L{xmppd.hooks.Disco}. Whoever may not see an account's presence learns nothing of it, not even
whether it exists: all such questions take the same path and get the same answer (section 8).

Left out: the message form of announcing items, which nobody uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from xmppd.hooks import EVERYWHERE, DiscoInfo, DiscoItem, Feature, ItemSource, Spec, domainInfo
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

INFO = ns.DISCO_INFO + " query"
ITEMS = ns.DISCO_ITEMS + " query"

LONGEST_NODE = 3071
"""The longest node that is looked for; longer than any that this server makes."""


GUEST = DiscoInfo((("account", "anonymous", ""),), (ns.DISCO_INFO, ns.DISCO_ITEMS))
"""What everybody may know of a guest (XEP-0175 section 5)."""


class Discovery:
    """Answers disco#info and disco#items for one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    # --- the domain

    async def domainInfo(self, request: Request) -> Element:
        """What the domain, or one of its nodes, is and can do (section 3)."""
        node = _node(request)
        if not node:
            return domainInfo(self._host).toElement(node)
        found: DiscoInfo = _found(await _ask(self._host.disco.info, request, node))
        return found.toElement(node)

    async def domainItems(self, request: Request) -> Element:
        """The services of the domain, or the items of one of its nodes (section 4)."""
        node = _node(request)
        if node:
            return _items(node, _found(await _ask(self._host.disco.items, request, node)))
        if self._host.disco.listing is not None:
            listed: Element = self._host.disco.listing(request)
            return listed
        services = [DiscoItem(domain, name) for domain, name in sorted(self._host.services.items())]
        return _items(node, [*services, *await _all(self._host.disco.items, request)])

    # --- accounts

    async def accountInfo(self, request: Request) -> Element:
        """
        What an account is and can do, for its owner and those who may see its presence (sections 3.1 and 8). What a
        guest is, everybody may know (XEP-0175 section 5).
        """
        guest = self._isGuest(request.target.bare)
        if guest and not request.own and not _node(request):
            return GUEST.toElement(_node(request))
        if not await self._mayKnow(request):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        node = _node(request)
        if node:
            found: DiscoInfo = _found(await _ask(self._host.disco.accountInfo, request, node))
            return found.toElement(node)
        identity = ("account", "anonymous" if guest else "registered", "")
        features = tuple(sorted(self._host.accountNamespaces, key=str.encode))
        identities = (identity, *self._host.disco.accountIdentities)
        return DiscoInfo(identities, features).toElement(node)

    async def accountItems(self, request: Request) -> Element:
        """An account's available resources and other items; nothing for those who may not know of it (section 8)."""
        node = _node(request)
        if not await self._mayKnow(request):
            return _items(node, [])
        sources = self._host.disco.accountItems
        if node:
            return _items(node, _found(await _ask(sources, request, node)))
        sessions = self._host.router.sessionsOf(request.target.bare)
        resources = [DiscoItem(session.full) for session in sessions if session.presence is not None]
        return _items(node, [*resources, *await _all(sources, request)])

    def _isGuest(self, bare: str) -> bool:
        """Whether a bare JID is that of a guest who is here."""
        sessions = self._host.router.sessionsOf(bare)
        return bool(sessions) and sessions[0].account.anonymous

    async def _mayKnow(self, request: Request) -> bool:
        """Whether the sender is the owner, or may see the account's presence."""
        if request.own:
            return True
        subscription = await self._host.presence.subscription(request.target.bare, request.sender.bare)
        return subscription in ("from", "both")


def _node(request: Request) -> str | None:
    """The node asked about, as it is to be mirrored; empty or None for none."""
    node = request.payload.get("node")
    if node is not None and len(node) > LONGEST_NODE:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    return node


async def _ask(sources: Sequence[Any], request: Request, node: str) -> Any:
    """What the first source that knows the node says of it, or None."""
    for source in tuple(sources):
        answer = source(request, node)
        if isinstance(answer, Deferred):
            answer = await answer
        if answer is not None:
            return answer
    return None


async def _all(sources: Sequence[ItemSource], request: Request) -> list[DiscoItem]:
    """The items of all sources that belong to no node."""
    found: list[DiscoItem] = []
    for source in tuple(sources):
        found += await _ask((source,), request, "") or ()
    return found


def _found(answer: Any) -> Any:
    """The answer of a source, if there was one (section 7)."""
    if answer is None:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    return answer


def _items(node: str | None, items: Sequence[DiscoItem]) -> Element:
    attrs = {} if node is None else {"node": node}
    return Element("query", ns.DISCO_ITEMS, attrs, tuple(item.toElement() for item in items))


def join(host: IHost) -> None:
    """Answer for the domain and for accounts."""
    discovery = Discovery(host)
    host.respond("host", "get", INFO, discovery.domainInfo)
    host.respond("host", "get", ITEMS, discovery.domainItems)
    host.respond("account", "get", INFO, discovery.accountInfo)
    host.respond("account", "get", ITEMS, discovery.accountItems)


feature = Feature(
    name="xep0030_disco",
    specs=(Spec("XEP-0030", "2.5.0"), Spec("XEP-0128", "1.0.1"), Spec("XEP-0175", "1.2")),
    namespaces=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    accountNamespaces=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    join=join,
    joins=EVERYWHERE,
)
