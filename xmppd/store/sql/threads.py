"""
Threads that take many operations at once.

Theory of operation
===================

The reactor's thread puts jobs into a queue; a L{BatchThread} takes all that wait, at most C{batch} of them, runs them
in one transaction, commits it, and only then has the results fired in the reactor's thread, by one C{callFromThread}
for the whole batch. Under load the price of a commit is so shared by hundreds of jobs, and without load no job waits
for another.

There are no savepoints. An L{Operation} that refuses (L{Exists}, L{Missing}) does so before it has written anything,
hence a refusal needs no undoing. If an operation fails otherwise, the transaction is rolled back, so nothing of the
batch is there, and the halves of the batch are tried by themselves, down to the one job that can't succeed; it alone
fails. When the database itself can't (full disk, lost connection, failed commit), the whole batch fails with
L{StoreUnavailable}, and the connection is dropped; the next batch makes a new one. So it heals by itself.

Python lets one thread run at a time, and a busy reactor gives the others hardly a chance: it lets go of the lock for
some microseconds at each system call, over before a sleeping thread has woken up. Measured with a saturated reactor,
a batch took 30 to 350 milliseconds, seconds at worst. Therefore jobs are handed over once per turn of the reactor, and
then the reactor waits until the thread has done its share of Python, which is over when it commits, but no longer than
L{PATIENCE}. Little is lost by that, since the thread's share has to be done by the same processor time anyway. After a
commit that found no such occasion, it takes its turn as others do, so C{sys.setswitchinterval(0.0001)} does a busy
server good.

One thing can't be known: if the connection to PostgreSQL is lost while COMMIT is under way, the commit may have
happened all the same. It is reported as a failure: whoever asked may try again and must cope with a double.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from xmppd.ixmppd import Exists, Missing, StoreUnavailable

CAPACITY = 20_000
"""How many jobs may wait before new ones are refused."""

CAPACITY_OCTETS = 64 << 20
"""How many octets of stanzas and facts may wait before new ones are refused."""

BATCH = 500
"""
How many jobs share a transaction at most. Their Deferreds fire in one turn of the reactor, so that this also bounds how
long that turn can get.
"""


class Cursor(Protocol):
    """What is used of a DBAPI cursor."""

    @property
    def rowcount(self) -> int:
        """Rows changed."""

    def fetchone(self) -> Any:
        """A row or None."""

    def fetchall(self) -> list[Any]:
        """All rows."""

    def executemany(self, statement: str, rows: Sequence[Any], /) -> Any:
        """Execute once per row."""


class Connection(Protocol):
    """What is used of a driver's connection, in its autocommit mode."""

    def execute(self, statement: str, parameters: Any = ..., /) -> Cursor:
        """Execute one statement."""

    def cursor(self) -> Cursor:
        """A new cursor."""

    def close(self) -> None:
        """Close."""


PATIENCE = 0.002
"""How many seconds the reactor waits at most for a thread that was given jobs to do its share of Python."""

OFFER = 0.00025
"""How many seconds it waits at most for a thread that is busy committing."""

BETWEEN_OFFERS = 0.005
"""How many seconds pass between such offers at least: no more than a twentieth of the time is lost to a slow disk."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """
    Something to do in a transaction.

    @ivar run: called with the connection and the job's arguments; answers the result. May raise L{Exists} or
        L{Missing}, before it has written anything. It may be run again after a rollback.
    @ivar runMany: if there is one, it is called in place of C{run} for jobs that stand next to each other: with the
        connection and their arguments. Answers their results. Raises no refusals.
    @ivar lane: what it concerns. In one transaction, the order of jobs of different lanes doesn't matter, so that
        those of one lane may be brought together; one without lane keeps its place among all of them.
    """

    run: Callable[..., Any]
    runMany: Callable[[Connection, Sequence[tuple[Any, ...]]], Sequence[Any]] | None = None
    lane: str | None = None


class Job:
    """An operation with its arguments and, once it was run, its outcome."""

    __slots__ = ("arguments", "deferred", "failed", "octets", "operation", "result")

    def __init__(self, operation: Operation, arguments: tuple[Any, ...], octets: int) -> None:
        self.operation = operation
        self.arguments = arguments
        self.octets = octets
        self.deferred: Deferred[Any] = Deferred()
        self.failed = False
        self.result: Any = None

    def fail(self, error: BaseException) -> None:
        """Note that it failed."""
        self.failed = True
        self.result = error


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """
    Where a thread's connections come from.

    @ivar connect: makes one, in the thread. Raises L{StoreUnavailable} or the driver's errors.
    @ivar begin: the statement that begins a transaction.
    @ivar error: the base class of the driver's errors.
    @ivar unavailable: whether an error means that the database can't, rather than that this statement can't.
    @ivar rolledBack: called after a transaction was not committed, in the thread.
    """

    connect: Callable[[], Connection]
    begin: str
    error: type[Exception]
    unavailable: Callable[[BaseException], bool]
    rolledBack: Callable[[], object] = lambda: None


def _operationOf(job: Job) -> Operation:
    return job.operation


def arranged(jobs: Sequence[Job]) -> Sequence[Job]:
    """The jobs in an order in which more of a kind stand together: lane by lane between those that have no lane."""
    result: list[Job] = []
    lanes: dict[str, list[Job]] = {}
    for job in jobs:
        lane = job.operation.lane
        if lane is None:
            result += chain.from_iterable(lanes.values())
            lanes.clear()
            result.append(job)
        elif lane in lanes:
            lanes[lane].append(job)
        else:
            lanes[lane] = [job]
    return [*result, *chain.from_iterable(lanes.values())]


class BatchThread:
    """
    A thread with its own connection. All public methods belong to the reactor's thread.

    @ivar waiting: how many jobs have been accepted and not been answered.
    @ivar waitingOctets: how many octets of data they carry.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        source: Source,
        callFromThread: Callable[..., object],
        capacity: int = CAPACITY,
        batch: int = BATCH,
    ) -> None:
        self.waiting = 0
        self.waitingOctets = 0
        self._name = name
        self._source = source
        self._callFromThread = callFromThread
        self._capacity = capacity
        self._batch = batch
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._thread: Thread | None = None
        self._accepting = False
        self._fresh: list[Job] = []
        self._idle = False  # written by the thread, read by the reactor
        self._baton = Lock()  # acquired by the reactor, released by the thread
        self._offered = 0.0

    # --- the reactor's side

    def start(self, prepare: Callable[[], object]) -> Deferred[None]:
        """
        Start the thread: it calls C{prepare}, then connects, then takes jobs.

        Fails with whatever they raised, as L{StoreUnavailable} if it is an error of the driver.
        """
        started: Deferred[None] = Deferred()
        self._thread = Thread(target=self._main, args=(prepare, started), name=self._name, daemon=True)
        self._thread.start()
        return started

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def stop(self) -> Deferred[None]:
        """Do what was accepted, then end. Stopping what doesn't run is harmless."""
        stopped: Deferred[None] = Deferred()
        if not self._accepting:
            stopped.callback(None)
            return stopped
        self._accepting = False
        self._stopped = stopped
        self._handOver()
        self._queue.put(None)
        return stopped

    def submit(self, operation: Operation, *arguments: Any, octets: int = 0) -> Deferred[Any]:
        """
        Run an operation. The Deferred fires when it is committed.

        @param octets: how much data the arguments carry.
        """
        if not self._accepting:
            return fail(StoreUnavailable("the store is not open"))
        if self.waiting >= self._capacity or (self.waiting and self.waitingOctets + octets > CAPACITY_OCTETS):
            return fail(StoreUnavailable(f"{self.waiting} operations are waiting for the database already"))
        self.waiting += 1
        self.waitingOctets += octets
        job = Job(operation, arguments, octets)
        self._fresh.append(job)
        if len(self._fresh) == 1:
            self._callFromThread(self._handOver)
        return job.deferred

    def _handOver(self) -> None:
        """Give the thread what this turn of the reactor brought, and let it run."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        idle = self._idle
        self._baton.acquire(blocking=False)
        for job in fresh:
            self._queue.put(job)
        now = monotonic()
        if idle:
            self._baton.acquire(timeout=PATIENCE)
        elif now - self._offered > BETWEEN_OFFERS:
            self._offered = now
            self._baton.acquire(timeout=OFFER)

    def _fire(self, jobs: Sequence[Job]) -> None:
        self.waiting -= len(jobs)
        self.waitingOctets -= sum(job.octets for job in jobs)
        for job in jobs:
            if job.failed:
                job.deferred.errback(job.result)
            else:
                job.deferred.callback(job.result)

    def _started(self, started: Deferred[None], error: BaseException | None) -> None:
        if error is None:
            self._accepting = True
            started.callback(None)
        else:
            self._join()
            started.errback(error)

    def _ended(self) -> None:
        self._join()
        self._stopped.callback(None)

    def _join(self) -> None:
        if self._thread is not None:  # its last act was to call us
            self._thread.join()
            self._thread = None

    # --- the thread's side

    def _main(self, prepare: Callable[[], object], started: Deferred[None]) -> None:
        try:
            prepare()
            self._connection = self._source.connect()
        except BaseException as error:
            self._callFromThread(self._started, started, self._explained(error))
            return
        self._callFromThread(self._started, started, None)
        while jobs := self._take():
            self._perform(jobs)
            self._callFromThread(self._fire, jobs)
            self._passBaton()
        self._drop()
        self._callFromThread(self._ended)

    def _take(self) -> list[Job]:
        """All that wait, up to a batch; empty when it is time to end."""
        jobs = []
        self._idle = True
        job = self._queue.get()
        self._idle = False
        for _ in range(min(self._queue.qsize(), self._batch - 1)):
            if job is None:
                break
            jobs.append(job)
            job = self._queue.get()
        if job is not None:
            jobs.append(job)
        elif jobs:
            self._queue.put(None)  # these first; the end is seen next time
        return jobs

    def _passBaton(self) -> None:
        """What follows needs no Python: let the reactor run on, if it waits."""
        if self._baton.locked():
            self._baton.release()  # only this thread releases, so it is still locked

    def _perform(self, jobs: Sequence[Job]) -> None:
        """Run jobs, together if possible, and note their outcomes."""
        try:
            self._together(jobs)
        except BaseException as error:
            broken = self._connection is None or self._source.unavailable(error)
            self._undo(broken)
            if broken or len(jobs) == 1:
                explained = self._explained(error)
                for job in jobs:
                    job.fail(explained)
            else:
                half = len(jobs) // 2
                self._perform(jobs[:half])
                self._perform(jobs[half:])

    def _together(self, jobs: Sequence[Job]) -> None:
        connection = self._begin()
        for operation, group in groupby(arranged(jobs), _operationOf):
            if operation.runMany is None:
                for job in group:
                    self._runOne(connection, job)
            else:
                same = list(group)
                results = operation.runMany(connection, [job.arguments for job in same])
                for job, result in zip(same, results, strict=True):
                    job.failed, job.result = False, result
        self._passBaton()
        try:
            connection.execute("COMMIT")
        except BaseException:
            self._drop()
            raise

    def _runOne(self, connection: Connection, job: Job) -> None:
        try:
            job.result = job.operation.run(connection, *job.arguments)
            job.failed = False
        except (Exists, Missing) as refusal:
            job.fail(refusal)

    def _begin(self) -> Connection:
        """A connection in a transaction; a new one if the old one turns out to be dead."""
        if self._connection is not None:
            try:
                self._connection.execute(self._source.begin)
                return self._connection
            except self._source.error:
                self._drop()
        self._connection = self._source.connect()
        self._connection.execute(self._source.begin)
        return self._connection

    def _undo(self, broken: bool) -> None:
        if broken:
            self._drop()
        elif self._connection is not None:
            try:
                self._connection.execute("ROLLBACK")
            except self._source.error:
                self._drop()
        self._source.rolledBack()

    def _drop(self) -> None:
        """Close the connection, which undoes what it hasn't committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._source.error:
                self._log.failure("closing a connection failed")

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, self._source.error):
            return StoreUnavailable(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return error
