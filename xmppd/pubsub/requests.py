"""
IQs to use cases: what a request in one of the two namespaces asks for, and whether it is put as XEP-0060 wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from xmppd.ixmppd import IHost, Missing, Request
from xmppd.pubsub.configuration import boolean
from xmppd.pubsub.errors import nodeRequired, notFound, refusal
from xmppd.pubsub.names import OWNER, PUBSUB
from xmppd.pubsub.notices import Notices
from xmppd.pubsub.owning import Owning
from xmppd.pubsub.people import People
from xmppd.pubsub.profile import Profile
from xmppd.pubsub.publishing import Publishing
from xmppd.pubsub.retrieving import Retrieving
from xmppd.pubsub.shelf import Shelf
from xmppd.pubsub.subscribing import Subscribing
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

Answer = Element | bytes | None
Action = Callable[[Request, Element, Element | None], Coroutine[Any, Any, Answer]]

FOLLOWERS: Final = {"create": "configure", "subscribe": "options", "publish": "publish-options"}
"""What may stand behind a request's action."""

LISTS: Final = ("subscriptions", "affiliations")
"""Answers that say something only if something is in them."""

MOST_RETRACTED: Final = 1000
"""How many items one request may delete."""


class PubSub:
    """
    Publish-subscribe on a host, with the rules of a profile.

    @ivar shelf: the nodes.
    @ivar notices: the events.
    @ivar publishing: what publishers do.
    @ivar owning: what owners do.
    """

    def __init__(self, host: IHost, profile: Profile) -> None:
        self.shelf = Shelf(host, profile)
        self.notices = Notices(self.shelf)
        self.publishing = Publishing(self.shelf, self.notices)
        self.retrieving = Retrieving(self.shelf)
        self.subscribing = Subscribing(self.shelf, self.notices)
        self.owning = Owning(self.shelf, self.notices)
        self.people = People(self.shelf, self.notices, self.subscribing)
        self._profile = profile
        self._actions = self._table()

    def _table(self) -> dict[tuple[str, str, str], Action]:
        """The use cases by namespace, type of the IQ and name of the action."""
        plain: dict[tuple[str, str, str], Callable[[Request, Element], Coroutine[Any, Any, Answer]]] = {
            (PUBSUB, "get", "items"): self.retrieving.items,
            (PUBSUB, "get", "subscriptions"): self.subscribing.subscriptions,
            (PUBSUB, "get", "affiliations"): self.subscribing.affiliations,
            (PUBSUB, "get", "default"): self.subscribing.default,
            (PUBSUB, "get", "options"): self.subscribing.options,
            (PUBSUB, "set", "options"): self.subscribing.setOptions,
            (PUBSUB, "set", "unsubscribe"): self.subscribing.unsubscribe,
            (PUBSUB, "set", "retract"): self._retract,
            (OWNER, "get", "configure"): self.owning.configuration,
            (OWNER, "set", "configure"): self.owning.configure,
            (OWNER, "get", "default"): self.owning.default,
            (OWNER, "set", "delete"): self.owning.delete,
            (OWNER, "set", "purge"): self.owning.purge,
            (OWNER, "get", "subscriptions"): self.people.subscriptions,
            (OWNER, "set", "subscriptions"): self.people.setSubscriptions,
            (OWNER, "get", "affiliations"): self.people.affiliations,
            (OWNER, "set", "affiliations"): self.people.setAffiliations,
        }
        table: dict[tuple[str, str, str], Action] = {key: _alone(act) for key, act in plain.items()}
        table[PUBSUB, "set", "create"] = self._create
        table[PUBSUB, "set", "subscribe"] = self._subscribe
        table[PUBSUB, "set", "publish"] = self._publish
        return table

    def join(self, host: IHost) -> None:
        """Answer the requests of both namespaces."""
        for namespace in (PUBSUB, OWNER):
            for type in ("get", "set"):
                host.respond(self._profile.target, type, f"{namespace} pubsub", self.respond)

    async def respond(self, request: Request) -> Answer:
        """Answer one request."""
        await self._profile.admit(request)
        actions = list(request.payload.elements())
        first = actions[0] if actions else None
        try:
            answer = await self._answered(request, first, actions)
        except Missing as error:  # the node was forgotten with its owner while this was going on
            raise await self._profile.conceal(request, notFound()) from error
        except StanzaError as error:
            if error.condition != StanzaCondition.ITEM_NOT_FOUND and await self._aboutNode(request, first):
                raise
            raise await self._profile.conceal(request, error) from error
        if isinstance(answer, Element) and _tellsNothing(answer):
            refusal = await self._profile.conceal(request, None)
            if refusal is not None:
                raise refusal
        return answer

    async def _answered(self, request: Request, first: Element | None, actions: list[Element]) -> Answer:
        """Do what a request asks for."""
        payload = request.payload
        if first is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "The request asks for nothing.")
        act = self._actions.get((payload.ns, request.type, first.name)) if first.ns == payload.ns else None
        if act is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such request.")
        return await act(request, first, self._follower(payload, actions))

    async def _aboutNode(self, request: Request, action: Element | None) -> bool:
        """Whether a request names a node that is there."""
        name = None if action is None else action.get("node")
        try:
            return bool(name) and await self.shelf.find(self._profile.owner(request), name) is not None
        except StanzaError:  # no node can have that name
            return False

    def _follower(self, payload: Element, actions: list[Element]) -> Element | None:
        """What stands behind the action and belongs to it."""
        rest = [each for each in actions[1:] if each.ns != ns.RESULT_SET]
        if not rest:
            return None
        expected = FOLLOWERS.get(actions[0].name) if payload.ns == PUBSUB else None
        if len(rest) > 1 or rest[0].ns != payload.ns or rest[0].name != expected:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "The request asks for more than one thing.")
        if "node" in rest[0].attrs or "jid" in rest[0].attrs:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "The node and the address belong to the first element.")
        return rest[0]

    # --- the actions that need more than their element

    async def _create(self, request: Request, action: Element, follower: Element | None) -> Answer:
        form = None if follower is None else follower.find("x", ns.DATA_FORMS)
        name = await self.publishing.create(request, action.get("node"), form)
        return Element("pubsub", PUBSUB, {}, (Element("create", PUBSUB, {"node": name}),))

    async def _subscribe(self, request: Request, action: Element, follower: Element | None) -> Answer:
        form = None if follower is None else follower.find("x", ns.DATA_FORMS)
        return await self.subscribing.subscribe(request, action, form)

    async def _publish(self, request: Request, action: Element, follower: Element | None) -> Answer:
        form = None
        if follower is not None:
            form = follower.find("x", ns.DATA_FORMS)
            if form is None:
                raise StanzaError(StanzaCondition.BAD_REQUEST, "The options of publishing are a form.")
        items = list(action.elements("item"))
        item = await self.publishing.publish(request, action.get("node"), items, form)
        children = () if item is None else (Element("item", PUBSUB, {"id": item.id}),)
        node = action.get("node") or ""
        return Element("pubsub", PUBSUB, {}, (Element("publish", PUBSUB, {"node": node}, children),))

    async def _retract(self, request: Request, action: Element) -> None:
        if not action.get("node"):
            raise nodeRequired()
        ids = [item.get("id") for item in action.elements("item")]
        if not ids or not all(ids) or len(ids) > MOST_RETRACTED:
            raise refusal(StanzaCondition.BAD_REQUEST, "item-required")
        notify = action.get("notify")
        try:
            told = None if notify is None else boolean(notify)
        except ValueError as error:
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"notify: {error}.") from error
        wanted = [id for id in dict.fromkeys(ids) if id]
        await self.publishing.retract(request, action.get("node"), wanted, told)


def _tellsNothing(answer: Element) -> bool:
    """Whether an answer is the same for everybody: no subscription and no affiliation, or what new nodes are like."""
    return all(each.name == "default" or (each.name in LISTS and not each.children) for each in answer.elements())


def _alone(act: Callable[[Request, Element], Coroutine[Any, Any, Answer]]) -> Action:
    """An action that nothing may follow, but for paging."""

    async def acting(request: Request, action: Element, follower: Element | None) -> Answer:
        return await act(request, action)

    return acting
