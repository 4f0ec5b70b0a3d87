"""
A durable back end: SQLite by default, PostgreSQL by URL.

Two threads touch the database: one writes, with a commit for all that wait (L{xmppd.store.sql.threads}), one reads.
Reads see what was committed when they are run, so that they see every write whose Deferred has fired.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import IStore
from xmppd.store.sql.accounts import SQLAccounts
from xmppd.store.sql.archives import SQLArchives
from xmppd.store.sql.backend import backendFor
from xmppd.store.sql.facts import SQLFacts
from xmppd.store.sql.forgetting import Forgetting
from xmppd.store.sql.names import SQLNames
from xmppd.store.sql.nodes import SQLNodes
from xmppd.store.sql.rosters import SQLRosters
from xmppd.store.sql.spool import SpoolIds, SQLSpool
from xmppd.store.sql.threads import BATCH, CAPACITY, BatchThread
from xmppd.store.values import checkText


@implementer(IStore)
class SQLStore:
    """
    See L{IStore}. Before L{open} and after L{close}, everything fails with L{StoreUnavailable}.
    """

    def __init__(
        self, url: str, callFromThread: Callable[..., object], capacity: int = CAPACITY, batch: int = BATCH
    ) -> None:
        """
        @param url: C{sqlite:///PATH} or C{postgresql://…}.
        @param callFromThread: calls a function in the reactor's thread.
        @param capacity: how many writes (and how many reads) may wait; more are refused.
        @param batch: how many of them share a transaction at most.
        @raise ValueError: the URL is none of a database that can be used.
        """
        self._backend = backendFor(url)
        ids = SpoolIds(self._backend)
        self._writer = BatchThread(
            "xmppd-writer", self._backend.source(True, ids.rolledBack), callFromThread, capacity, batch
        )
        self._reader = BatchThread("xmppd-reader", self._backend.source(False), callFromThread, capacity, batch)
        both = (self._backend, self._writer, self._reader)
        self.rosters = SQLRosters(*both)
        self.spool = SQLSpool(*both, ids)
        self.facts = SQLFacts(*both)
        self.archives = SQLArchives(*both)
        self.pubsub = SQLNodes(*both)
        self.nameIndex = SQLNames(*both)
        self._forgetting = Forgetting(self._backend, self._writer, self.rosters, self.archives, self.pubsub)
        self.accounts = SQLAccounts(*both, self._forgetting, self.nameIndex)

    @property
    def waiting(self) -> int:
        """How many operations have been accepted and not been answered."""
        return self._writer.waiting + self._reader.waiting

    def open(self) -> Deferred[None]:
        """Lock, migrate, connect. Fails with L{StoreUnavailable}, whose text says what to do."""
        return Deferred.fromCoroutine(self._open())

    def close(self) -> Deferred[None]:
        """Write everything accepted so far, then let go. Closing twice is harmless."""
        return Deferred.fromCoroutine(self._close())

    def forget(self, owner: str) -> Deferred[None]:
        """Delete everything of an owner, also if there is no such account."""
        checkText(owner)
        return self._forgetting.repeat(self._forgetting.everything, owner)

    async def _open(self) -> None:
        if self._writer.running:
            raise RuntimeError("the store is open")
        try:
            await self._writer.start(self._backend.acquire)
            await self._reader.start(lambda: None)
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        await self._writer.stop()
        await self._reader.stop()
        self._backend.release()
