"""
Accounts and their keys in SQL.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, literal_column, select
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import AccountRecord, Exists, IAccountStore, Missing, Resembles, StoredKeys
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.forgetting import Forgetting
from xmppd.store.sql.names import SQLNames
from xmppd.store.sql.schema import accountKeys, accounts, spool
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import ALIKE, accountName, checkKeys, checkText, domainOf


def _record(row: Sequence[Any]) -> AccountRecord:
    jid, created, disabled, lastActivity, lastStatus = row
    return AccountRecord(jid, created, bool(disabled), lastActivity, lastStatus)


@implementer(IAccountStore)
class SQLAccounts:
    """See L{IAccountStore}."""

    def __init__(
        self, backend: Backend, writer: BatchThread, reader: BatchThread, forgetting: Forgetting, names: SQLNames
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._forgetting = forgetting
        self._names = names
        self._compile(backend)
        self._create = Operation(self._runCreate)
        self._remove = Operation(self._runRemove)
        self._get = Operation(self._runGet)
        self._keys = Operation(self._runKeys)
        self._setKeys = Operation(self._runSetKeys)
        self._addKeys = Operation(self._runAddKeys)
        self._setDisabled = Operation(self._runSetDisabled)
        self._setLastActivity = Operation(self._runSetLastActivity)
        self._list = Operation(self._runList)
        self._count = Operation(self._runCount)
        self._rounds = Operation(self._runRounds)

    def _compile(self, backend: Backend) -> None:
        text = backend.text
        table = accounts.c
        record = (table.jid, table.created, table.disabled, table.last_activity, table.last_status)
        keys = (accountKeys.c.salt, accountKeys.c.iterations, accountKeys.c.stored_key, accountKeys.c.server_key)
        mine = table.jid == bindparam("account")
        hasHash = (accountKeys.c.account == table.jid) & (accountKeys.c.hash == bindparam("hashName"))
        self._sqlInsert = text(accounts.insert())
        self._sqlInsertKey = text(accountKeys.insert())
        self._sqlDeleteKeys = text(accountKeys.delete().where(accountKeys.c.account == bindparam("account")))
        self._sqlClear = text(spool.delete().where(spool.c.account == bindparam("account")))
        self._sqlGet = text(select(*record).where(mine))
        self._sqlKeys = text(select(*record, *keys).select_from(accounts.outerjoin(accountKeys, hasHash)).where(mine))
        self._sqlDisable = text(accounts.update().where(mine).values(disabled=bindparam("flag")))
        self._sqlLast = text(
            accounts.update().where(mine).values(last_activity=bindparam("stamp"), last_status=bindparam("status"))
        )
        here = table.domain == bindparam("host")
        after = table.jid > bindparam("after")
        self._sqlList = text(
            select(*record).where(here, after).order_by(table.jid).limit(bindparam("most")).offset(literal_column("0"))
        )
        iterations = accountKeys.c.iterations
        joined = accounts.join(accountKeys, hasHash)
        self._sqlRounds = text(
            select(iterations, func.count()).select_from(joined).where(here).group_by(iterations)
        )
        self._sqlCount = text(select(func.count()).select_from(accounts).where(here))

    def create(
        self, jid: str, keys: Sequence[StoredKeys], stamp: float, distinct: bool = False
    ) -> Deferred[None]:
        """Make an account. Fails with L{Exists}, and if it has to be distinct with L{Resembles}."""
        checkText(jid)
        checkKeys(keys)
        return self._writer.submit(self._create, jid, tuple(keys), stamp, distinct)

    def remove(self, jid: str) -> Deferred[None]:
        """Delete everything of an account. Fails with L{Missing}."""
        checkText(jid)
        return self._forgetting.repeat(self._remove, jid)

    def get(self, jid: str) -> Deferred[AccountRecord | None]:
        """The account, or None."""
        checkText(jid)
        return self._reader.submit(self._get, jid)

    def keys(self, jid: str, hashName: str) -> Deferred[tuple[AccountRecord, StoredKeys | None] | None]:
        """Account and keys for one hash."""
        checkText(jid, hashName)
        return self._reader.submit(self._keys, jid, hashName)

    def setKeys(self, jid: str, keys: Sequence[StoredKeys]) -> Deferred[None]:
        """Replace all keys. Fails with L{Missing}."""
        checkText(jid)
        checkKeys(keys)
        return self._writer.submit(self._setKeys, jid, tuple(keys))

    def addKeys(self, jid: str, keys: StoredKeys, beside: StoredKeys) -> Deferred[bool]:
        """Add keys for one more hash, if the others are still the account's."""
        checkText(jid)
        checkKeys([keys])
        return self._writer.submit(self._addKeys, jid, keys, beside)

    def setDisabled(self, jid: str, disabled: bool) -> Deferred[None]:
        """Refuse or allow login. Fails with L{Missing}."""
        checkText(jid)
        return self._writer.submit(self._setDisabled, jid, disabled)

    def setLastActivity(self, jid: str, stamp: float, status: str) -> Deferred[None]:
        """Note when the last session ended."""
        checkText(jid, status)
        return self._writer.submit(self._setLastActivity, jid, stamp, status)

    def list(self, domain: str, after: str = "", limit: int = 100) -> Deferred[Sequence[AccountRecord]]:
        """Accounts of a domain in the order of their JIDs."""
        checkText(domain, after)
        return self._reader.submit(self._list, domain, after, limit)

    def count(self, domain: str) -> Deferred[int]:
        """How many accounts a domain has."""
        checkText(domain)
        return self._reader.submit(self._count, domain)

    def rounds(self, domain: str, hashName: str) -> Deferred[Mapping[int, int]]:
        """How many accounts of a domain have keys for a hash, by their iterations."""
        checkText(domain, hashName)
        return self._reader.submit(self._rounds, domain, hashName)

    # --- in the threads

    def _runCreate(
        self, connection: Connection, jid: str, keys: Sequence[StoredKeys], stamp: float, distinct: bool
    ) -> None:
        if self._runGet(connection, jid) is not None:
            raise Exists(jid)
        record = accountName(jid)
        alike = self._names.find(connection, record.kind, record.space, record.name, ALIKE) if distinct else ()
        if alike:
            raise Resembles(each.name for each in alike)
        self._names.put(connection, (record,))
        # what was on its way to an account of that name while it was removed is not for the new one
        connection.execute(self._sqlClear, {"account": jid})
        connection.execute(
            self._sqlInsert,
            {
                "jid": jid,
                "domain": domainOf(jid),
                "created": stamp,
                "disabled": False,
                "last_activity": None,
                "last_status": "",
            },
        )
        self._insertKeys(connection, jid, keys)

    def _insertKeys(self, connection: Connection, jid: str, keys: Sequence[StoredKeys]) -> None:
        rows = [
            {
                "account": jid,
                "hash": each.hashName,
                "salt": each.salt,
                "iterations": each.iterations,
                "stored_key": each.storedKey,
                "server_key": each.serverKey,
            }
            for each in keys
        ]
        if rows:
            connection.cursor().executemany(self._sqlInsertKey, rows)

    def _runRemove(self, connection: Connection, jid: str) -> bool:
        self._mustExist(connection, jid)
        return self._forgetting.forgetSome(connection, jid)

    def _mustExist(self, connection: Connection, jid: str) -> None:
        if self._runGet(connection, jid) is None:
            raise Missing(jid)

    def _runGet(self, connection: Connection, jid: str) -> AccountRecord | None:
        row = connection.execute(self._sqlGet, {"account": jid}).fetchone()
        return _record(row) if row else None

    def _runKeys(
        self, connection: Connection, jid: str, hashName: str
    ) -> tuple[AccountRecord, StoredKeys | None] | None:
        row = connection.execute(self._sqlKeys, {"account": jid, "hashName": hashName}).fetchone()
        if row is None:
            return None
        return _record(row[:5]), None if row[5] is None else StoredKeys(hashName, *row[5:])

    def _runSetKeys(self, connection: Connection, jid: str, keys: Sequence[StoredKeys]) -> None:
        self._mustExist(connection, jid)
        connection.execute(self._sqlDeleteKeys, {"account": jid})
        self._insertKeys(connection, jid, keys)

    def _runAddKeys(self, connection: Connection, jid: str, keys: StoredKeys, beside: StoredKeys) -> bool:
        present = self._runKeys(connection, jid, beside.hashName)
        others = self._runKeys(connection, jid, keys.hashName)
        if present is None or present[1] != beside or others is None or others[1] is not None:
            return False
        self._insertKeys(connection, jid, (keys,))
        return True

    def _runSetDisabled(self, connection: Connection, jid: str, disabled: bool) -> None:
        if connection.execute(self._sqlDisable, {"account": jid, "flag": disabled}).rowcount == 0:
            raise Missing(jid)

    def _runSetLastActivity(self, connection: Connection, jid: str, stamp: float, status: str) -> None:
        connection.execute(self._sqlLast, {"account": jid, "stamp": stamp, "status": status})

    def _runList(self, connection: Connection, domain: str, after: str, limit: int) -> builtins.list[AccountRecord]:
        rows = connection.execute(self._sqlList, {"host": domain, "after": after, "most": limit}).fetchall()
        return [_record(row) for row in rows]

    def _runCount(self, connection: Connection, domain: str) -> int:
        return int(connection.execute(self._sqlCount, {"host": domain}).fetchone()[0])

    def _runRounds(self, connection: Connection, domain: str, hashName: str) -> dict[int, int]:
        rows = connection.execute(self._sqlRounds, {"host": domain, "hashName": hashName}).fetchall()
        return {int(iterations): int(count) for iterations, count in rows}
