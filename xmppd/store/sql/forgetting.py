"""
Forgetting an owner in SQL: every row that is somebody's or about somebody, in every table there is, and his name in
what others have archived.

What can be large, archives and items, goes first, piece by piece, each in a transaction of its own, so that others
needn't wait until a million rows are deleted. All the rest goes in the last transaction.
"""

from __future__ import annotations

from sqlalchemy import bindparam
from twisted.internet.defer import Deferred

from xmppd.store.sql.archives import SQLArchives
from xmppd.store.sql.backend import Backend
from xmppd.store.sql.nodes import SQLNodes
from xmppd.store.sql.rosters import SQLRosters
from xmppd.store.sql.schema import digest, facts, isAbout, ownedTables, subjectTables
from xmppd.store.sql.threads import BatchThread, Connection, Operation
from xmppd.store.values import MAXIMUM_PRUNED


class Forgetting:
    """
    Knows what is to be deleted.

    C{rosters} is told when a roster goes, to keep its versions from going back.

    @ivar everything: the operation that deletes a piece, with the owner as argument; to be given to L{repeat}.
    """

    def __init__(
        self, backend: Backend, writer: BatchThread, rosters: SQLRosters, archives: SQLArchives, pubsub: SQLNodes
    ) -> None:
        self._writer = writer
        self._rosters = rosters
        self._archives = archives
        self._pubsub = pubsub
        self._sqlForget = [
            backend.text(table.delete().where(column == bindparam("whose"))) for table, column in ownedTables()
        ]
        self._sqlForgetAbout = [
            backend.text(table.delete().where(column == bindparam("subject"))) for table, column in subjectTables()
        ]
        mine = facts.c.digest == bindparam("subject")
        self._sqlForgetFacts = backend.text(facts.delete().where(mine, isAbout))
        self.everything = Operation(self.forgetSome)

    def repeat(self, operation: Operation, owner: str) -> Deferred[None]:
        """Run an operation, in one transaction after the other, until it answers that it is done."""
        return Deferred.fromCoroutine(self._repeat(operation, owner))

    async def _repeat(self, operation: Operation, owner: str) -> None:
        while not await self._writer.submit(operation, owner):
            pass

    def forgetSome(self, connection: Connection, owner: str) -> bool:
        """Delete a large piece, or else everything; answers whether everything is gone."""
        for piece in (self._archives.shrink, self._archives.disownSome, self._pubsub.shrink, self._pubsub.unname):
            if piece(connection, owner) == MAXIMUM_PRUNED:
                return False
        self._rosters.leaving(connection, owner)
        for statement in self._sqlForget:
            connection.execute(statement, {"whose": owner})
        for statement in self._sqlForgetAbout:
            connection.execute(statement, {"subject": digest(owner)})
        connection.execute(self._sqlForgetFacts, {"subject": digest(owner)})
        self._pubsub.uncreate(connection, owner)
        return True
