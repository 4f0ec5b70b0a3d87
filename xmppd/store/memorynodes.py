"""
Nodes of publish-subscribe in memory. See L{xmppd.store.memory}.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from xmppd.ixmppd import Exists, INodeStore, Missing, NodeItem, NodeRecord, NodeSubscription
from xmppd.store.values import (
    MAXIMUM_ITEMS,
    MAXIMUM_PAGE,
    bareOf,
    checkAffiliations,
    checkItems,
    checkNode,
    checkRecord,
    checkSettings,
    checkSubscription,
    checkText,
    itemSize,
    nodeSize,
)


@dataclass(slots=True, eq=False)
class _Node:
    """
    A node with everything in it.

    @ivar items: by id, the oldest first.
    @ivar subscriptions: by JID and id.
    """

    record: NodeRecord
    items: dict[str, NodeItem] = field(default_factory=dict)
    affiliations: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[tuple[str, str], NodeSubscription] = field(default_factory=dict)


@implementer(INodeStore)
class MemoryNodes:
    """Nodes by owner and name."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, _Node]] = {}

    # --- nodes

    def create(self, record: NodeRecord) -> Deferred[None]:
        """Make a node. Fails with L{Exists}."""
        checkRecord(record)
        nodes = self._owners.setdefault(record.owner, {})
        if record.node in nodes:
            return fail(Exists(record.node))
        nodes[record.node] = _Node(record)
        return succeed(None)

    def get(self, owner: str, node: str) -> Deferred[NodeRecord | None]:
        """A node, or None."""
        found = self._find(owner, node)
        return succeed(found.record if found else None)

    def configure(self, owner: str, node: str, config: str) -> Deferred[None]:
        """Replace the configuration. Fails with L{Missing}."""
        checkSettings(config)
        found = self._find(owner, node)
        if found is None:
            return fail(Missing(node))
        found.record = replace(found.record, config=config)
        return succeed(None)

    def delete(self, owner: str, node: str) -> Deferred[None]:
        """Delete a node with everything in it. Fails with L{Missing}."""
        if self._find(owner, node) is None:
            return fail(Missing(node))
        del self._owners[owner][node]
        return succeed(None)

    def nodes(self, owner: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NodeRecord]]:
        """Nodes of an owner by name, at most L{MAXIMUM_PAGE}."""
        checkText(owner, after)
        nodes = self._owners.get(owner, {})
        names = sorted(nodes)
        first = bisect_right(names, after)
        return succeed(tuple(nodes[name].record for name in names[first : first + min(limit, MAXIMUM_PAGE)]))

    def size(self, owner: str) -> Deferred[int]:
        """How many octets the owner's nodes and items take."""
        checkText(owner)
        nodes = self._owners.get(owner, {}).values()
        records = sum(nodeSize(each.record.node, each.record.config) for each in nodes)
        return succeed(records + sum(itemSize(item) for each in nodes for item in each.items.values()))

    def forget(self, owner: str) -> Deferred[None]:
        """Delete all nodes of an owner."""
        checkText(owner)
        self._owners.pop(owner, None)
        return succeed(None)

    # --- items

    def publish(self, owner: str, node: str, items: Sequence[NodeItem], most: int) -> Deferred[Sequence[str]]:
        """Add or replace items, at most L{MAXIMUM_ITEMS} of which are kept. Fails with L{Missing}."""
        checkItems(items)
        found = self._find(owner, node)
        if found is None:
            return fail(Missing(node))
        for item in items:
            found.items.pop(item.id, None)
            found.items[item.id] = item
        old = tuple(found.items)[: max(0, len(found.items) - max(0, min(most, MAXIMUM_ITEMS)))]
        for id in old:
            del found.items[id]
        return succeed(old)

    def items(
        self, owner: str, node: str, limit: int = 1000, before: str | None = None
    ) -> Deferred[Sequence[NodeItem]]:
        """The newest items, newest first, at most L{MAXIMUM_PAGE}. Fails with L{Missing}."""
        if before is not None:
            checkText(before)
        items = self._items(owner, node)
        ids = list(items)
        if before is not None:
            if before not in items:
                return fail(Missing(before))
            ids = ids[: ids.index(before)]
        return succeed(tuple(items[id] for id in ids[::-1][: min(limit, MAXIMUM_PAGE)]))

    def itemsById(self, owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[NodeItem]]:
        """The items there are of these ids, in the order of the ids."""
        checkText(*ids)
        items = self._items(owner, node)
        return succeed(tuple(items[id] for id in dict.fromkeys(ids) if id in items))

    def countItems(self, owner: str, node: str) -> Deferred[int]:
        """How many items a node has."""
        return succeed(len(self._items(owner, node)))

    def retract(self, owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[str]]:
        """Delete items; answers the ids that were there."""
        checkText(*ids)
        items = self._items(owner, node)
        return succeed(tuple(id for id in dict.fromkeys(ids) if items.pop(id, None) is not None))

    def purge(self, owner: str, node: str) -> Deferred[None]:
        """Delete all items."""
        self._items(owner, node).clear()
        return succeed(None)

    # --- affiliations and subscriptions

    def affiliations(self, owner: str, node: str) -> Deferred[Mapping[str, str]]:
        """Affiliations by bare JID."""
        found = self._find(owner, node)
        return succeed(dict(sorted(found.affiliations.items())) if found else {})

    def setAffiliations(self, owner: str, node: str, changes: Mapping[str, str]) -> Deferred[None]:
        """Change affiliations. Fails with L{Missing}."""
        checkAffiliations(changes)
        found = self._find(owner, node)
        if found is None:
            return fail(Missing(node))
        for entity, affiliation in changes.items():
            found.affiliations[entity] = affiliation
            if affiliation == "none":
                del found.affiliations[entity]
        return succeed(None)

    def affiliationsOf(self, owner: str, entity: str) -> Deferred[Mapping[str, str]]:
        """The affiliations of an entity by node."""
        checkText(owner, entity)
        nodes = sorted(self._owners.get(owner, {}).items())
        return succeed({name: each.affiliations[entity] for name, each in nodes if entity in each.affiliations})

    def subscriptions(self, owner: str, node: str) -> Deferred[Sequence[NodeSubscription]]:
        """All subscriptions of a node."""
        found = self._find(owner, node)
        return succeed(tuple(each for _, each in sorted(found.subscriptions.items())) if found else ())

    def setSubscription(self, owner: str, node: str, subscription: NodeSubscription) -> Deferred[None]:
        """Add, replace or remove a subscription. Fails with L{Missing}."""
        checkSubscription(subscription)
        found = self._find(owner, node)
        if found is None:
            return fail(Missing(node))
        key = subscription.jid, subscription.subid
        found.subscriptions[key] = subscription
        if subscription.state == "none":
            del found.subscriptions[key]
        return succeed(None)

    def subscriptionsOf(self, owner: str, bare: str) -> Deferred[Sequence[tuple[str, NodeSubscription]]]:
        """(node, subscription) of an entity's bare JID or its resources."""
        checkText(owner, bare)
        nodes = sorted(self._owners.get(owner, {}).items())
        return succeed(
            tuple(
                (name, each)
                for name, node in nodes
                for (jid, _), each in sorted(node.subscriptions.items())
                if bareOf(jid) == bare
            )
        )

    def forgetEntity(self, bare: str) -> Deferred[None]:
        """Delete affiliations and subscriptions of an entity at all owners, and its name everywhere."""
        checkText(bare)
        for node in self._all():
            node.affiliations.pop(bare, None)
            node.subscriptions = {key: each for key, each in node.subscriptions.items() if bareOf(key[0]) != bare}
            if node.record.creator == bare:
                node.record = replace(node.record, creator="")
            for item in node.items.values():
                if item.publisher == bare:
                    node.items[item.id] = replace(item, publisher="")
        return succeed(None)

    def ownerless(self, owner: str) -> Deferred[Sequence[str]]:
        """The names of nodes that have lost their creator and have no owner."""
        checkText(owner)
        nodes = sorted(self._owners.get(owner, {}).items())
        lost = [name for name, each in nodes if not each.record.creator and "owner" not in each.affiliations.values()]
        return succeed(tuple(lost[:MAXIMUM_PAGE]))

    def _all(self) -> Iterator[_Node]:
        for nodes in self._owners.values():
            yield from nodes.values()

    def _find(self, owner: str, node: str) -> _Node | None:
        checkNode(owner, node)
        return self._owners.get(owner, {}).get(node)

    def _items(self, owner: str, node: str) -> dict[str, NodeItem]:
        found = self._find(owner, node)
        return found.items if found else {}
