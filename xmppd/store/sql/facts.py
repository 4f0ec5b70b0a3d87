"""
Facts in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, select
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import IFactStore
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import digest, facts
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import checkFact, checkText, domainOf, factSize


def _row(owner: str, kind: str, key: str, value: bytes) -> dict[str, Any]:
    return {
        "owner": owner,
        "kind": kind,
        "digest": digest(key),
        "key": key,
        "size": factSize(key, value),
        "value": value,
    }


@implementer(IFactStore)
class SQLFacts:
    """See L{IFactStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread) -> None:
        self._writer = writer
        self._reader = reader
        self._compile(backend)
        self._get = Operation(self._runGet)
        self._put = Operation(self._runPut)
        self._putNew = Operation(self._runPutNew)
        self._delete = Operation(self._runDelete)
        self._all = Operation(self._runAll)
        self._replaceAll = Operation(self._runReplaceAll)
        self._size = Operation(self._runSize)
        self._forget = Operation(self._runForget)
        self._kinds = Operation(self._runKinds)
        self._owners = Operation(self._runOwners)

    def _compile(self, backend: Backend) -> None:
        text = backend.text
        table = facts.c
        mine = table.owner == bindparam("whose")
        ofKind = mine & (table.kind == bindparam("what"))
        one = ofKind & (table.digest == bindparam("which"))
        self._sqlGet = text(select(table.value).where(one))
        self._sqlPut = backend.upsert(facts)
        self._sqlPutNew = text(backend.insert(facts).on_conflict_do_nothing(index_elements=list(facts.primary_key)))
        self._sqlDelete = text(facts.delete().where(one))
        self._sqlAll = text(select(table.key, table.value).where(ofKind).order_by(table.key))
        self._sqlDeleteKind = text(facts.delete().where(ofKind))
        self._sqlSize = text(select(func.sum(table.size)).where(mine))
        self._sqlForget = text(facts.delete().where(mine))
        self._sqlKinds = text(select(table.kind, func.count()).where(mine).group_by(table.kind).order_by(table.kind))
        # Pattern matching may let too much through, for "_" in a domain matches anything.
        there = (table.owner == bindparam("host")) | table.owner.like(bindparam("pattern"))
        self._sqlOwners = text(
            select(table.owner).distinct().where(table.kind == bindparam("what"), there).order_by(table.owner)
        )

    def get(self, owner: str, kind: str, key: str) -> Deferred[bytes | None]:
        """One fact, or None."""
        checkText(owner, kind, key)
        return self._reader.submit(self._get, owner, kind, key)

    def put(self, owner: str, kind: str, key: str, value: bytes) -> Deferred[None]:
        """Add or replace."""
        checkFact(owner, kind, key, value)
        return self._writer.submit(self._put, owner, kind, key, value, octets=len(value))

    def putNew(self, owner: str, kind: str, key: str, value: bytes) -> Deferred[bool]:
        """Add; answers False and changes nothing if there is one."""
        checkFact(owner, kind, key, value)
        return self._writer.submit(self._putNew, owner, kind, key, value, octets=len(value))

    def delete(self, owner: str, kind: str, key: str) -> Deferred[bool]:
        """Remove; answers whether there was one."""
        checkText(owner, kind, key)
        return self._writer.submit(self._delete, owner, kind, key)

    def all(self, owner: str, kind: str) -> Deferred[Mapping[str, bytes]]:
        """All facts of a kind, by key in order."""
        checkText(owner, kind)
        return self._reader.submit(self._all, owner, kind)

    def replaceAll(self, owner: str, kind: str, facts: Mapping[str, bytes]) -> Deferred[None]:
        """Make these all there are of that kind."""
        checkText(owner, kind)
        for key, value in facts.items():
            checkFact(owner, kind, key, value)
        octets = sum(map(len, facts.values()))
        return self._writer.submit(self._replaceAll, owner, kind, dict(facts), octets=octets)

    def size(self, owner: str) -> Deferred[int]:
        """How many octets the owner's facts take, keys included."""
        checkText(owner)
        return self._reader.submit(self._size, owner)

    def forget(self, owner: str) -> Deferred[None]:
        """Remove everything of an owner."""
        checkText(owner)
        return self._writer.submit(self._forget, owner)

    def kinds(self, owner: str) -> Deferred[Mapping[str, int]]:
        """How many facts of each kind an owner has."""
        checkText(owner)
        return self._reader.submit(self._kinds, owner)

    def owners(self, kind: str, domain: str) -> Deferred[Sequence[str]]:
        """Those of a domain who have facts of a kind, in order. Reads an index of all who have some."""
        checkText(kind, domain)
        return self._reader.submit(self._owners, kind, domain)

    # --- in the threads

    def _runGet(self, connection: Connection, owner: str, kind: str, key: str) -> bytes | None:
        parameters = {"whose": owner, "what": kind, "which": digest(key)}
        row = connection.execute(self._sqlGet, parameters).fetchone()
        return row[0] if row else None

    def _runPut(self, connection: Connection, owner: str, kind: str, key: str, value: bytes) -> None:
        connection.execute(self._sqlPut, _row(owner, kind, key, value))

    def _runPutNew(self, connection: Connection, owner: str, kind: str, key: str, value: bytes) -> bool:
        return connection.execute(self._sqlPutNew, _row(owner, kind, key, value)).rowcount == 1

    def _runDelete(self, connection: Connection, owner: str, kind: str, key: str) -> bool:
        parameters = {"whose": owner, "what": kind, "which": digest(key)}
        return connection.execute(self._sqlDelete, parameters).rowcount == 1

    def _runAll(self, connection: Connection, owner: str, kind: str) -> Mapping[str, bytes]:
        return dict(connection.execute(self._sqlAll, {"whose": owner, "what": kind}).fetchall())

    def _runReplaceAll(self, connection: Connection, owner: str, kind: str, facts: Mapping[str, bytes]) -> None:
        connection.execute(self._sqlDeleteKind, {"whose": owner, "what": kind})
        rows = [_row(owner, kind, key, value) for key, value in facts.items()]
        if rows:
            connection.cursor().executemany(self._sqlPut, rows)

    def _runSize(self, connection: Connection, owner: str) -> int:
        return int(connection.execute(self._sqlSize, {"whose": owner}).fetchone()[0] or 0)

    def _runForget(self, connection: Connection, owner: str) -> None:
        connection.execute(self._sqlForget, {"whose": owner})

    def _runKinds(self, connection: Connection, owner: str) -> Mapping[str, int]:
        return dict(connection.execute(self._sqlKinds, {"whose": owner}).fetchall())

    def _runOwners(self, connection: Connection, kind: str, domain: str) -> Sequence[str]:
        parameters = {"what": kind, "host": domain, "pattern": f"%@{domain}"}
        rows = connection.execute(self._sqlOwners, parameters).fetchall()
        return tuple(owner for (owner,) in rows if domainOf(owner) == domain)
