"""
Waiting messages and managed sessions in SQL.

This is the busiest store: every acknowledged message passes here. Jobs of the same kind that wait together become one
statement for all of them. That saves more than time in SQLite: around every single statement the driver lets another
thread run Python and must then wait for its turn again, which takes long while the reactor is busy.

Ids are given out by the writer's thread, not by the database, so that many rows can be added by one statement and are
numbered in the order in which they were accepted. Numbers are reserved in blocks, in a row of the table C{counters};
what a crash leaves of a block is skipped, hence an id is never used twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, func, literal_column, null, select
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import ISpoolStore, ManagedSessionRecord, SpooledMessage
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.schema import SPOOL_COUNTER, counters, sessions, spool
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import bareOf, checkMessages, checkText

BLOCK = 65_536
"""How many ids are reserved at a time."""

CHUNKS = (64, 8, 1)
"""By how many rows the statements add; each number is a statement that stays prepared."""


LANE = "spool"
"""The lane of all operations that write here (L{Operation})."""


def _message(row: Sequence[Any]) -> SpooledMessage:
    id, account, holder, sequence, stamp, stanza = row
    return SpooledMessage(account, stanza, stamp, holder, sequence, id)


def _sessionRow(record: ManagedSessionRecord) -> dict[str, Any]:
    return {
        "token": record.token,
        "account": bareOf(record.jid),
        "jid": record.jid,
        "inbound": record.inbound,
        "outbound": record.outbound,
        "expires": record.expires,
        "state": record.state,
    }


def _checkSession(record: ManagedSessionRecord) -> None:
    checkText(record.token, record.jid, record.state)


def _octets(messages: Sequence[SpooledMessage]) -> int:
    return sum([len(each.stanza) for each in messages])


class SpoolIds:
    """
    Gives out ids; belongs to the writer's thread.
    """

    def __init__(self, backend: Backend) -> None:
        self._next = 1
        self._limit = 1
        self._sqlGet = backend.text(select(counters.c.value).where(counters.c.name == bindparam("counter")))
        self._sqlPut = backend.upsert(counters)

    def take(self, connection: Connection, count: int) -> range:
        """C{count} ids in a row; reserves more in the current transaction if there are too few."""
        if self._next + count > self._limit:
            self._reserve(connection, count)
        first = self._next
        self._next += count
        return range(first, self._next)

    def rolledBack(self) -> None:
        """The transaction that may have reserved ids didn't happen: reserve again before giving out the next."""
        self._limit = self._next

    def _reserve(self, connection: Connection, count: int) -> None:
        row = connection.execute(self._sqlGet, {"counter": SPOOL_COUNTER}).fetchone()
        self._next = max(self._next, row[0] + 1 if row else 1)
        self._limit = self._next + max(count, BLOCK)
        connection.execute(self._sqlPut, {"name": SPOOL_COUNTER, "value": self._limit - 1})


@implementer(ISpoolStore)
class SQLSpool:
    """See L{ISpoolStore}."""

    def __init__(self, backend: Backend, writer: BatchThread, reader: BatchThread, ids: SpoolIds) -> None:
        self._writer = writer
        self._reader = reader
        self._backend = backend
        self._ids = ids
        self._compileMessages(backend)
        self._compileSessions(backend)
        self._add = Operation(self._runAdd, self._runAddMany, lane=LANE)
        self._remove = Operation(self._runRemove, self._runRemoveMany, lane=LANE)
        self._acknowledge = Operation(self._runAcknowledge, self._runAcknowledgeMany, lane=LANE)
        self._hold = Operation(self._runHold, lane=LANE)
        self._release = Operation(self._runRelease, lane=LANE)
        self._releaseUnheld = Operation(self._runReleaseUnheld, lane=LANE)
        self._saveSession = Operation(self._runSaveSession, lane=LANE)
        self._removeSession = Operation(self._runRemoveSession, lane=LANE)
        self._renameSession = Operation(self._runRenameSession, lane=LANE)
        self._offline = Operation(self._runOffline)
        self._count = Operation(self._runCount)
        self._held = Operation(self._runHeld)
        self._sessions = Operation(self._runSessions)

    def _compileMessages(self, backend: Backend) -> None:
        text = backend.text
        table = spool.c
        message = (table.id, table.account, table.holder, table.sequence, table.stamp, table.stanza)
        offline = (table.account == bindparam("recipient")) & table.holder.is_(None)
        held = table.holder == bindparam("queue")
        free = {"holder": null(), "sequence": literal_column("0")}
        self._sqlAdd = [(size, backend.insertMany(spool, size)) for size in CHUNKS]
        gone = backend.rows("gone", {"number": BigInteger})
        self._sqlRemove = text(spool.delete().where(table.id.in_(select(gone.c.number))))
        self._sqlOffline = text(
            select(*message).where(offline).order_by(table.id).limit(bindparam("most")).offset(literal_column("0"))
        )
        self._sqlCount = text(select(func.count()).select_from(spool).where(offline))
        self._sqlHeld = text(select(*message).where(held).order_by(table.id))
        self._sqlRelease = text(spool.update().where(held).values(free))
        queued = backend.rows("queued", {"message": BigInteger, "place": BigInteger})
        self._sqlHold = text(
            spool.update()
            .where(table.id == queued.c.message)
            .values(holder=bindparam("queue"), sequence=queued.c.place)
        )
        self._sqlRename = text(spool.update().where(held).values(holder=bindparam("heir")))
        self._sqlReleaseUnheld = text(
            spool.update().where(table.holder.is_not(None), table.holder.not_in(select(sessions.c.token))).values(free)
        )

    def _compileSessions(self, backend: Backend) -> None:
        text = backend.text
        table = sessions.c
        self._sqlSave = backend.upsert(sessions)
        taken = backend.rows("taken", {"session": Text, "amount": BigInteger})
        self._sqlInbound = text(sessions.update().where(table.token == taken.c.session).values(inbound=taken.c.amount))
        self._sqlRemoveSession = text(sessions.delete().where(table.token == bindparam("which")))
        self._sqlSessions = text(
            select(table.token, table.jid, table.inbound, table.outbound, table.expires, table.state)
        )

    def add(self, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """Keep messages."""
        checkMessages(messages)
        return self._writer.submit(self._add, tuple(messages), octets=_octets(messages))

    def offline(self, account: str, limit: int = 1000) -> Deferred[Sequence[SpooledMessage]]:
        """Messages without holder, oldest first."""
        checkText(account)
        return self._reader.submit(self._offline, account, limit)

    def count(self, account: str) -> Deferred[int]:
        """How many messages without holder there are."""
        checkText(account)
        return self._reader.submit(self._count, account)

    def held(self, holder: str) -> Deferred[Sequence[SpooledMessage]]:
        """Messages of a holder."""
        checkText(holder)
        return self._reader.submit(self._held, holder)

    def remove(self, ids: Iterable[int]) -> Deferred[None]:
        """The recipient has them."""
        return self._writer.submit(self._remove, tuple(ids))

    def release(self, holder: str) -> Deferred[int]:
        """The holder is gone."""
        checkText(holder)
        return self._writer.submit(self._release, holder)

    def hold(self, ids: Iterable[int], holder: str, sequences: Iterable[int]) -> Deferred[None]:
        """
        Messages now stand in a queue.

        @raise ValueError: there aren't as many sequence numbers as ids.
        """
        checkText(holder)
        return self._writer.submit(self._hold, tuple(zip(ids, sequences, strict=True)), holder)

    def saveSession(self, record: ManagedSessionRecord) -> Deferred[None]:
        """Add or replace a session."""
        _checkSession(record)
        return self._writer.submit(self._saveSession, record)

    def acknowledge(self, token: str, inbound: int, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """Note what is handled, and keep the messages. Those of an unknown session are kept as well."""
        checkText(token)
        checkMessages(messages)
        return self._writer.submit(self._acknowledge, tuple(messages), token, inbound, octets=_octets(messages))

    def removeSession(self, token: str) -> Deferred[None]:
        """Forget a session."""
        checkText(token)
        return self._writer.submit(self._removeSession, token)

    def renameSession(self, old: str, record: ManagedSessionRecord) -> Deferred[None]:
        """Replace a session by another token."""
        checkText(old)
        _checkSession(record)
        return self._writer.submit(self._renameSession, old, record)

    def sessions(self) -> Deferred[Sequence[ManagedSessionRecord]]:
        """All of them."""
        return self._reader.submit(self._sessions)

    def releaseUnheld(self) -> Deferred[int]:
        """Messages whose holder is no saved session lose their holder."""
        return self._writer.submit(self._releaseUnheld)

    # --- in the threads

    def _runAdd(self, connection: Connection, messages: Sequence[SpooledMessage]) -> Sequence[int]:
        return self._runAddMany(connection, [(messages,)])[0]

    def _runAddMany(self, connection: Connection, jobs: Sequence[tuple[Any, ...]]) -> Sequence[Sequence[int]]:
        """Each job's arguments begin with its messages."""
        batches = [arguments[0] for arguments in jobs]
        messages = list(chain.from_iterable(batches))
        ids = self._ids.take(connection, len(messages))
        rows = [
            (id, each.account, each.holder, each.sequence, each.stamp, each.stanza)
            for id, each in zip(ids, messages, strict=True)
        ]
        self._insert(connection, rows)
        given = iter(ids)
        return [tuple(next(given) for _ in batch) for batch in batches]

    def _insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        position = 0
        for size, statement in self._sqlAdd:
            while len(rows) - position >= size:
                chunk = rows[position : position + size]
                connection.execute(statement, tuple(chain.from_iterable(chunk)))
                position += size

    def _runRemove(self, connection: Connection, ids: Sequence[int]) -> None:
        if ids:
            connection.execute(self._sqlRemove, self._backend.rowsOf("gone", [(id,) for id in ids]))

    def _runRemoveMany(self, connection: Connection, jobs: Sequence[tuple[Any, ...]]) -> Sequence[None]:
        self._runRemove(connection, tuple(chain.from_iterable(arguments[0] for arguments in jobs)))
        return [None] * len(jobs)

    def _runAcknowledge(
        self, connection: Connection, messages: Sequence[SpooledMessage], token: str, inbound: int
    ) -> Sequence[int]:
        return self._runAcknowledgeMany(connection, [(messages, token, inbound)])[0]

    def _runAcknowledgeMany(self, connection: Connection, jobs: Sequence[tuple[Any, ...]]) -> Sequence[Sequence[int]]:
        latest = {token: inbound for _, token, inbound in jobs}
        connection.execute(self._sqlInbound, self._backend.rowsOf("taken", tuple(latest.items())))
        return self._runAddMany(connection, jobs)

    def _runHold(self, connection: Connection, pairs: Sequence[tuple[int, int]], holder: str) -> None:
        if pairs:
            connection.execute(self._sqlHold, {"queue": holder} | self._backend.rowsOf("queued", pairs))

    def _runRelease(self, connection: Connection, holder: str) -> int:
        return connection.execute(self._sqlRelease, {"queue": holder}).rowcount

    def _runReleaseUnheld(self, connection: Connection) -> int:
        return connection.execute(self._sqlReleaseUnheld).rowcount

    def _runSaveSession(self, connection: Connection, record: ManagedSessionRecord) -> None:
        connection.execute(self._sqlSave, _sessionRow(record))

    def _runRemoveSession(self, connection: Connection, token: str) -> None:
        connection.execute(self._sqlRemoveSession, {"which": token})

    def _runRenameSession(self, connection: Connection, old: str, record: ManagedSessionRecord) -> None:
        self._runRemoveSession(connection, old)
        self._runSaveSession(connection, record)
        connection.execute(self._sqlRename, {"queue": old, "heir": record.token})

    def _runOffline(self, connection: Connection, account: str, limit: int) -> Iterable[SpooledMessage]:
        return self._messages(connection, self._sqlOffline, {"recipient": account, "most": limit})

    def _runCount(self, connection: Connection, account: str) -> int:
        return int(connection.execute(self._sqlCount, {"recipient": account}).fetchone()[0])

    def _runHeld(self, connection: Connection, holder: str) -> Iterable[SpooledMessage]:
        return self._messages(connection, self._sqlHeld, {"queue": holder})

    def _messages(self, connection: Connection, statement: str, parameters: dict[str, Any]) -> Sequence[SpooledMessage]:
        return tuple(_message(row) for row in connection.execute(statement, parameters).fetchall())

    def _runSessions(self, connection: Connection) -> Sequence[ManagedSessionRecord]:
        return tuple(ManagedSessionRecord(*row) for row in connection.execute(self._sqlSessions).fetchall())
