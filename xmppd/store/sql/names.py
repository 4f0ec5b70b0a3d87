"""
The index of look-alikes in SQL.

Each key of each name is a row; the key itself isn't kept, but its digest. Keys are made in the thread that writes, of
what L{xmppd.wire.confusable} knows.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import LargeBinary, bindparam, func, literal_column, select
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import INameStore, NameRecord
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import digest, names
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import MAXIMUM_PAGE, checkName, checkText
from xmppd.wire.lookalikes import keyDigests

MOST_KEYS = 5
"""How many keys a name has at most (L{xmppd.wire.confusable.keys})."""


BEHIND_ALL = b"\xff" * 33
"""What no digest comes behind."""


@implementer(INameStore)
class SQLNames:
    """See L{INameStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread) -> None:
        self._writer = writer
        self._reader = reader
        self._compile(backend)
        self._add = Operation(self._runAdd)
        self._claim = Operation(self._runClaim)
        self._remove = Operation(self._runRemove)
        self._alike = Operation(self.find)
        self._list = Operation(self._runList)
        self._groups = Operation(self._runGroups)

    def _compile(self, backend: Backend) -> None:
        text = backend.text
        table = names.c
        there = (table.kind == bindparam("sort")) & (table.space == bindparam("place"))
        record = (table.kind, table.space, table.name, table.owner)
        this = there & (table.name_digest == bindparam("self"))
        others = there & (table.name_digest != bindparam("self"))
        keys = [table.digest == bindparam(f"key{number}") for number in range(MOST_KEYS)]
        most: Any = bindparam("most")
        start: Any = literal_column("0")
        self._sqlInsert = text(names.insert())
        self._sqlDelete = text(names.delete().where(this))
        self._sqlThis = text(select(*record).where(this).limit(literal_column("1")).offset(start))
        found = select(*record).distinct().order_by(table.name).limit(most).offset(start)
        self._sqlFind = [
            text(found.where(others, _either(keys[:count]))) for count in range(1, MOST_KEYS + 1)
        ]
        self._sqlList = text(found.where(there, table.name > bindparam("after")))
        several = (
            select(table.digest)
            .where(there, table.digest > bindparam("behind", type_=LargeBinary))
            .where(table.digest < bindparam("ahead", type_=LargeBinary))
            .group_by(table.digest)
            .having(func.count() > literal_column("1"))
            .order_by(table.digest)
            .limit(most)
            .offset(start)
        )
        self._sqlGroups = text(several)
        self._sqlGroup = text(found.where(there, keys[0]))

    def add(self, records: Sequence[NameRecord]) -> Deferred[None]:
        """Add names, or their new keys and owners."""
        for record in records:
            checkName(record)
        return self._writer.submit(self._add, tuple(records))

    def claim(self, record: NameRecord) -> Deferred[Sequence[NameRecord]]:
        """Add a name if nobody else's looks like it."""
        checkName(record)
        return self._writer.submit(self._claim, record)

    def remove(self, kind: str, space: str, name: str) -> Deferred[None]:
        """Take a name away."""
        checkText(kind, space, name)
        return self._writer.submit(self._remove, kind, space, name)

    def alike(self, kind: str, space: str, name: str, limit: int = 10) -> Deferred[Sequence[NameRecord]]:
        """Names that look like C{name}."""
        checkText(kind, space, name)
        return self._reader.submit(self._alike, kind, space, name, limit)

    def list(self, kind: str, space: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NameRecord]]:
        """Names in order."""
        checkText(kind, space, after)
        return self._reader.submit(self._list, kind, space, after, limit)

    def groups(
        self, kind: str, space: str, after: str = "", limit: int = 100, before: str = ""
    ) -> Deferred[Sequence[tuple[str, Sequence[NameRecord]]]]:
        """What exists of look-alikes."""
        checkText(kind, space, after)
        limits = (bytes.fromhex(after), bytes.fromhex(before) or BEHIND_ALL)
        return self._reader.submit(self._groups, kind, space, limits, limit)

    # --- in the threads

    def put(self, connection: Connection, records: Iterable[NameRecord]) -> None:
        """Add names."""
        for record in records:
            self._runRemove(connection, record.kind, record.space, record.name)
            rows = [
                {
                    "kind": record.kind,
                    "space": record.space,
                    "digest": key,
                    "name_digest": digest(record.name),
                    "name": record.name,
                    "owner": record.owner,
                }
                for key in keyDigests(record.name)
            ]
            connection.cursor().executemany(self._sqlInsert, rows)

    def find(
        self, connection: Connection, kind: str, space: str, name: str, limit: int = MAXIMUM_PAGE
    ) -> Sequence[NameRecord]:
        """Names that look like C{name} but itself, in order."""
        keys = sorted(keyDigests(name))
        parameters = {**_place(kind, space), "self": digest(name), "most": min(limit, MAXIMUM_PAGE)}
        parameters.update({f"key{number}": key for number, key in enumerate(keys)})
        return _records(connection.execute(self._sqlFind[len(keys) - 1], parameters).fetchall())

    def _runAdd(self, connection: Connection, records: Sequence[NameRecord]) -> None:
        self.put(connection, records)

    def _runClaim(self, connection: Connection, record: NameRecord) -> Sequence[NameRecord]:
        place = _place(record.kind, record.space)
        same = connection.execute(self._sqlThis, {**place, "self": digest(record.name)}).fetchall()
        others = (*self.find(connection, record.kind, record.space, record.name), *_records(same))
        taken = tuple(each for each in others if each.owner != record.owner)
        if not taken:
            self.put(connection, (record,))
        return taken

    def _runRemove(self, connection: Connection, kind: str, space: str, name: str) -> None:
        connection.execute(self._sqlDelete, {**_place(kind, space), "self": digest(name)})

    def _runList(self, connection: Connection, kind: str, space: str, after: str, limit: int) -> Sequence[NameRecord]:
        parameters = {**_place(kind, space), "after": after, "most": min(limit, MAXIMUM_PAGE)}
        return _records(connection.execute(self._sqlList, parameters).fetchall())

    def _runGroups(
        self, connection: Connection, kind: str, space: str, limits: tuple[bytes, bytes], limit: int
    ) -> Sequence[tuple[str, Sequence[NameRecord]]]:
        place = _place(kind, space)
        parameters = {**place, "behind": limits[0], "ahead": limits[1], "most": min(limit, MAXIMUM_PAGE)}
        found: builtins.list[tuple[str, Sequence[NameRecord]]] = []
        for (key,) in connection.execute(self._sqlGroups, parameters).fetchall():
            rows = connection.execute(self._sqlGroup, {**place, "key0": key, "most": MAXIMUM_PAGE}).fetchall()
            found.append((bytes(key).hex(), _records(rows)))
        return tuple(found)


def _place(kind: str, space: str) -> dict[str, Any]:
    return {"sort": kind, "place": space}


def _records(rows: Iterable[Sequence[Any]]) -> tuple[NameRecord, ...]:
    return tuple(NameRecord(*row) for row in rows)


def _either(conditions: Sequence[Any]) -> Any:
    """Any of several conditions."""
    either = conditions[0]
    for condition in conditions[1:]:
        either = either | condition
    return either
