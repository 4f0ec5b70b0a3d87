"""
The threads that take many operations at once.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.trial.unittest import TestCase

from tests.contracts import ROMEO, aMessage
from xmppd.ixmppd import Missing, StoreUnavailable
from xmppd.store.sql import threads
from xmppd.store.sql.store import SQLStore
from xmppd.store.sql.threads import Connection, Operation


class BatchTests(TestCase):
    """Batches of the SQLite store's writer."""

    capacity = 10

    async def setUp(self) -> None:
        self.calls = 0
        self.store = SQLStore(f"sqlite:///{self.mktemp()}", self.callFromThread, capacity=self.capacity)
        await self.store.open()
        self.addCleanup(self.store.close)
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        self.entered: Deferred[None] = Deferred()

    def callFromThread(self, *arguments: Any) -> None:
        """Count, and call."""
        self.calls += 1
        reactor.callFromThread(*arguments)  # type: ignore[attr-defined]

    async def block(self) -> Deferred[None]:
        """Let the writer wait for the gate; answers what fires after that."""

        def wait(connection: Connection) -> None:
            reactor.callFromThread(self.entered.callback, None)  # type: ignore[attr-defined]
            self.gate.wait()

        blocked: Deferred[None] = self.store._writer.submit(Operation(wait))
        await self.entered
        return blocked

    def put(self, key: str) -> Deferred[Any]:
        """Write a fact."""
        return self.store.facts.put(ROMEO, "kind", key, b"")

    async def test_oneCallPerBatch(self):
        """All that waits is answered by one call into the reactor's thread."""
        blocked = await self.block()
        answers = [self.put(str(n)) for n in range(8)]
        self.calls = 0
        self.gate.set()
        await blocked
        await gatherResults(answers)
        self.assertEqual(self.calls, 2)  # the blocking one, and all the others

    async def test_lanes(self):
        """Jobs of a kind that stand apart are done by one call, if those between them concern something else."""
        done: list[Any] = []

        def operation(name: str, lane: str | None) -> Operation:
            def runMany(connection: Connection, jobs: Any) -> list[str]:
                done.append(name * len(jobs))
                return [f"{name}{number}" for (number,) in jobs]

            return Operation(lambda connection, number: None, runMany, lane)

        a, b, c, d = operation("a", "one"), operation("b", "two"), operation("c", "two"), operation("d", None)
        blocked = await self.block()
        order = (a, b, a, c, b, a, d, b, a)
        answers = gatherResults([self.store._writer.submit(each, n) for n, each in enumerate(order)])
        self.gate.set()
        await blocked
        self.assertEqual(await answers, ["a0", "b1", "a2", "c3", "b4", "a5", "d6", "b7", "a8"])
        self.assertEqual(done, ["aaa", "b", "c", "b", "d", "b", "a"])

    async def test_boundedBatches(self):
        """No batch is larger than allowed."""
        self.store._writer._batch = 3
        blocked = await self.block()
        answers = [self.put(str(n)) for n in range(8)]
        self.calls = 0
        self.gate.set()
        await blocked
        await gatherResults(answers)
        self.assertEqual(self.calls, 1 + 3)

    async def test_capacity(self):
        """Beyond the bound, new ones fail at once; later they are taken again."""
        blocked = await self.block()
        answers = [self.put(str(n)) for n in range(self.capacity - 1)]
        self.failureResultOf(self.put("more"), StoreUnavailable)
        self.assertEqual(self.store.waiting, self.capacity)
        self.gate.set()
        await blocked
        await gatherResults(answers)
        self.assertEqual(self.store.waiting, 0)
        await self.put("more")
        self.assertEqual(len(await self.store.facts.all(ROMEO, "kind")), self.capacity)

    async def test_capacityInOctets(self):
        """The data that waits is bounded too, but one job may be of any size."""
        self.patch(threads, "CAPACITY_OCTETS", 1000)
        blocked = await self.block()
        kept = self.store.spool.add([aMessage(stanza=bytes(900))])
        self.failureResultOf(self.store.spool.add([aMessage(stanza=bytes(101))]), StoreUnavailable)
        self.gate.set()
        await blocked
        await kept
        self.assertEqual(self.store._writer.waitingOctets, 0)
        await self.store.spool.add([aMessage(stanza=bytes(2000))])

    async def test_oneFails(self):
        """What fails takes nobody along, whatever it did before it failed."""

        def write(connection: Connection) -> None:
            connection.execute("DELETE FROM facts")
            connection.execute("INSERT INTO counters (name, value) VALUES ('mine', 1)")

        def stumble(connection: Connection) -> None:
            write(connection)
            raise ZeroDivisionError

        def repeat(connection: Connection) -> None:
            write(connection)
            write(connection)  # the same key twice

        def mistake(connection: Connection) -> None:
            write(connection)
            connection.execute("NONSENSE")

        def refuse(connection: Connection) -> None:
            raise Missing("nobody")

        blocked = await self.block()
        submit = self.store._writer.submit
        answers = DeferredList(
            [
                self.put("0"),
                submit(Operation(stumble)),
                self.put("1"),
                submit(Operation(refuse)),
                submit(Operation(repeat)),
                self.store.spool.add([aMessage()]),
                submit(Operation(mistake)),
                self.put("2"),
            ],
            consumeErrors=True,
        )
        self.gate.set()
        await blocked
        results = await answers
        kinds = [None if success else result.type for success, result in results]
        self.assertEqual(
            kinds,
            [None, ZeroDivisionError, None, Missing, StoreUnavailable, None, StoreUnavailable, None],
        )
        self.assertEqual(list(await self.store.facts.all(ROMEO, "kind")), ["0", "1", "2"])
        self.assertEqual(await self.store.spool.count(ROMEO), 1)

    async def test_readAfterWrite(self):
        """A read sees every write that was answered before."""
        for n in range(50):
            await self.store.facts.put(ROMEO, "kind", "key", b"%d" % n)
            self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), b"%d" % n)

    async def test_readFails(self):
        """A read that fails takes no other along."""

        def stumble(connection: Connection) -> None:
            connection.execute("SELECT nonsense FROM nowhere")

        submit = self.store._reader.submit
        answers = await DeferredList(
            [self.store.facts.get(ROMEO, "a", "b"), submit(Operation(stumble)), self.store.spool.count(ROMEO)],
            consumeErrors=True,
        )
        self.assertEqual([success for success, _ in answers], [True, False, True])
        self.assertTrue(answers[1][1].check(StoreUnavailable))

    async def test_readerCannotWrite(self):
        """What is meant for reading can't write."""
        answers = await DeferredList(
            [self.store._reader.submit(Operation(lambda connection: connection.execute("DELETE FROM facts")))],
            consumeErrors=True,
        )
        self.assertTrue(answers[0][1].check(StoreUnavailable))

    async def test_failedCommit(self):
        """When COMMIT fails, the batch fails as a whole, and the next one has a new connection."""

        class Uncommitting:
            def __init__(self, connection: Any) -> None:
                self._connection = connection
                self.cursor = connection.cursor
                self.close = connection.close

            def execute(self, statement: str, *parameters: Any) -> Any:
                if statement == "COMMIT":
                    raise sqlite3.OperationalError("disk I/O error")
                return self._connection.execute(statement, *parameters)

        self.store._writer._connection = Uncommitting(self.store._writer._connection)
        blocked = await self.block()
        answers = [self.put("0"), self.store.spool.add([aMessage()])]
        self.gate.set()
        failures = 0
        for answer in [blocked, *answers]:
            try:
                await answer
            except StoreUnavailable:
                failures += 1
        self.assertEqual(failures, 1)  # the first batch; the second one had the new connection
        self.assertEqual(await self.store.spool.count(ROMEO), 1)

    async def test_idsAfterRollback(self):
        """Ids that were reserved in a transaction that didn't happen are reserved again."""

        def stumble(connection: Connection) -> None:
            self.store.spool._runAdd(connection, [aMessage()])
            raise ZeroDivisionError

        await DeferredList([self.store._writer.submit(Operation(stumble))], consumeErrors=True)
        (id,) = await self.store.spool.add([aMessage()])
        await self.store.close()
        await self.store.open()
        (later,) = await self.store.spool.add([aMessage()])
        self.assertGreater(later, id)
