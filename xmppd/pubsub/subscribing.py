"""
What subscribers do: subscribe, unsubscribe, choose options, ask what they have (XEP-0060 sections 5.6, 5.7, 6.1 to
6.4); and the requests for approval that follow from it (section 8.6).

Somebody may subscribe several times by one JID, with different options; asking again for the same is answered with
what there is. So a client that subscribes at each start doesn't pile up subscriptions.
"""

from __future__ import annotations

from collections.abc import Mapping

from xmppd.ixmppd import NodeSubscription, Request, StoreUnavailable
from xmppd.pubsub import options as choices
from xmppd.pubsub.configuration import submitted
from xmppd.pubsub.errors import forbidden, refusal, unsupported
from xmppd.pubsub.names import PUBSUB, SUBSCRIBE_AUTHORIZATION, SUBSCRIBE_OPTIONS
from xmppd.pubsub.notices import Notices, subscriptionAttrs
from xmppd.pubsub.options import SubscriptionOptions
from xmppd.pubsub.shelf import READERS, Node, Shelf, bareOf
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza, build


class Subscribing:
    """Subscriptions, as their holders see them."""

    def __init__(self, shelf: Shelf, notices: Notices) -> None:
        self._shelf = shelf
        self._notices = notices
        self._host = shelf.host
        self._profile = shelf.profile

    # --- subscribe

    async def subscribe(self, request: Request, action: Element, form: Element | None) -> Element:
        """
        Subscribe (section 6.1), with options if there is a form (section 6.3.7).
        """
        name = self._shelf.named(action.get("node"))
        jid = self._subscriber(request, action.get("jid"))
        wanted = SubscriptionOptions()
        if form is not None:
            wanted = choices.changed(wanted, submitted(form, SUBSCRIBE_OPTIONS), self._host.clock.seconds())
        owner = self._profile.owner(request)

        async def work() -> NodeSubscription:
            node = await self._shelf.get(owner, name)
            return await self._subscribe(request, node, jid, wanted)

        subscription = await self._shelf.alone(owner, name, work)
        children = [Element("subscription", PUBSUB, subscriptionAttrs(name, subscription))]
        if form is not None:
            children.append(Element("options", PUBSUB, {}, (wanted.toForm("result"),)))
        return Element("pubsub", PUBSUB, {}, tuple(children))

    def _subscriber(self, request: Request, text: str | None) -> str:
        """The JID that is to be subscribed: one's own (section 6.1.3.1)."""
        if not text:
            raise refusal(StanzaCondition.BAD_REQUEST, "jid-required")
        try:
            jid = parse(text)
        except JIDMalformed as error:
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-jid") from error
        if jid.bare != request.sender.bare:
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-jid", "That is somebody else's address.")
        return jid.full

    async def _subscribe(self, request: Request, node: Node, jid: str, wanted: SubscriptionOptions) -> NodeSubscription:
        bare = request.sender.bare
        error = await self._shelf.readRefusal(node, bare, subscribing=True)
        if error is not None:
            raise error
        if not node.config.subscribe:
            raise unsupported("subscribe")
        same = [each for each in node.subscriptions if each.jid == jid]
        if any(each.state == "pending" for each in same):
            raise refusal(StanzaCondition.NOT_AUTHORIZED, "pending-subscription")
        for each in same:
            if choices.fromText(each.options) == wanted:
                return each
        await self._checkNumber(node, bare)
        approved = node.config.accessModel != "authorize" or self._shelf.affiliation(node, bare) in READERS
        approved = approved or any(each.state == "subscribed" for each in node.of(bare))
        state = "subscribed" if approved else "pending"
        subscription = NodeSubscription(jid, self._host.entropy.token(), state, wanted.toText())
        await self._shelf.store.setSubscription(node.owner, node.name, subscription)
        if approved:
            await self.begun(node, subscription)
        else:
            self.askOwners(node, subscription)
        return subscription

    async def _checkNumber(self, node: Node, bare: str) -> None:
        bounds = self._profile.bounds
        mine = await self._shelf.store.subscriptionsOf(node.owner, bare)
        if len(mine) >= bounds.subscriptions or len(node.subscriptions) >= bounds.subscribers:
            raise refusal(StanzaCondition.POLICY_VIOLATION, "too-many-subscriptions", type=ErrorType.WAIT)

    async def begun(self, node: Node, subscription: NodeSubscription) -> None:
        """A subscription is approved: tell the owners who want to know, and send the last item."""
        self._tellOwners(node, subscription)
        if node.config.sendLast == "never" or not choices.fromText(subscription.options).deliver:
            return
        if not await self._profile.hears(node.owner, subscription.jid):
            return
        try:
            items = await self._shelf.newest(node, 1)
        except StoreUnavailable:
            return
        if items:
            self._notices.last(node, items[0], subscription.jid)

    def _tellOwners(self, node: Node, subscription: NodeSubscription) -> None:
        if node.config.notifySub:
            for owner in node.owners():
                self._notices.state(node, subscription, owner)

    # --- approval

    def askOwners(self, node: Node, subscription: NodeSubscription) -> None:
        """Ask for approval; who answers first decides (sections 8.6 and 12.13)."""
        form = forms.form(
            "form",
            forms.field("pubsub#subid", subscription.subid, type="hidden"),
            forms.field("pubsub#node", node.name, type="text-single", label="Node"),
            forms.field("pubsub#subscriber_jid", subscription.jid, type="jid-single", label="Subscriber"),
            forms.field("pubsub#allow", "0", type="boolean", label="Allow the subscription"),
            formType=SUBSCRIBE_AUTHORIZATION,
            title="A subscription waits for your approval",
        )
        for owner in node.owners():
            attrs = {"from": node.owner, "to": owner, "id": self._host.entropy.token()}
            self._host.router.route(build("message", attrs, form))

    async def answered(self, stanza: Stanza) -> bool:
        """An owner's answer to a request for approval; False if it is something else."""
        form = stanza.find(forms.FORM)
        if form is None or forms.formTypeOf(form) != SUBSCRIBE_AUTHORIZATION:
            return False
        if form.get("type") == "submit":
            await self._decide(stanza, forms.values(form))
        return True

    async def _decide(self, stanza: Stanza, values: Mapping[str, tuple[str, ...]]) -> None:
        name = self._shelf.named(forms.first(values, "pubsub#node"))
        allow = forms.truth(forms.first(values, "pubsub#allow"))
        jid, subid = forms.first(values, "pubsub#subscriber_jid"), forms.first(values, "pubsub#subid")
        sender = parse(stanza.attrs["from"]).bare
        owner = self._host.domain

        async def work() -> None:
            node = await self._shelf.owned(owner, name, sender)
            for each in node.subscriptions:
                if each.state == "pending" and each.jid == jid and subid in (None, each.subid):
                    await self.settle(node, each, allow)

        await self._shelf.alone(owner, name, work)

    async def settle(self, node: Node, subscription: NodeSubscription, allow: bool) -> None:
        """Approve or deny a pending subscription, and tell who asked for it."""
        state = "subscribed" if allow else "none"
        settled = NodeSubscription(subscription.jid, subscription.subid, state, subscription.options)
        await self._shelf.store.setSubscription(node.owner, node.name, settled)
        self._notices.state(node, settled)
        if allow:
            await self.begun(node, settled)

    # --- unsubscribe and options

    async def unsubscribe(self, request: Request, action: Element) -> Element:
        """End a subscription (section 6.2)."""
        name = self._shelf.named(action.get("node"))
        owner = self._profile.owner(request)

        async def work() -> NodeSubscription:
            node = await self._shelf.get(owner, name)
            found = self._one(request, node, action, ErrorType.CANCEL)
            ended = NodeSubscription(found.jid, found.subid, "none")
            await self._shelf.store.setSubscription(owner, name, ended)
            self._tellOwners(node, ended)
            return ended

        ended = await self._shelf.alone(owner, name, work)
        return Element("pubsub", PUBSUB, {}, (Element("subscription", PUBSUB, subscriptionAttrs(name, ended)),))

    def _one(self, request: Request, node: Node, action: Element, absent: ErrorType) -> NodeSubscription:
        """The subscription a request is about (sections 6.2.3 and 6.3.4)."""
        text = action.get("jid")
        if not text:
            raise refusal(StanzaCondition.BAD_REQUEST, "jid-required")
        try:
            jid = parse(text)
        except JIDMalformed as error:
            raise refusal(StanzaCondition.BAD_REQUEST, "invalid-jid") from error
        if jid.bare != request.sender.bare:
            raise forbidden()
        mine = [each for each in node.subscriptions if each.jid == jid.full]
        if not mine:
            raise refusal(StanzaCondition.UNEXPECTED_REQUEST, "not-subscribed", type=absent)
        subid = action.get("subid")
        if subid is None:
            if len(mine) > 1:
                raise refusal(StanzaCondition.BAD_REQUEST, "subid-required")
            return mine[0]
        for each in mine:
            if each.subid == subid:
                return each
        raise refusal(StanzaCondition.NOT_ACCEPTABLE, "invalid-subid")

    async def options(self, request: Request, action: Element) -> Element:
        """The form of a subscription's options (section 6.3.2)."""
        node = await self._shelf.get(self._profile.owner(request), action.get("node"))
        found = self._one(request, node, action, ErrorType.MODIFY)
        attrs = {"node": node.name, "jid": found.jid, "subid": found.subid}
        form = choices.fromText(found.options).toForm()
        return Element("pubsub", PUBSUB, {}, (Element("options", PUBSUB, attrs, (form,)),))

    async def setOptions(self, request: Request, action: Element) -> None:
        """Change a subscription's options (section 6.3.5)."""
        name = self._shelf.named(action.get("node"))
        owner = self._profile.owner(request)

        async def work() -> None:
            node = await self._shelf.get(owner, name)
            found = self._one(request, node, action, ErrorType.MODIFY)
            form = action.find("x", ns.DATA_FORMS)
            if form is not None and form.get("type") == "cancel":
                return
            values = submitted(form, SUBSCRIBE_OPTIONS)
            chosen = choices.changed(choices.fromText(found.options), values, self._host.clock.seconds())
            changed = NodeSubscription(found.jid, found.subid, found.state, chosen.toText())
            await self._shelf.store.setSubscription(owner, name, changed)

        await self._shelf.alone(owner, name, work)

    async def default(self, request: Request, action: Element) -> Element:
        """The options of who doesn't choose any (section 6.4)."""
        name = action.get("node")
        if name is not None:
            await self._shelf.get(self._profile.owner(request), name)
        attrs = {} if name is None else {"node": name}
        form = SubscriptionOptions().toForm()
        return Element("pubsub", PUBSUB, {}, (Element("default", PUBSUB, attrs, (form,)),))

    # --- what one has

    async def subscriptions(self, request: Request, action: Element) -> Element:
        """The subscriptions of who asks, at all nodes or at one (section 5.6)."""
        name = action.get("node")
        if name is not None:
            await self._shelf.get(self._profile.owner(request), name)
        found = await self._shelf.store.subscriptionsOf(self._profile.owner(request), request.sender.bare)
        children = tuple(
            Element("subscription", PUBSUB, subscriptionAttrs(node, each))
            for node, each in found
            if name in (None, node) and choices.fromText(each.options).current(self._host.clock.seconds())
        )
        attrs = {} if name is None else {"node": name}
        return Element("pubsub", PUBSUB, {}, (Element("subscriptions", PUBSUB, attrs, children),))

    async def affiliations(self, request: Request, action: Element) -> Element:
        """The affiliations of who asks, with all nodes or with one (section 5.7)."""
        name, owner = action.get("node"), self._profile.owner(request)
        bare = request.sender.bare
        if name is not None:
            node = await self._shelf.get(owner, name)
            affiliation = self._shelf.affiliation(node, bare)
            found = {} if affiliation == "none" else {name: affiliation}
        elif self._profile.reigns(owner, bare) and bareOf(owner) == bare:
            found = {record.node: "owner" for record in await self._shelf.records(owner)}
        else:
            found = dict(await self._shelf.store.affiliationsOf(owner, bare))
        children = tuple(
            Element("affiliation", PUBSUB, {"node": node, "affiliation": affiliation})
            for node, affiliation in found.items()
        )
        attrs = {} if name is None else {"node": name}
        return Element("pubsub", PUBSUB, {}, (Element("affiliations", PUBSUB, attrs, children),))


def pendingOf(node: Node) -> list[NodeSubscription]:
    """The subscriptions of a node that wait for approval."""
    return [each for each in node.subscriptions if each.state == "pending"]
