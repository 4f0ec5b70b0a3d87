"""
Nodes of publish-subscribe in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, exists, func, literal_column, select, tuple_
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import Exists, INodeStore, Missing, NodeItem, NodeRecord, NodeSubscription
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import digest, nodeAffiliations, nodeItems, nodes, nodeSubscriptions
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import (
    MAXIMUM_ITEMS,
    MAXIMUM_PAGE,
    MAXIMUM_PRUNED,
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

_MEMBERS = (nodeItems, nodeAffiliations, nodeSubscriptions)
"""Tables of what is in nodes."""


def _keyOf(subscription: NodeSubscription) -> bytes:
    """What stands for a subscription's JID and id, neither of which can hold NUL."""
    return digest(f"{subscription.jid}\0{subscription.subid}")


def _itemRow(owner: str, node: str, position: int, item: NodeItem) -> dict[str, Any]:
    return {
        "owner": owner,
        "node": node,
        "digest": digest(item.id),
        "id": item.id,
        "position": position,
        "publisher": item.publisher,
        "stamp": item.stamp,
        "size": itemSize(item),
        "payload": item.payload,
    }


@implementer(INodeStore)
class SQLNodes:
    """See L{INodeStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread) -> None:
        self._writer = writer
        self._reader = reader
        self._compileNodes(backend)
        self._compileItems(backend)
        self._compileItemWrites(backend)
        self._compileMembers(backend)
        self._prepareNodes()
        self._prepareMembers()

    def _prepareNodes(self) -> None:
        self._create = Operation(self._runCreate)
        self._get = Operation(self._runGet)
        self._configure = Operation(self._runConfigure)
        self._delete = Operation(self._runDelete)
        self._nodes = Operation(self._runNodes)
        self._publish = Operation(self._runPublish)
        self._items = Operation(self._runItems)
        self._itemsById = Operation(self._runItemsById)
        self._countItems = Operation(self._runCountItems)
        self._retract = Operation(self._runRetract)
        self._purge = Operation(self._runPurge)

    def _prepareMembers(self) -> None:
        self._affiliations = Operation(self._runAffiliations)
        self._setAffiliations = Operation(self._runSetAffiliations)
        self._affiliationsOf = Operation(self._runAffiliationsOf)
        self._subscriptions = Operation(self._runSubscriptions)
        self._setSubscription = Operation(self._runSetSubscription)
        self._subscriptionsOf = Operation(self._runSubscriptionsOf)
        self._size = Operation(self._runSize)
        self._forget = Operation(self._runForget)
        self._forgetEntity = Operation(self._runForgetEntity)
        self._ownerless = Operation(self._runOwnerless)

    def _compileNodes(self, backend: Backend) -> None:
        text = backend.text
        table = nodes.c
        record = (table.owner, table.node, table.config, table.creator, table.created)
        mine = table.owner == bindparam("whose")
        one = mine & (table.node == bindparam("which"))
        self._sqlCreate = text(nodes.insert())
        self._sqlGet = text(select(*record).where(one))
        self._sqlConfigure = text(nodes.update().where(one).values(config=bindparam("text"), size=bindparam("octets")))
        self._sqlNodes = text(
            select(*record)
            .where(mine, table.node > bindparam("after"))
            .order_by(table.node)
            .limit(bindparam("most"))
            .offset(literal_column("0"))
        )
        self._sqlDelete = [
            text(each.delete().where(each.c.owner == bindparam("whose"), each.c.node == bindparam("which")))
            for each in (*_MEMBERS, nodes)
        ]
        self._sqlForget = [text(each.delete().where(each.c.owner == bindparam("whose"))) for each in (*_MEMBERS, nodes)]
        self._sqlSize = text(select(func.sum(table.size)).where(mine))
        self._sqlUncreate = text(
            nodes.update().where(table.creator == bindparam("who")).values(creator=literal_column("''"))
        )
        member = nodeAffiliations.c
        owned = exists().where(
            member.owner == table.owner, member.node == table.node, member.affiliation == literal_column("'owner'")
        )
        self._sqlOwnerless = text(
            select(table.node)
            .where(mine, table.creator == literal_column("''"), ~owned)
            .order_by(table.node)
            .limit(bindparam("most"))
            .offset(literal_column("0"))
        )

    def _compileItems(self, backend: Backend) -> None:
        text = backend.text
        table = nodeItems.c
        item = (table.id, table.payload, table.publisher, table.stamp)
        here = (table.owner == bindparam("whose")) & (table.node == bindparam("which"))
        self._sqlItems = text(
            select(*item)
            .where(here, table.position < bindparam("before"))
            .order_by(table.position.desc())
            .limit(bindparam("most"))
            .offset(literal_column("0"))
        )
        self._sqlItem = text(select(*item).where(here, table.digest == bindparam("what")))
        self._sqlPosition = text(select(table.position).where(here, table.digest == bindparam("what")))
        self._sqlCountItems = text(select(func.count()).select_from(nodeItems).where(here))
        self._sqlItemsSize = text(select(func.sum(table.size)).where(table.owner == bindparam("whose")))

    def _compileItemWrites(self, backend: Backend) -> None:
        text = backend.text
        table = nodeItems.c
        here = (table.owner == bindparam("whose")) & (table.node == bindparam("which"))
        self._sqlPut = backend.upsert(nodeItems)
        self._sqlLast = text(select(func.max(table.position)).where(here))
        # Everything from the first item beyond those that may stay, counted from the newest.
        self._sqlBeyond = text(
            select(table.position)
            .where(here)
            .order_by(table.position.desc())
            .limit(literal_column("1"))
            .offset(bindparam("most"))
        )
        upTo = (here, table.position <= bindparam("last"))
        self._sqlOld = text(select(table.id).where(*upTo).order_by(table.position))
        self._sqlDeleteOld = text(nodeItems.delete().where(*upTo))
        self._sqlRetract = text(nodeItems.delete().where(here, table.digest == bindparam("what")))
        mine = table.owner == bindparam("whose")
        first = (
            select(table.node, table.digest)
            .where(mine)
            .order_by(table.node, table.digest)
            .limit(bindparam("most"))
            .offset(literal_column("0"))
        )
        self._sqlShrink = text(nodeItems.delete().where(mine, tuple_(table.node, table.digest).in_(first)))
        key = (table.owner, table.node, table.digest)
        theirs = (
            select(*key).where(table.publisher == bindparam("who")).limit(bindparam("most")).offset(literal_column("0"))
        )
        self._sqlUnname = text(
            nodeItems.update().where(tuple_(*key).in_(theirs)).values(publisher=literal_column("''"))
        )

    def _compileMembers(self, backend: Backend) -> None:
        text = backend.text
        table, other = nodeAffiliations.c, nodeSubscriptions.c
        here = (table.owner == bindparam("whose")) & (table.node == bindparam("which"))
        there = (other.owner == bindparam("whose")) & (other.node == bindparam("which"))
        subscription = (other.jid, other.subid, other.state, other.options)
        order = (other.node, other.jid, other.subid)
        self._sqlAffiliations = text(select(table.entity, table.affiliation).where(here).order_by(table.entity))
        self._sqlAffiliate = backend.upsert(nodeAffiliations)
        self._sqlDisaffiliate = text(nodeAffiliations.delete().where(here, table.entity_digest == bindparam("who")))
        self._sqlAffiliationsOf = text(
            select(table.node, table.affiliation)
            .where(table.entity_digest == bindparam("who"), table.owner == bindparam("whose"))
            .order_by(table.node)
        )
        self._sqlSubscriptions = text(select(*subscription).where(there).order_by(*order))
        self._sqlSubscribe = backend.upsert(nodeSubscriptions)
        self._sqlUnsubscribe = text(nodeSubscriptions.delete().where(there, other.digest == bindparam("what")))
        self._sqlSubscriptionsOf = text(
            select(other.node, *subscription)
            .where(other.entity_digest == bindparam("who"), other.owner == bindparam("whose"))
            .order_by(*order)
        )
        self._sqlForgetEntity = [
            text(each.delete().where(each.c.entity_digest == bindparam("who")))
            for each in (nodeAffiliations, nodeSubscriptions)
        ]

    # --- nodes

    def create(self, record: NodeRecord) -> Deferred[None]:
        """Make a node. Fails with L{Exists}."""
        checkRecord(record)
        return self._writer.submit(self._create, record, octets=len(record.config))

    def get(self, owner: str, node: str) -> Deferred[NodeRecord | None]:
        """A node, or None."""
        checkNode(owner, node)
        return self._reader.submit(self._get, owner, node)

    def configure(self, owner: str, node: str, config: str) -> Deferred[None]:
        """Replace the configuration. Fails with L{Missing}."""
        checkNode(owner, node)
        checkSettings(config)
        return self._writer.submit(self._configure, owner, node, config, octets=len(config))

    def delete(self, owner: str, node: str) -> Deferred[None]:
        """Delete a node with everything in it. Fails with L{Missing}."""
        checkNode(owner, node)
        return self._writer.submit(self._delete, owner, node)

    def nodes(self, owner: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NodeRecord]]:
        """Nodes of an owner by name, at most L{MAXIMUM_PAGE}."""
        checkText(owner, after)
        return self._reader.submit(self._nodes, owner, after, min(limit, MAXIMUM_PAGE))

    def size(self, owner: str) -> Deferred[int]:
        """How many octets the owner's nodes and items take."""
        checkText(owner)
        return self._reader.submit(self._size, owner)

    def forget(self, owner: str) -> Deferred[None]:
        """Delete all nodes of an owner; many items in several transactions."""
        checkText(owner)
        return Deferred.fromCoroutine(self._forgetAll(owner))

    async def _forgetAll(self, owner: str) -> None:
        while not await self._writer.submit(self._forget, owner):
            pass

    # --- items

    def publish(self, owner: str, node: str, items: Sequence[NodeItem], most: int) -> Deferred[Sequence[str]]:
        """Add or replace items, at most L{MAXIMUM_ITEMS} of which are kept. Fails with L{Missing}."""
        checkNode(owner, node)
        checkItems(items)
        octets = sum(len(each.payload) for each in items)
        return self._writer.submit(
            self._publish, owner, node, tuple(items), max(0, min(most, MAXIMUM_ITEMS)), octets=octets
        )

    def items(
        self, owner: str, node: str, limit: int = 1000, before: str | None = None
    ) -> Deferred[Sequence[NodeItem]]:
        """The newest items, newest first, at most L{MAXIMUM_PAGE}. Fails with L{Missing}."""
        checkNode(owner, node)
        if before is not None:
            checkText(before)
        return self._reader.submit(self._items, owner, node, min(limit, MAXIMUM_PAGE), before)

    def itemsById(self, owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[NodeItem]]:
        """The items there are of these ids, in the order of the ids."""
        checkNode(owner, node)
        checkText(*ids)
        return self._reader.submit(self._itemsById, owner, node, tuple(ids))

    def countItems(self, owner: str, node: str) -> Deferred[int]:
        """How many items a node has."""
        checkNode(owner, node)
        return self._reader.submit(self._countItems, owner, node)

    def retract(self, owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[str]]:
        """Delete items; answers the ids that were there."""
        checkNode(owner, node)
        checkText(*ids)
        return self._writer.submit(self._retract, owner, node, tuple(ids))

    def purge(self, owner: str, node: str) -> Deferred[None]:
        """Delete all items."""
        checkNode(owner, node)
        return self._writer.submit(self._purge, owner, node)

    # --- affiliations and subscriptions

    def affiliations(self, owner: str, node: str) -> Deferred[Mapping[str, str]]:
        """Affiliations by bare JID."""
        checkNode(owner, node)
        return self._reader.submit(self._affiliations, owner, node)

    def setAffiliations(self, owner: str, node: str, changes: Mapping[str, str]) -> Deferred[None]:
        """Change affiliations. Fails with L{Missing}."""
        checkNode(owner, node)
        checkAffiliations(changes)
        return self._writer.submit(self._setAffiliations, owner, node, dict(changes))

    def affiliationsOf(self, owner: str, entity: str) -> Deferred[Mapping[str, str]]:
        """The affiliations of an entity by node."""
        checkText(owner, entity)
        return self._reader.submit(self._affiliationsOf, owner, entity)

    def subscriptions(self, owner: str, node: str) -> Deferred[Sequence[NodeSubscription]]:
        """All subscriptions of a node."""
        checkNode(owner, node)
        return self._reader.submit(self._subscriptions, owner, node)

    def setSubscription(self, owner: str, node: str, subscription: NodeSubscription) -> Deferred[None]:
        """Add, replace or remove a subscription. Fails with L{Missing}."""
        checkNode(owner, node)
        checkSubscription(subscription)
        octets = len(subscription.options)
        return self._writer.submit(self._setSubscription, owner, node, subscription, octets=octets)

    def subscriptionsOf(self, owner: str, bare: str) -> Deferred[Sequence[tuple[str, NodeSubscription]]]:
        """(node, subscription) of an entity's bare JID or its resources."""
        checkText(owner, bare)
        return self._reader.submit(self._subscriptionsOf, owner, bare)

    def forgetEntity(self, bare: str) -> Deferred[None]:
        """Delete affiliations and subscriptions of an entity at all owners, and its name everywhere."""
        checkText(bare)
        return Deferred.fromCoroutine(self._forgetEverywhere(bare))

    async def _forgetEverywhere(self, bare: str) -> None:
        while not await self._writer.submit(self._forgetEntity, bare):
            pass

    def ownerless(self, owner: str) -> Deferred[Sequence[str]]:
        """The names of nodes that have lost their creator and have no owner."""
        checkText(owner)
        return self._reader.submit(self._ownerless, owner)

    # --- nodes, in the threads

    def _runCreate(self, connection: Connection, record: NodeRecord) -> None:
        if self._runGet(connection, record.owner, record.node) is not None:
            raise Exists(record.node)
        connection.execute(
            self._sqlCreate,
            {
                "owner": record.owner,
                "node": record.node,
                "config": record.config,
                "creator": record.creator,
                "created": record.created,
                "size": nodeSize(record.node, record.config),
            },
        )

    def _runGet(self, connection: Connection, owner: str, node: str) -> NodeRecord | None:
        row = connection.execute(self._sqlGet, {"whose": owner, "which": node}).fetchone()
        return NodeRecord(*row) if row else None

    def _mustExist(self, connection: Connection, owner: str, node: str) -> None:
        if self._runGet(connection, owner, node) is None:
            raise Missing(node)

    def _runConfigure(self, connection: Connection, owner: str, node: str, config: str) -> None:
        parameters = {"whose": owner, "which": node, "text": config, "octets": nodeSize(node, config)}
        if connection.execute(self._sqlConfigure, parameters).rowcount == 0:
            raise Missing(node)

    def _runDelete(self, connection: Connection, owner: str, node: str) -> None:
        self._mustExist(connection, owner, node)
        for statement in self._sqlDelete:
            connection.execute(statement, {"whose": owner, "which": node})

    def _runNodes(self, connection: Connection, owner: str, after: str, limit: int) -> Sequence[NodeRecord]:
        rows = connection.execute(self._sqlNodes, {"whose": owner, "after": after, "most": limit}).fetchall()
        return tuple(NodeRecord(*row) for row in rows)

    def _runSize(self, connection: Connection, owner: str) -> int:
        sums = (
            connection.execute(statement, {"whose": owner}).fetchone()[0]
            for statement in (self._sqlSize, self._sqlItemsSize)
        )
        return sum(int(each or 0) for each in sums)

    def shrink(self, connection: Connection, owner: str) -> int:
        """Delete some items of an owner, at most L{MAXIMUM_PRUNED}; answers how many."""
        return connection.execute(self._sqlShrink, {"whose": owner, "most": MAXIMUM_PRUNED}).rowcount

    def _runForget(self, connection: Connection, owner: str) -> bool:
        if self.shrink(connection, owner) == MAXIMUM_PRUNED:
            return False
        for statement in self._sqlForget:
            connection.execute(statement, {"whose": owner})
        return True

    # --- items, in the threads

    def _runPublish(
        self, connection: Connection, owner: str, node: str, items: Sequence[NodeItem], most: int
    ) -> Sequence[str]:
        self._mustExist(connection, owner, node)
        here = {"whose": owner, "which": node}
        last = connection.execute(self._sqlLast, here).fetchone()[0] or 0
        for position, item in enumerate(items, last + 1):
            connection.execute(self._sqlPut, _itemRow(owner, node, position, item))
        beyond = connection.execute(self._sqlBeyond, here | {"most": most}).fetchone()
        if beyond is None:
            return ()
        parameters = here | {"last": beyond[0]}
        old = tuple(id for (id,) in connection.execute(self._sqlOld, parameters).fetchall())
        connection.execute(self._sqlDeleteOld, parameters)
        return old

    def _runItems(
        self, connection: Connection, owner: str, node: str, limit: int, before: str | None
    ) -> Sequence[NodeItem]:
        here = {"whose": owner, "which": node}
        end = 1 << 62
        if before is not None:
            row = connection.execute(self._sqlPosition, here | {"what": digest(before)}).fetchone()
            if row is None:
                raise Missing(before)
            end = row[0]
        rows = connection.execute(self._sqlItems, here | {"before": end, "most": limit}).fetchall()
        return tuple(NodeItem(*row) for row in rows)

    def _runItemsById(self, connection: Connection, owner: str, node: str, ids: Sequence[str]) -> Sequence[NodeItem]:
        here = {"whose": owner, "which": node}
        rows = (connection.execute(self._sqlItem, here | {"what": digest(id)}).fetchone() for id in dict.fromkeys(ids))
        return tuple(NodeItem(*row) for row in rows if row)

    def _runCountItems(self, connection: Connection, owner: str, node: str) -> int:
        return int(connection.execute(self._sqlCountItems, {"whose": owner, "which": node}).fetchone()[0])

    def _runRetract(self, connection: Connection, owner: str, node: str, ids: Sequence[str]) -> Sequence[str]:
        here = {"whose": owner, "which": node}
        return tuple(
            id
            for id in dict.fromkeys(ids)
            if connection.execute(self._sqlRetract, here | {"what": digest(id)}).rowcount == 1
        )

    def _runPurge(self, connection: Connection, owner: str, node: str) -> None:
        connection.execute(self._sqlDelete[0], {"whose": owner, "which": node})

    # --- affiliations and subscriptions, in the threads

    def _runAffiliations(self, connection: Connection, owner: str, node: str) -> Mapping[str, str]:
        return dict(connection.execute(self._sqlAffiliations, {"whose": owner, "which": node}).fetchall())

    def _runSetAffiliations(self, connection: Connection, owner: str, node: str, changes: Mapping[str, str]) -> None:
        self._mustExist(connection, owner, node)
        for entity, affiliation in changes.items():
            if affiliation == "none":
                who = {"whose": owner, "which": node, "who": digest(entity)}
                connection.execute(self._sqlDisaffiliate, who)
                continue
            connection.execute(
                self._sqlAffiliate,
                {
                    "owner": owner,
                    "node": node,
                    "entity_digest": digest(entity),
                    "entity": entity,
                    "affiliation": affiliation,
                },
            )

    def _runAffiliationsOf(self, connection: Connection, owner: str, entity: str) -> Mapping[str, str]:
        parameters = {"whose": owner, "who": digest(entity)}
        return dict(connection.execute(self._sqlAffiliationsOf, parameters).fetchall())

    def _runSubscriptions(self, connection: Connection, owner: str, node: str) -> Sequence[NodeSubscription]:
        rows = connection.execute(self._sqlSubscriptions, {"whose": owner, "which": node}).fetchall()
        return tuple(NodeSubscription(*row) for row in rows)

    def _runSetSubscription(
        self, connection: Connection, owner: str, node: str, subscription: NodeSubscription
    ) -> None:
        self._mustExist(connection, owner, node)
        if subscription.state == "none":
            parameters = {"whose": owner, "which": node, "what": _keyOf(subscription)}
            connection.execute(self._sqlUnsubscribe, parameters)
            return
        connection.execute(
            self._sqlSubscribe,
            {
                "owner": owner,
                "node": node,
                "digest": _keyOf(subscription),
                "entity_digest": digest(bareOf(subscription.jid)),
                "jid": subscription.jid,
                "subid": subscription.subid,
                "state": subscription.state,
                "options": subscription.options,
            },
        )

    def _runSubscriptionsOf(
        self, connection: Connection, owner: str, bare: str
    ) -> Sequence[tuple[str, NodeSubscription]]:
        parameters = {"whose": owner, "who": digest(bare)}
        rows = connection.execute(self._sqlSubscriptionsOf, parameters).fetchall()
        return tuple((row[0], NodeSubscription(*row[1:])) for row in rows)

    def _runForgetEntity(self, connection: Connection, bare: str) -> bool:
        if self.unname(connection, bare) == MAXIMUM_PRUNED:
            return False
        for statement in self._sqlForgetEntity:
            connection.execute(statement, {"who": digest(bare)})
        self.uncreate(connection, bare)
        return True

    def _runOwnerless(self, connection: Connection, owner: str) -> Sequence[str]:
        rows = connection.execute(self._sqlOwnerless, {"whose": owner, "most": MAXIMUM_PAGE}).fetchall()
        return tuple(name for (name,) in rows)

    def unname(self, connection: Connection, bare: str) -> int:
        """Some items don't name somebody as their publisher any more, at most L{MAXIMUM_PRUNED}; answers how many."""
        return connection.execute(self._sqlUnname, {"who": bare, "most": MAXIMUM_PRUNED}).rowcount

    def uncreate(self, connection: Connection, bare: str) -> None:
        """Nodes don't name somebody as their creator any more."""
        connection.execute(self._sqlUncreate, {"who": bare})
