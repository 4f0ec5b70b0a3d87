"""
Rosters with versions in SQL.

The versions of one roster never go back, also if its account is removed and made again. To know that without keeping
the names of those who left, there is one counter for all: the highest version of any roster that was ever forgotten.
A new roster starts above it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, func, select
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import IRosterStore, Missing, RosterChanges, RosterItem
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import ROSTER_COUNTER, counters, digest, rosterItems, rosterRemovals, rosters
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import MAXIMUM_REMOVALS, checkItem, checkText


def _item(row: Sequence[Any]) -> RosterItem:
    jid, name, subscription, ask, approved, groups, pendingIn, listed, version = row
    return RosterItem(
        jid,
        name,
        subscription,
        bool(ask),
        bool(approved),
        tuple(json.loads(groups)) if groups else (),
        pendingIn,
        bool(listed),
        version,
    )


def _row(account: str, item: RosterItem, version: int) -> dict[str, Any]:
    return {
        "account": account,
        "digest": digest(item.jid),
        "jid": item.jid,
        "name": item.name,
        "subscription": item.subscription,
        "ask": item.ask,
        "approved": item.approved,
        "groups": json.dumps(item.groups) if item.groups else "",
        "pending_in": item.pendingIn,
        "listed": item.listed,
        "version": version,
    }


def _of(column: Column[str]) -> ColumnElement[bool]:
    """Whether an address is C{bare} or one of its resources, which lie between C{first} and C{behind}."""
    resource = (column >= bindparam("first")) & (column < bindparam("behind"))
    return (column == bindparam("bare")) | resource


@implementer(IRosterStore)
class SQLRosters:
    """See L{IRosterStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread) -> None:
        self._writer = writer
        self._reader = reader
        self._compile(backend)
        self._get = Operation(self._runGet)
        self._since = Operation(self._runSince)
        self._put = Operation(self._runPut)
        self._delete = Operation(self._runDelete)
        self._expunge = Operation(self._runExpunge)

    def _compile(self, backend: Backend) -> None:
        text = backend.text
        table = rosterItems.c
        removed = rosterRemovals.c
        item = (
            table.jid,
            table.name,
            table.subscription,
            table.ask,
            table.approved,
            table.groups,
            table.pending_in,
            table.listed,
            table.version,
        )
        mine = table.account == bindparam("owner")
        mineRemoved = removed.account == bindparam("owner")
        one = mine & (table.digest == bindparam("contact"))
        newer = (mine, table.version > bindparam("after"))
        self._sqlHead = text(
            select(rosters.c.version, rosters.c.forgotten).where(rosters.c.account == bindparam("owner"))
        )
        self._sqlPutHead = backend.upsert(rosters)
        self._sqlAll = text(select(*item).where(mine).order_by(table.version))
        self._sqlNewer = text(select(*item).where(*newer).order_by(table.version))
        self._sqlListed = text(select(table.listed).where(one))
        self._sqlPut = backend.upsert(rosterItems)
        self._sqlDelete = text(rosterItems.delete().where(one))
        self._sqlRemoved = text(
            select(removed.jid).where(mineRemoved, removed.version > bindparam("after")).order_by(removed.version)
        )
        self._sqlPutRemoval = backend.upsert(rosterRemovals)
        self._sqlUnremove = text(rosterRemovals.delete().where(mineRemoved, removed.digest == bindparam("contact")))
        self._sqlRemovals = text(select(func.count(), func.min(removed.version)).where(mineRemoved))
        self._sqlForgetRemoval = text(rosterRemovals.delete().where(mineRemoved, removed.version <= bindparam("upTo")))
        self._sqlExpunge = [
            text(each.delete().where(each.c.account == bindparam("owner"), _of(each.c.jid)))
            for each in (rosterItems, rosterRemovals)
        ]
        self._sqlFloor = text(select(counters.c.value).where(counters.c.name == bindparam("counter")))
        self._sqlPutFloor = backend.upsert(counters)

    def get(self, account: str) -> Deferred[RosterChanges]:
        """All items."""
        checkText(account)
        return self._reader.submit(self._get, account)

    def since(self, account: str, version: int) -> Deferred[RosterChanges]:
        """What changed after C{version}."""
        checkText(account)
        return self._reader.submit(self._since, account, version)

    def put(self, account: str, item: RosterItem) -> Deferred[int]:
        """Add or replace an item."""
        checkItem(account, item)
        return self._writer.submit(self._put, account, (item,))

    def putMany(self, account: str, items: Sequence[RosterItem]) -> Deferred[int]:
        """Add or replace several items."""
        checkText(account)
        for item in items:
            checkItem(account, item)
        return self._writer.submit(self._put, account, tuple(items))

    def delete(self, account: str, jid: str) -> Deferred[int]:
        """Remove an item. Fails with L{Missing}."""
        checkText(account, jid)
        return self._writer.submit(self._delete, account, jid)

    def expunge(self, account: str, bare: str) -> Deferred[int]:
        """Remove an address without a trace."""
        checkText(account, bare)
        return self._writer.submit(self._expunge, account, bare)

    # --- in the threads

    def leaving(self, connection: Connection, account: str) -> None:
        """The account's roster is about to be deleted: later rosters start above its version."""
        version = self._head(connection, account)[0]
        if version > self._floor(connection):
            connection.execute(self._sqlPutFloor, {"name": ROSTER_COUNTER, "value": version})

    def _floor(self, connection: Connection) -> int:
        row = connection.execute(self._sqlFloor, {"counter": ROSTER_COUNTER}).fetchone()
        return int(row[0]) if row else 0

    def _head(self, connection: Connection, account: str) -> tuple[int, int]:
        """The version, and the oldest one that a difference can start from; zeros if there is no roster."""
        row = connection.execute(self._sqlHead, {"owner": account}).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def _runGet(self, connection: Connection, account: str) -> RosterChanges:
        version, _ = self._head(connection, account)
        rows = connection.execute(self._sqlAll, {"owner": account}).fetchall() if version else ()
        return RosterChanges(version, tuple(_item(row) for row in rows))

    def _runSince(self, connection: Connection, account: str, version: int) -> RosterChanges:
        current, forgotten = self._head(connection, account)
        if version == current:
            return RosterChanges(current, (), complete=False)
        if not max(1, forgotten) <= version < current:
            rows = connection.execute(self._sqlAll, {"owner": account}).fetchall()
            return RosterChanges(current, tuple(item for item in map(_item, rows) if item.listed))
        parameters = {"owner": account, "after": version}
        rows = connection.execute(self._sqlNewer, parameters).fetchall()
        removed = connection.execute(self._sqlRemoved, parameters).fetchall()
        return RosterChanges(
            current,
            tuple(item for item in map(_item, rows) if item.listed),
            tuple(row[0] for row in removed),
            complete=False,
        )

    def _runPut(self, connection: Connection, account: str, items: Sequence[RosterItem]) -> int:
        version, forgotten = self._head(connection, account)
        if not items:
            return version
        if version == 0:
            version = self._floor(connection)
            # Whoever saw an earlier roster of this name must get the new one whole.
            forgotten = version + 1 if version else 0
        for item in items:
            version += 1
            forgotten = self._putOne(connection, account, item, version, forgotten)
        self._putHead(connection, account, version, forgotten)
        return version

    def _putOne(self, connection: Connection, account: str, item: RosterItem, version: int, forgotten: int) -> int:
        contact = {"owner": account, "contact": digest(item.jid)}
        if item.listed:
            connection.execute(self._sqlUnremove, contact)
        else:
            before = connection.execute(self._sqlListed, contact).fetchone()
            if before and before[0]:
                forgotten = self._noteRemoval(connection, account, item.jid, version, forgotten)
        connection.execute(self._sqlPut, _row(account, item, version))
        return forgotten

    def _putHead(self, connection: Connection, account: str, version: int, forgotten: int) -> None:
        connection.execute(self._sqlPutHead, {"account": account, "version": version, "forgotten": forgotten})

    def _runDelete(self, connection: Connection, account: str, jid: str) -> int:
        contact = {"owner": account, "contact": digest(jid)}
        before = connection.execute(self._sqlListed, contact).fetchone()
        if before is None:
            raise Missing(jid)
        version, forgotten = self._head(connection, account)
        version += 1
        connection.execute(self._sqlDelete, contact)
        if before[0]:
            forgotten = self._noteRemoval(connection, account, jid, version, forgotten)
        self._putHead(connection, account, version, forgotten)
        return version

    def _runExpunge(self, connection: Connection, account: str, bare: str) -> int:
        version, _ = self._head(connection, account)
        whose = {"owner": account, "bare": bare, "first": bare + "/", "behind": bare + chr(ord("/") + 1)}
        if not any([connection.execute(statement, whose).rowcount for statement in self._sqlExpunge]):
            return version
        version += 1
        connection.execute(self._sqlForgetRemoval, {"owner": account, "upTo": version})
        self._putHead(connection, account, version, version)
        return version

    def _noteRemoval(self, connection: Connection, account: str, jid: str, version: int, forgotten: int) -> int:
        """Remember that a contact went; answer the oldest version that can still be brought up to date."""
        connection.execute(
            self._sqlPutRemoval, {"account": account, "digest": digest(jid), "jid": jid, "version": version}
        )
        count, oldest = connection.execute(self._sqlRemovals, {"owner": account}).fetchone()
        if count <= MAXIMUM_REMOVALS:
            return forgotten
        connection.execute(self._sqlForgetRemoval, {"owner": account, "upTo": oldest})
        return int(oldest)
