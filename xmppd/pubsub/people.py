"""
What owners do with the people of a node: affiliations, subscriptions, pending requests (XEP-0060 sections 8.7 to 8.9).

Of several changes in one request, those that can't be made are answered with what they were about as it still is; all
others are made.

Guests make nobody a subscriber or an owner who hasn't asked for it: what a node then tells would reach whomever they
like, also those they may not write to, and as many as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from xmppd.adapters import checkStorage
from xmppd.hooks import Command, CommandForm, CommandResult
from xmppd.ixmppd import NodeSubscription, Request
from xmppd.pubsub.errors import PartlyRefused, forbidden, notFound
from xmppd.pubsub.names import OWNER, PUBSUB, SUBSCRIBE_AUTHORIZATION
from xmppd.pubsub.notices import Notices, subscriptionAttrs
from xmppd.pubsub.options import SubscriptionOptions
from xmppd.pubsub.publishing import KIND
from xmppd.pubsub.shelf import AFFILIATIONS, Node, Shelf
from xmppd.pubsub.subscribing import Subscribing, pendingOf
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse

MOST_CHANGES: Final = 1000
"""How many changes one request may ask for."""

IMPOSSIBLE: Final = {
    ("owner", "member"),
    ("owner", "publisher"),
    ("owner", "publish-only"),
    ("owner", "outcast"),
    ("publisher", "member"),
}
"""Transitions that the table of affiliations doesn't have (section 4.1)."""


class People:
    """Affiliations and subscriptions, as owners see them."""

    def __init__(self, shelf: Shelf, notices: Notices, subscribing: Subscribing) -> None:
        self._shelf = shelf
        self._notices = notices
        self._subscribing = subscribing
        self._profile = shelf.profile

    async def _owned(self, request: Request, action: Element) -> Node:
        return await self._shelf.owned(self._profile.owner(request), action.get("node"), request.sender.bare)

    # --- affiliations

    async def affiliations(self, request: Request, action: Element) -> Element:
        """Everybody who is something to a node (section 8.9.1)."""
        node = await self._owned(request, action)
        found = {owner: "owner" for owner in node.owners()} | dict(node.affiliations)
        children = [_affiliation(bare, affiliation) for bare, affiliation in found.items()]
        return _wrapped("affiliations", node, children)

    async def setAffiliations(self, request: Request, action: Element) -> None:
        """Change affiliations (section 8.9.2)."""
        changes = _affiliationsIn(action)
        if isGuest(request) and any(
            affiliation == "owner" and bare != request.sender.bare for bare, affiliation in changes.items()
        ):
            raise _unasked()

        async def work() -> None:
            node = await self._owned(request, action)
            checkStorage(request.session, KIND, sum(map(len, changes)))
            refused = await self._setAffiliations(node, changes)
            if refused:
                raise PartlyRefused(_wrapped("affiliations", node, refused))

        await self._shelf.alone(self._profile.owner(request), self._shelf.named(action.get("node")), work)

    async def _setAffiliations(self, node: Node, changes: Mapping[str, str]) -> list[Element]:
        """Make the changes that can be made; answers the others, as they still are."""
        found = {owner: "owner" for owner in node.owners()} | dict(node.affiliations)
        wanted: dict[str, str] = {}
        refused: list[Element] = []
        for bare, affiliation in changes.items():
            old = found.get(bare, "none")
            after = {**found, bare: affiliation}
            full = len(found) >= self._profile.bounds.affiliations and bare not in found
            reigning = bare == node.owner and affiliation != "owner"
            if (old, affiliation) in IMPOSSIBLE or "owner" not in after.values() or full or reigning:
                refused.append(_affiliation(bare, old))
            elif old != affiliation:
                wanted[bare] = affiliation
                found = {each: it for each, it in after.items() if it != "none"}
        if wanted:
            await self._shelf.store.setAffiliations(node.owner, node.name, wanted)
            await self._follow(Node(node.record, node.config, found, node.subscriptions), wanted)
        return refused

    async def _follow(self, node: Node, changed: Mapping[str, str]) -> None:
        """What follows for subscriptions: approval, denial, or their end (sections 8.7.4 and 12.14)."""
        for bare in changed:
            for each in node.of(bare):
                if changed[bare] in ("owner", "publisher", "member") and each.state == "pending":
                    await self._subscribing.settle(node, each, True)
                elif await self._shelf.readRefusal(node, bare, subscribing=True) is not None:
                    await self._notices.cancel(node, each)

    # --- subscriptions

    async def subscriptions(self, request: Request, action: Element) -> Element:
        """All subscriptions that have been approved (section 8.8.1)."""
        node = await self._owned(request, action)
        approved = [each for each in node.subscriptions if each.state != "pending"]
        return _wrapped("subscriptions", node, [_subscription(each) for each in approved])

    async def setSubscriptions(self, request: Request, action: Element) -> None:
        """Change subscriptions (section 8.8.2)."""
        changes = _checked(action, "subscription")

        async def work() -> None:
            node = await self._owned(request, action)
            if isGuest(request):
                _checkAsked(node, changes, request.sender.bare)
            checkStorage(request.session, KIND, sum(len(each.get("jid") or "") for each in changes))
            refused: list[Element] = []
            for change in changes:
                refused += await self._setSubscription(node, change)
            if refused:
                raise PartlyRefused(_wrapped("subscriptions", node, refused))

        await self._shelf.alone(self._profile.owner(request), self._shelf.named(action.get("node")), work)

    async def _setSubscription(self, node: Node, change: Element) -> list[Element]:
        """Make one change; if it can't be made, answers what there is in its place."""
        try:
            jid = parse(change.get("jid", "") or "").full
        except JIDMalformed:
            return [Element("subscription", OWNER, {"jid": change.get("jid") or "", "subscription": "none"})]
        subid, state = change.get("subid"), change.get("subscription")
        there = [each for each in node.subscriptions if each.jid == jid and subid in (None, each.subid)]
        if state is None:
            return []
        nothing = not there and (state == "none" or subid is not None)
        full = not there and len(node.subscriptions) >= self._profile.bounds.subscribers
        if state not in ("none", "subscribed") or nothing or full:
            current = there or [NodeSubscription(jid, subid or "", "none")]
            return [_subscription(each) for each in current]
        if not there:
            options = SubscriptionOptions().toText()
            there = [NodeSubscription(jid, self._shelf.host.entropy.token(), "none", options)]
        for each in there:
            if each.state != state:
                await self._subscribing.settle(node, each, state == "subscribed")
        return []

    # --- pending requests

    def command(self) -> Command:
        """The ad-hoc command by which owners have pending requests sent again (section 8.7)."""
        return Command(f"{PUBSUB}#get-pending", "Get pending subscriptions", self._pending, admin=False)

    async def _pending(
        self, request: Request, values: Mapping[str, tuple[str, ...]] | None
    ) -> CommandForm | CommandResult:
        owner = self._profile.owner(request)
        if values is None:
            names = await self._namesOf(owner, request.sender.bare)
            if not names:
                raise forbidden()
            options = [(name, name) for name in names]
            field = forms.field("pubsub#node", type="list-single", label="Node", options=options)
            return CommandForm(forms.form("form", field, formType=SUBSCRIBE_AUTHORIZATION))
        name = forms.first(values, "pubsub#node")
        if name is None:
            raise notFound()
        node = await self._shelf.owned(owner, name, request.sender.bare)
        for each in pendingOf(node):
            self._subscribing.askOwners(node, each)
        return CommandResult()

    async def _namesOf(self, owner: str, bare: str) -> list[str]:
        if self._profile.reigns(owner, bare):
            return [record.node for record in await self._shelf.records(owner)]
        found = await self._shelf.store.affiliationsOf(owner, bare)
        return [name for name, affiliation in found.items() if affiliation == "owner"]


def _unasked() -> StanzaError:
    return StanzaError(StanzaCondition.NOT_ALLOWED, "Guests may not have others notified who didn't ask for it.")


def isGuest(request: Request) -> bool:
    """Whether a guest of this server asks."""
    return request.session is not None and request.session.account.anonymous


def _checkAsked(node: Node, changes: Iterable[Element], own: str) -> None:
    """
    Whether those who are to be subscribed are, or have asked to be.

    @raise StanzaError: somebody isn't and hasn't.
    """
    for change in changes:
        try:
            jid = parse(change.get("jid") or "")
        except JIDMalformed:
            continue
        known = jid.bare == own or any(each.jid == jid.full for each in node.subscriptions)
        if change.get("subscription") == "subscribed" and not known:
            raise _unasked()


def _affiliation(bare: str, affiliation: str) -> Element:
    return Element("affiliation", OWNER, {"jid": bare, "affiliation": affiliation})


def _subscription(subscription: NodeSubscription) -> Element:
    attrs = {key: value for key, value in subscriptionAttrs(None, subscription).items() if value}
    return Element("subscription", OWNER, attrs)


def _wrapped(name: str, node: Node, children: list[Element]) -> Element:
    return Element("pubsub", OWNER, {}, (Element(name, OWNER, {"node": node.name}, tuple(children)),))


def _checked(action: Element, name: str) -> list[Element]:
    changes = list(action.elements(name))
    if not changes or len(changes) > MOST_CHANGES:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"A request has 1 to {MOST_CHANGES} changes.")
    keys = [(each.get("jid"), each.get("subid")) for each in changes]
    if len(set(keys)) < len(keys):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "Somebody is mentioned twice.")
    return changes


def _affiliationsIn(action: Element) -> dict[str, str]:
    """
    The changes a request asks for, by bare JID (section 4.1).

    @raise StanzaError: an address or an affiliation isn't one, or somebody is mentioned twice.
    """
    changes: dict[str, str] = {}
    for each in _checked(action, "affiliation"):
        jid = parse(each.get("jid") or "")
        affiliation = each.get("affiliation")
        if jid.resource is not None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "An affiliation belongs to a bare JID.")
        if affiliation is not None and affiliation not in AFFILIATIONS:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such affiliation.")
        if jid.bare in changes:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Somebody is mentioned twice.")
        if affiliation is not None:
            changes[jid.bare] = affiliation
    return changes
