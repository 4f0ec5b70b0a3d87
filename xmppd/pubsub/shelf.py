"""
Nodes as they are in the store, and what somebody may do with them (XEP-0060 sections 4.1 and 4.5).

The store is asked each time: what one host does, or the removal of an account, is seen by all the others at once.
Changes of one node happen one after the other, so that notifications leave in the order of what they tell of.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import DeferredLock

from xmppd.ixmppd import IHost, NodeItem, NodeRecord, NodeSubscription
from xmppd.pubsub.configuration import NodeConfig
from xmppd.pubsub.errors import forbidden, nodeRequired, notFound, refusal
from xmppd.pubsub.names import LONGEST_NODE
from xmppd.pubsub.options import fromText
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError

if TYPE_CHECKING:
    from xmppd.pubsub.profile import Profile

T = TypeVar("T")

AFFILIATIONS: Final = ("owner", "publisher", "publish-only", "member", "none", "outcast")
READERS: Final = ("owner", "publisher", "member")
"""Affiliations that may subscribe and retrieve whatever the access model is."""

PUBLISHERS: Final = ("owner", "publisher", "publish-only")

PAGE: Final = 1000
"""How many nodes or items are read at a time."""


FEW: Final = 50
"""How many items are read at a time where there may be many and large ones."""


@dataclass(frozen=True, slots=True)
class Node:
    """
    A node with everybody who has to do with it.

    @ivar affiliations: by bare JID, without those of the profile's own.
    """

    record: NodeRecord
    config: NodeConfig
    affiliations: Mapping[str, str]
    subscriptions: Sequence[NodeSubscription]

    @property
    def owner(self) -> str:
        """The service's domain, or the account."""
        return self.record.owner

    @property
    def name(self) -> str:
        """The NodeID."""
        return self.record.node

    def owners(self) -> list[str]:
        """
        The bare JIDs of those who own it: the creator, if nobody is written down (its creation was interrupted, or it
        is an account's).
        """
        found = [bare for bare, affiliation in self.affiliations.items() if affiliation == "owner"]
        return found or ([self.record.creator] if self.record.creator else [])

    def of(self, bare: str) -> list[NodeSubscription]:
        """The subscriptions of an entity and its resources."""
        return [each for each in self.subscriptions if bareOf(each.jid) == bare]


def bareOf(jid: str) -> str:
    """The bare JID of a canonical address."""
    return jid.partition("/")[0]


class Shelf:
    """All nodes that one profile has on a host."""

    def __init__(self, host: IHost, profile: Profile) -> None:
        self.host = host
        self.profile = profile
        self.store = host.pubsub
        self._locks: dict[tuple[str, str], DeferredLock] = {}

    async def alone(self, owner: str, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something with a node while nobody else does."""
        key = (owner, name)
        lock = self._locks.setdefault(key, DeferredLock())
        await lock.acquire()
        try:
            return await work()
        finally:
            lock.release()
            if not lock.locked and self._locks.get(key) is lock:
                del self._locks[key]

    # --- nodes

    def named(self, name: str | None) -> str:
        """
        The name of a node, if it can be one.

        @raise StanzaError: there is none, or there can't be a node of that name.
        """
        if not name:
            raise nodeRequired()
        if len(name.encode()) > LONGEST_NODE:
            raise notFound()
        return name

    async def find(self, owner: str, name: str | None) -> Node | None:
        """A node, or None."""
        record = await self.store.get(owner, self.named(name))
        return None if record is None else await self.complete(record)

    async def complete(self, record: NodeRecord) -> Node:
        """A node of which the record is known."""
        affiliations = await self.store.affiliations(record.owner, record.node)
        subscriptions = await self.store.subscriptions(record.owner, record.node)
        now = self.host.clock.seconds()
        return Node(record, self.configOf(record), affiliations, [each for each in subscriptions if lasting(each, now)])

    def configOf(self, record: NodeRecord) -> NodeConfig:
        """How a node is configured."""
        return self.profile.defaults.fromText(record.config)

    async def get(self, owner: str, name: str | None) -> Node:
        """
        A node.

        @raise StanzaError: there is none.
        """
        node = await self.find(owner, name)
        if node is None:
            raise notFound("There is no such node.")
        return node

    async def records(self, owner: str) -> list[NodeRecord]:
        """All nodes of an owner, by name, at most L{PAGE}."""
        return list(await self.store.nodes(owner, limit=PAGE))

    # --- who may

    def affiliation(self, node: Node, bare: str) -> str:
        """What somebody is to a node."""
        if self.profile.reigns(node.owner, bare):
            return "owner"
        if bare in node.owners():
            return "owner"
        return node.affiliations.get(bare, "none")

    async def owned(self, owner: str, name: str | None, bare: str) -> Node:
        """
        A node that belongs to somebody.

        @raise StanzaError: it isn't there, or is somebody else's (section 14.2).
        """
        node = await self.get(owner, name)
        if self.affiliation(node, bare) != "owner":
            raise forbidden()
        return node

    async def readRefusal(self, node: Node, bare: str, subscribing: bool = False) -> StanzaError | None:
        """
        Why somebody may not retrieve items, or may not subscribe; None if they may (sections 6.1.3 and 6.5.9).

        @param subscribing: then C{authorize} is no reason: the subscription will be pending.
        """
        if node.config.accessModel == "presence" and self.affiliation(node, bare) == "none":
            sees = await self.profile.seesPresence(node, bare)  # which may be known without reading a roster
            return None if sees else _strange()
        error = (await self.judged(node))(bare)
        if error is None and node.config.accessModel == "authorize" and not subscribing:
            if self.affiliation(node, bare) not in READERS and all(
                each.state != "subscribed" for each in node.of(bare)
            ):
                return refusal(StanzaCondition.NOT_AUTHORIZED, "not-subscribed")
        return error

    async def judged(self, node: Node) -> Callable[[str], StanzaError | None]:
        """What says of somebody why they may not subscribe to a node; for one node and many people."""
        model = node.config.accessModel
        contacts = await self.profile.contacts(node) if model in ("presence", "roster") else {}
        groups = set(node.config.rosterGroups)

        def judge(bare: str) -> StanzaError | None:
            affiliation = self.affiliation(node, bare)
            if affiliation in READERS:
                return None
            if affiliation != "none":
                return forbidden()
            if model == "presence" and bare not in contacts:
                return _strange()
            if model == "roster" and (bare not in contacts or not groups.intersection(contacts[bare].groups)):
                return refusal(StanzaCondition.NOT_AUTHORIZED, "not-in-roster-group")
            if model == "whitelist":
                return refusal(StanzaCondition.NOT_ALLOWED, "closed-node")
            return None

        return judge

    # --- items

    async def newest(self, node: Node, limit: int = PAGE) -> list[NodeItem]:
        """The newest items that have not expired, the newest first; one call to the store for each thousand."""
        found: list[NodeItem] = []
        before: str | None = None
        while len(found) < limit:
            some = await self.store.items(node.owner, node.name, min(PAGE, limit - len(found)), before)
            found += some
            if len(some) < PAGE:
                break
            before = some[-1].id
        return self.fresh(node, found)

    async def ids(self, node: Node) -> list[str]:
        """The ids of all items that have not expired, in the order of publication; read few items at a time."""
        found: list[str] = []
        before: str | None = None
        while True:
            some = await self.store.items(node.owner, node.name, FEW, before)
            found += [item.id for item in self.fresh(node, some)]
            if len(some) < FEW:
                return found[::-1]
            before = some[-1].id

    async def makeRoom(self, owner: str, size: int) -> None:
        """
        Check that something more may be kept.

        @raise StanzaError: it would be too much.
        """
        most = self.profile.bounds.bytes
        if await self.store.size(owner) + size > most:
            text = f"At most {most} octets are kept."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text, ErrorType.CANCEL)

    def fresh(self, node: Node, items: Sequence[NodeItem]) -> list[NodeItem]:
        """Those of some items that have not expired."""
        if node.config.itemExpire is None:
            return list(items)
        oldest = self.host.clock.seconds() - node.config.itemExpire
        return [item for item in items if item.stamp > oldest]


def _strange() -> StanzaError:
    """To somebody who doesn't see the owner's presence (section 6.1.3.2)."""
    return refusal(StanzaCondition.NOT_AUTHORIZED, "presence-subscription-required")


def lasting(subscription: NodeSubscription, now: float) -> bool:
    """Whether a subscription has not ended (section 12.19)."""
    return fromText(subscription.options).current(now)
