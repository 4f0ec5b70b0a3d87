"""
Archives in SQL.

A message costs what its pages cost: the row is appended, but each index of an archive is touched at another place than
that of the next archive, and each place touched is a page to be written. Therefore there are only two such indexes,
by id and by peer. A time is looked up among the ids, which begin with it (L{xmppd.wire.archiveids}), and the index by
stamp of all archives together grows at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, product
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, bindparam, case, func, literal_column, select, tuple_
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import ArchivedMessage, ArchivePage, ArchiveQuery, IArchiveStore, Missing
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import archive, digest, isSomebodys
from xmppd.store.sql.spool import CHUNKS
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import (
    LAST_ID,
    MAXIMUM_COUNT,
    MAXIMUM_PAGE,
    MAXIMUM_PAGE_OCTETS,
    MAXIMUM_PRUNED,
    MAXIMUM_STANZA,
    boundsOf,
    checkArchived,
    checkQuery,
    checkText,
    indexOf,
    namedBy,
    pageBoundsOf,
)
from xmppd.wire.archiveids import prefixOf

LANE = "archive"
"""The lane of all operations that write here (L{Operation})."""

READ_AT_ONCE = 64
"""How many messages are read by one statement, so that a page of large ones doesn't fill the memory."""

_COLUMNS = ("id", "owner", "peer", "stamp", "stanza", "resource", "sender", "disclosed")

_Shape = tuple[bool, bool, bool]
"""Whether a query asks for a peer, for a resource, for ids."""


@lru_cache(4096)
def peerDigest(peer: str) -> bytes:
    """What stands for a peer in the index; long enough that no two can be found that share it."""
    return digest(peer)[:16]


@lru_cache(4096)
def resourceDigest(resource: str) -> bytes:
    """What stands for a resource in the index; a few may share it."""
    return digest(resource)[:8]


def _row(message: ArchivedMessage) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        message.owner,
        message.id,
        message.stamp,
        message.peer,
        peerDigest(message.peer),
        message.resource,
        resourceDigest(message.resource),
        message.sender,
        message.stanza,
        message.disclosed,
    )


def _message(row: Sequence[Any]) -> ArchivedMessage:
    id, owner, peer, stamp, stanza, resource, sender, disclosed = row
    return ArchivedMessage(id, owner, peer, stamp, stanza, resource, sender, bool(disclosed))


def _shapeOf(query: ArchiveQuery) -> _Shape:
    return query.peer is not None, query.resource is not None, query.ids is not None


def _where(backend: Backend, shape: _Shape) -> list[ColumnElement[bool]]:
    """The conditions of a query, but for its resource. See L{_between} for those on ids."""
    table = archive.c
    byPeer, _, byIds = shape
    conditions: list[ColumnElement[bool]] = [table.owner == bindparam("whose")]
    if byIds:
        conditions.append(table.id.in_(select(backend.rows("wanted", {"id": Text}).c.id)))
    else:
        conditions += [table.id > bindparam("lower"), table.id < bindparam("upper")]
    if byPeer:
        conditions.append(table.peer_digest == bindparam("peerDigest"))
    return conditions


@implementer(IArchiveStore)
class SQLArchives:
    """See L{IArchiveStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread) -> None:
        self._writer = writer
        self._reader = reader
        self._backend = backend
        self._compileWrites(backend)
        self._compileReads(backend)
        self._add = Operation(self._runAdd, self._runAddMany, LANE)
        self._replace = Operation(self._runReplace, lane=LANE)
        self._remove = Operation(self._runRemove, lane=LANE)
        self._prune = Operation(self._runPrune, lane=LANE)
        self._shrink = Operation(self.shrink, lane=LANE)
        self._disown = Operation(self.disownSome, lane=LANE)
        self._query = Operation(self._runQuery)
        self._ends = Operation(self._runEnds)
        self._count = Operation(self._runCount)
        self._owners = Operation(self._runOwners)

    def _compileWrites(self, backend: Backend) -> None:
        text = backend.text
        table = archive.c
        mine = table.owner == bindparam("whose")
        named = table.id.in_(select(backend.rows("wanted", {"id": Text}).c.id))
        most: Any = bindparam("most")
        start: Any = literal_column("0")
        oldest = select(table.owner, table.id).where(table.stamp < bindparam("before")).order_by(table.stamp)
        mineOldest = select(table.id).where(mine, table.id < bindparam("upper")).order_by(table.id)
        self._sqlAdd = [(size, backend.insertMany(archive, size) + " ON CONFLICT DO NOTHING") for size in CHUNKS]
        self._sqlReplace = text(
            archive.update().where(mine, table.id == bindparam("which")).values(stanza=bindparam("octets"))
        )
        self._sqlRemove = text(archive.delete().where(mine, named))
        self._sqlPrune = text(
            archive.delete().where(tuple_(table.owner, table.id).in_(oldest.limit(most).offset(start)))
        )
        theirs = (
            select(table.owner, table.id)
            .where(table.sender == bindparam("whose"), isSomebodys)
            .limit(most)
            .offset(start)
        )
        nobody: Any = literal_column("''")
        self._sqlDisown = text(archive.update().where(tuple_(table.owner, table.id).in_(theirs)).values(sender=nobody))
        self._sqlPruneOne = text(archive.delete().where(mine, table.id.in_(mineOldest.limit(most).offset(start))))

    def _compileReads(self, backend: Backend) -> None:
        yesno = (False, True)
        shapes: list[_Shape] = [shape for shape in product(yesno, yesno, yesno) if shape[0] or not shape[1]]
        self._sqlPage = {
            (shape, backwards): backend.text(self._page(backend, shape, backwards))
            for shape, backwards in product(shapes, yesno)
        }
        self._sqlCounts = {shape: backend.text(self._counting(backend, shape)) for shape in shapes}
        table = archive.c
        mine = table.owner == bindparam("whose")
        named = table.id.in_(select(backend.rows("wanted", {"id": Text}).c.id))
        self._sqlNamed = backend.text(select(func.count()).select_from(archive).where(mine, named))
        self._sqlCount = backend.text(select(func.count()).select_from(archive).where(mine))
        self._sqlNextOwner = backend.text(select(func.min(table.owner)).where(table.owner > bindparam("before")))

    def _page(self, backend: Backend, shape: _Shape, backwards: bool) -> Select[Any]:
        table = archive.c
        conditions = _where(backend, shape)
        if shape[1]:
            conditions.append(table.resource_digest == bindparam("resourceDigest"))
            conditions.append(table.resource == bindparam("resource"))
        order = table.id.desc() if backwards else table.id
        return (
            select(*(table[name] for name in _COLUMNS))
            .where(*conditions)
            .order_by(order)
            .limit(bindparam("most"))
            .offset(bindparam("skip"))
        )

    def _counting(self, backend: Backend, shape: _Shape) -> Select[Any]:
        """How many rows were read, at most so many, and how many of them match. Reads nothing but an index."""
        few = (
            select(archive.c.resource_digest if shape[1] else literal_column("1").label("one"))
            .where(*_where(backend, shape))
            .limit(bindparam("most"))
            .offset(literal_column("0"))
            .subquery()
        )
        read: ColumnElement[Any] = func.count()
        if not shape[1]:
            return select(read, read.label("matching")).select_from(few)
        hit = case(
            (few.c.resource_digest == bindparam("resourceDigest"), literal_column("1")), else_=literal_column("0")
        )
        return select(read, func.coalesce(func.sum(hit), literal_column("0"))).select_from(few)

    def add(self, messages: Sequence[ArchivedMessage]) -> Deferred[None]:
        """Archive messages."""
        checkArchived(messages)
        octets = sum([len(each.stanza) for each in messages])
        return self._writer.submit(self._add, tuple(messages), octets=octets)

    def query(self, owner: str, query: ArchiveQuery) -> Deferred[ArchivePage]:
        """A page. Fails with L{Missing}."""
        return self._reader.submit(self._query, owner, checkQuery(owner, query))

    def ends(self, owner: str) -> Deferred[tuple[ArchivedMessage, ArchivedMessage] | None]:
        """The first and the last message, or None if there are none."""
        checkText(owner)
        return self._reader.submit(self._ends, owner)

    def replace(self, owner: str, id: str, stanza: bytes) -> Deferred[bool]:
        """
        Put other bytes in a message's place.

        @raise ValueError: they are too many.
        """
        checkText(owner, id)
        if len(stanza) > MAXIMUM_STANZA:
            raise ValueError("the stanza is too large for an archive")
        return self._writer.submit(self._replace, owner, id, stanza, octets=len(stanza))

    def remove(self, owner: str, ids: Iterable[str]) -> Deferred[None]:
        """Delete messages."""
        names = tuple(ids)
        checkText(owner, *names)
        return self._writer.submit(self._remove, owner, names)

    def prune(self, before: float, owner: str | None = None, most: int = 10000) -> Deferred[int]:
        """Delete old messages, at most so many or L{MAXIMUM_PRUNED}."""
        if owner is not None:
            checkText(owner)
        return self._writer.submit(self._prune, before, owner, min(most, MAXIMUM_PRUNED))

    def forget(self, owner: str) -> Deferred[None]:
        """Delete an archive, in several transactions if it is large."""
        checkText(owner)
        return Deferred.fromCoroutine(self._forget(owner))

    def count(self, owner: str) -> Deferred[int]:
        """How many messages an archive has. Reads the whole index of it: for administrators."""
        checkText(owner)
        return self._reader.submit(self._count, owner)

    def disown(self, sender: str) -> Deferred[None]:
        """Take an address out of everything whose sender it is."""
        checkText(sender)
        return Deferred.fromCoroutine(self._disownAll(sender))

    def owners(self, after: str = "", limit: int = 1000) -> Deferred[Sequence[str]]:
        """The owners of archives behind C{after} in order."""
        checkText(after)
        return self._reader.submit(self._owners, after, min(limit, MAXIMUM_PAGE))

    async def _forget(self, owner: str) -> None:
        while await self._writer.submit(self._shrink, owner) == MAXIMUM_PRUNED:
            pass

    async def _disownAll(self, sender: str) -> None:
        while await self._writer.submit(self._disown, sender) == MAXIMUM_PRUNED:
            pass

    # --- in the threads

    def disownSome(self, connection: Connection, sender: str) -> int:
        """Take an address out of at most L{MAXIMUM_PRUNED} messages; answers of how many."""
        if not sender:
            return 0
        return connection.execute(self._sqlDisown, {"whose": sender, "most": MAXIMUM_PRUNED}).rowcount

    def shrink(self, connection: Connection, owner: str) -> int:
        """Delete the oldest messages of an archive, at most L{MAXIMUM_PRUNED}; answers how many."""
        parameters = {"whose": owner, "upper": LAST_ID, "most": MAXIMUM_PRUNED}
        return connection.execute(self._sqlPruneOne, parameters).rowcount

    def _runAdd(self, connection: Connection, messages: Sequence[ArchivedMessage]) -> None:
        self._runAddMany(connection, [(messages,)])

    def _runAddMany(self, connection: Connection, jobs: Sequence[tuple[Any, ...]]) -> Sequence[None]:
        rows = [_row(message) for (messages,) in jobs for message in messages]
        rows.sort(key=itemgetter(0, 1))  # neighbours in the indexes are written while their pages are at hand
        position = 0
        for size, statement in self._sqlAdd:
            while len(rows) - position >= size:
                connection.execute(statement, tuple(chain.from_iterable(rows[position : position + size])))
                position += size
        return [None] * len(jobs)

    def _runReplace(self, connection: Connection, owner: str, id: str, stanza: bytes) -> bool:
        parameters = {"whose": owner, "which": id, "octets": stanza}
        return connection.execute(self._sqlReplace, parameters).rowcount == 1

    def _runRemove(self, connection: Connection, owner: str, ids: Sequence[str]) -> None:
        if ids:
            connection.execute(self._sqlRemove, {"whose": owner} | self._wanted(ids))

    def _runPrune(self, connection: Connection, before: float, owner: str | None, most: int) -> int:
        if owner is None:
            return connection.execute(self._sqlPrune, {"before": before, "most": most}).rowcount
        parameters = {"whose": owner, "upper": prefixOf(before), "most": most}
        return connection.execute(self._sqlPruneOne, parameters).rowcount

    def _runQuery(self, connection: Connection, owner: str, query: ArchiveQuery) -> ArchivePage:
        self._mustHold(connection, owner, namedBy(query))
        lower, upper = boundsOf(query)
        parameters = self._parameters(owner, query)
        count = self._counted(connection, query, parameters, lower, upper) if query.count else None
        if (query.pageIndex or 0) > MAXIMUM_COUNT:
            if self._counted(connection, query, parameters, lower, upper) is None:
                raise Missing(f"position {query.pageIndex}")
            return ArchivePage((), True, count)
        messages, more = self._read(connection, query, parameters)
        index = indexOf(query, messages, count, lambda id: self._counted(connection, query, parameters, lower, id) or 0)
        return ArchivePage(messages, not more, count, index)

    def _mustHold(self, connection: Connection, owner: str, ids: frozenset[str]) -> None:
        if ids:
            found = connection.execute(self._sqlNamed, {"whose": owner} | self._wanted(ids)).fetchone()[0]
            if found < len(ids):
                raise Missing("an id that the query names")

    def _wanted(self, ids: Iterable[str]) -> dict[str, Any]:
        return self._backend.rowsOf("wanted", [(id,) for id in ids])

    def _between(self, query: ArchiveQuery, lower: str, upper: str) -> dict[str, Any]:
        """
        The parameters that pick the ids between two. If the query names ids, those of them that lie there: would the
        database know both, it might read all that lie there.
        """
        if query.ids is None:
            return {"lower": lower, "upper": upper}
        return self._wanted([id for id in query.ids if lower < id < upper] or [""])

    def _parameters(self, owner: str, query: ArchiveQuery) -> dict[str, Any]:
        parameters: dict[str, Any] = {"whose": owner}
        if query.peer is not None:
            parameters["peerDigest"] = peerDigest(query.peer)
        if query.resource is not None:
            parameters |= {"resource": query.resource, "resourceDigest": resourceDigest(query.resource)}
        return parameters

    def _counted(
        self, connection: Connection, query: ArchiveQuery, parameters: dict[str, Any], lower: str, upper: str
    ) -> int | None:
        """How many there are between two ids, or None if that is too many to count."""
        bounds = self._between(query, lower, upper) | {"most": MAXIMUM_COUNT + 1}
        read, matching = connection.execute(self._sqlCounts[_shapeOf(query)], parameters | bounds).fetchone()
        return None if read > MAXIMUM_COUNT else int(matching)

    def _read(
        self, connection: Connection, query: ArchiveQuery, parameters: dict[str, Any]
    ) -> tuple[tuple[ArchivedMessage, ...], bool]:
        """The messages of a page, and whether more follow in the direction of paging."""
        lower, upper = pageBoundsOf(query)
        backwards = query.pageBefore is not None
        statement = self._sqlPage[_shapeOf(query), backwards]
        skip = 0 if backwards else query.pageIndex or 0
        found: list[ArchivedMessage] = []
        octets, more, exhausted = 0, False, False
        while not more and not exhausted:
            most = min(READ_AT_ONCE, query.limit + 1 - len(found))
            bounds = self._between(query, lower, upper) | {"most": most, "skip": skip}
            rows = connection.execute(statement, parameters | bounds).fetchall()
            for row in rows:
                octets += len(row[4])
                more = len(found) == query.limit or bool(found and octets > MAXIMUM_PAGE_OCTETS)
                if more:
                    break
                found.append(_message(row))
            exhausted = len(rows) < most
            skip = 0
            if rows and backwards:
                upper = rows[-1][0]
            elif rows:
                lower = rows[-1][0]
        return tuple(found[::-1] if backwards else found), more

    def _runEnds(self, connection: Connection, owner: str) -> tuple[ArchivedMessage, ArchivedMessage] | None:
        first, last = (
            self._read(connection, ArchiveQuery(limit=1, pageBefore=before), {"whose": owner})[0]
            for before in (None, "")
        )
        return (first[0], last[0]) if first else None

    def _runOwners(self, connection: Connection, after: str, limit: int) -> Sequence[str]:
        """One look into the index for each, however many messages they have."""
        found: list[str] = []
        while len(found) < limit:
            (owner,) = connection.execute(self._sqlNextOwner, {"before": found[-1] if found else after}).fetchone()
            if owner is None:
                break
            found.append(owner)
        return tuple(found)

    def _runCount(self, connection: Connection, owner: str) -> int:
        return int(connection.execute(self._sqlCount, {"whose": owner}).fetchone()[0])
