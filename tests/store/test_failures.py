"""
What is promised survives: a killed process, a full disk, a disk that doesn't sync, a PostgreSQL that goes away.

How disks are spoilt:

 - By a limit on the size of files (RLIMIT_FSIZE), in a process of its own; always possible.
 - By a file system of six mebioctets (tmpfs in a mount namespace of its own) that is filled; needs C{unshare} and the
   right to mount.
 - By a preloaded library whose C{fsync} and C{fdatasync} fail; needs a C compiler.
 - By PostgreSQL's server being stopped, and by its ending one connection in the middle of a transaction.

Each time: the calls fail with L{StoreUnavailable} and nothing else, nothing of what failed is there, everything that
succeeded is, the database is sound, and without opening it again it works as soon as the disk does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.trial.unittest import SkipTest, TestCase

from tests.contracts import ROMEO, aMessage
from tests.store.cluster import cluster, emptyDatabase, whySkip
from xmppd.ixmppd import StoreUnavailable
from xmppd.store.sql.store import SQLStore
from xmppd.store.sql.threads import Connection, Operation

ROOT = Path(__file__).parent.parent.parent

NO_SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int call(const char *name, int fd)
{
    const char *flag = getenv("XMPPD_TEST_NO_SYNC");
    if (flag && access(flag, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return call("fsync", fd); }
int fdatasync(int fd) { return call("fdatasync", fd); }
"""


def command(*arguments: Any) -> list[str]:
    """How to run L{tests.store.child}."""
    return [sys.executable, "-m", "tests.store.child", *map(str, arguments)]


def openedStore(url: str) -> SQLStore:
    """A store with the real reactor."""
    return SQLStore(url, reactor.callFromThread)  # type: ignore[attr-defined]


class _Killed:
    """A process is killed while it writes."""

    timeout = 60

    def makeURL(self) -> str:
        """An empty database."""
        raise NotImplementedError

    async def test_promisesSurviveKilling(self):
        """Every message whose Deferred has fired before SIGKILL is there afterwards; ids go on rising."""
        url = self.makeURL()
        promised: list[int] = []
        for amount in (10, 400, 1000):
            promised += self.writeAndKill(url, amount)
            store = openedStore(url)
            await store.open()
            stored = [each.id for each in await store.spool.offline(ROMEO, 1 << 30)]
            self.assertEqual(set(promised) - set(stored), set())
            self.assertEqual(len(set(stored)), len(stored))
            (new,) = await store.spool.add([aMessage()])
            self.assertGreater(new, max(stored))
            await store.close()

    def writeAndKill(self, url: str, amount: int) -> list[int]:
        """Let a process promise that many messages and then some; answer all it promised."""
        process = subprocess.Popen(command("write", url), cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(amount)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.stdout.close()
        process.wait()
        return [int(line) for line in lines if line.endswith(b"\n")]


class SQLiteKilledTests(_Killed, TestCase):
    """With SQLite."""

    def makeURL(self) -> str:
        """A new file."""
        return "sqlite:///" + os.path.abspath(self.mktemp())


class PostgreSQLKilledTests(_Killed, TestCase):
    """With PostgreSQL."""

    skip = whySkip()

    def makeURL(self) -> str:
        """An empty database."""
        return emptyDatabase()


class DiskTests(TestCase):
    """SQLite on a disk that fails."""

    timeout = 120

    def folder(self) -> Path:
        """A new folder."""
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        return path

    def survives(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        """Run a child that breaks its disk, and judge what it says."""
        done = subprocess.run(
            arguments,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            timeout=100,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["others"], [])
        good, bad, again, goodToo, badToo, last = report["phases"]
        for phase in (good, again, goodToo, last):
            self.assertEqual(phase, [120, 0])
        for phase in (bad, badToo):
            self.assertGreater(phase[1], 20)
        self.assertEqual(report["stored"], report["kept"])
        self.assertEqual(report["later"], report["kept"])
        self.assertEqual(report["integrity"], "ok")

    def test_limitedFile(self):
        """Files that can't grow."""
        self.survives(command("limit", self.folder()))

    def test_fullDisk(self):
        """A file system without space."""
        if not shutil.which("unshare"):
            raise SkipTest("install unshare (apt install util-linux)")
        folder = self.folder()
        script = 'mount -t tmpfs -o size=6m none "$1" && shift && exec "$@"'
        inside = ["unshare", "--mount", "sh", "-c", script, "sh", str(folder)]
        if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("mounting a file system isn't allowed here")
        self.survives([*inside, *command("full", folder)])

    def test_failedSync(self):
        """A disk that doesn't take what was written."""
        compiler = shutil.which("cc")
        if not compiler:
            raise SkipTest("install a C compiler (apt install gcc)")
        folder = self.folder()
        source, library = folder / "nosync.c", folder / "nosync.so"
        source.write_text(NO_SYNC)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        environment = {"LD_PRELOAD": str(library), "XMPPD_TEST_NO_SYNC": str(folder / "broken")}
        self.survives(command("sync", folder), environment)


class SQLiteTroubleTests(TestCase):
    """Trouble with SQLite that needs no process of its own."""

    async def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.store = openedStore(f"sqlite:///{self.path}")
        await self.store.open()
        self.addCleanup(self.store.close)

    async def test_noMorePages(self):
        """When the database may not grow, what needs space fails and what frees it succeeds."""
        (id,) = await self.store.spool.add([aMessage(stanza=bytes(500_000))])
        connect = self.store._backend.connectWriter

        def limited() -> Connection:
            connection = connect()
            connection.execute("PRAGMA max_page_count=1")  # becomes what it has now
            return connection

        self.store._writer._source = self.store._backend.source(True)
        object.__setattr__(self.store._writer._source, "connect", limited)
        self.store._writer._connection.execute("PRAGMA max_page_count=1")
        for _ in range(3):
            await self.refused(self.store.spool.add([aMessage(stanza=bytes(100_000))]))
            await self.refused(self.store.facts.put(ROMEO, "kind", "key", bytes(100_000)))
        self.assertEqual([each.id for each in await self.store.spool.offline(ROMEO)], [id])
        await self.store.spool.remove([id])
        (new,) = await self.store.spool.add([aMessage(stanza=bytes(100_000))])
        self.assertGreater(new, id)
        self.assertIsNone(await self.store.facts.get(ROMEO, "kind", "key"))

    async def refused(self, deferred: Any) -> None:
        """Wait for it to fail."""
        try:
            await deferred
        except StoreUnavailable:
            return
        self.fail("StoreUnavailable expected")


class PostgreSQLTroubleTests(TestCase):
    """Trouble with PostgreSQL."""

    skip = whySkip()
    timeout = 60

    async def setUp(self) -> None:
        self.store = openedStore(emptyDatabase())
        await self.store.open()
        self.addCleanup(self.store.close)

    async def test_serverRestarts(self):
        """While the server is down, everything fails; when it is back, everything works."""
        own = cluster()
        if own is None:
            raise SkipTest("the server belongs to somebody else")
        (first,) = await self.store.spool.add([aMessage()])
        own.stop()
        try:
            for _ in range(2):
                answers = await DeferredList(
                    [
                        self.store.spool.add([aMessage()]),
                        self.store.facts.put(ROMEO, "kind", "key", b""),
                        self.store.spool.count(ROMEO),
                        self.store.accounts.get(ROMEO),
                    ],
                    consumeErrors=True,
                )
                for success, failure in answers:
                    self.assertFalse(success)
                    self.assertTrue(failure.check(StoreUnavailable), failure)
        finally:
            own.start()
        (second,) = await self.store.spool.add([aMessage()])
        self.assertEqual([each.id for each in await self.store.spool.offline(ROMEO)], [first, second])
        self.assertIsNone(await self.store.facts.get(ROMEO, "kind", "key"))

    async def test_serverRestartsUnnoticed(self):
        """If it restarts while nobody asks, nobody notices."""
        own = cluster()
        if own is None:
            raise SkipTest("the server belongs to somebody else")
        own.stop()
        own.start()
        await self.store.spool.add([aMessage()])
        self.assertEqual(await self.store.spool.count(ROMEO), 1)

    async def test_connectionLostInTransaction(self):
        """If the connection is lost in the middle, nothing of the batch is there, and the next one succeeds."""

        def die(connection: Connection) -> None:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        answers = await DeferredList(
            [self.store.spool.add([aMessage()]), self.store._writer.submit(Operation(die))], consumeErrors=True
        )
        for success, failure in answers[1:]:
            self.assertFalse(success)
            self.assertTrue(failure.check(StoreUnavailable), failure)
        before = int(answers[0][0])  # if it was in a batch of its own, it is there
        await self.store.spool.add([aMessage()])
        self.assertEqual(await self.store.spool.count(ROMEO), before + 1)
