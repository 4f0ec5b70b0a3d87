"""
Programs that the store's tests run in processes of their own, to kill them or to spoil their disk.

C{python -m tests.store.child write URL}: adds messages as fast as it can and prints, in one write, the ids of each
C{add} whose Deferred has fired. Somebody has to kill it.

C{python -m tests.store.child HOW FOLDER}: adds messages, breaks the disk, adds more, mends the disk, adds more, and
prints what came of it as JSON. HOW is one of

 - C{limit}: no file may grow (RLIMIT_FSIZE); writing fails with EFBIG.
 - C{full}: FOLDER is a small file system, and a file fills it; writing fails with ENOSPC.
 - C{sync}: C{fsync} and C{fdatasync} fail with EIO while the file FOLDER/broken is there. The library that does that
   is preloaded by whoever starts this.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList

from xmppd.ixmppd import SpooledMessage, StoreUnavailable
from xmppd.store.sql.store import SQLStore

reactor: Any = _reactor

ACCOUNT = "romeo@example.org"
STANZA = b"<message/>" * 300
ABREAST = 40


def message() -> SpooledMessage:
    """A message of three thousand octets."""
    return SpooledMessage(ACCOUNT, STANZA, 1.0)


async def write(url: str) -> None:
    """Add messages, several calls at a time, and print the ids that were promised."""
    store = SQLStore(url, reactor.callFromThread)
    await store.open()

    def again(ids: Any = None) -> None:
        if ids:
            os.write(1, "".join(f"{id}\n" for id in ids).encode())
        store.spool.add([message()] * 2).addCallback(again)

    for _ in range(ABREAST):
        again()
    await Deferred()


class Trial:
    """Adds messages and counts what becomes of them."""

    def __init__(self, store: SQLStore) -> None:
        self._store = store
        self.kept: list[int] = []
        self.refused = 0
        self.others: list[str] = []

    async def add(self, calls: int) -> None:
        """Add messages by that many calls at once."""
        attempts = [self._store.spool.add([message()] * 3) for _ in range(calls)]
        for success, result in await DeferredList(attempts, consumeErrors=True):
            if success:
                self.kept += result
            elif result.check(StoreUnavailable):
                self.refused += 1
            else:
                self.others.append(repr(result.value))


def limit(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forbid files to grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def breaks() -> None:
        largest = max(path.stat().st_size for path in folder.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 20000, hard))

    return breaks, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Fill the file system."""
    ballast = folder / "ballast"

    def breaks() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    return breaks, ballast.unlink


def sync(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Let nothing reach the disk."""
    flag = folder / "broken"
    return flag.touch, flag.unlink


async def survive(how: str, folder: Path) -> None:
    """Break and mend the disk twice."""
    path = folder / "data.sqlite"
    store = SQLStore(f"sqlite:///{path}", reactor.callFromThread)
    await store.open()
    breaks, mends = {"limit": limit, "full": full, "sync": sync}[how](folder)
    trial = Trial(store)
    report: dict[str, Any] = {"phases": []}
    for _ in range(2):
        for phase in (None, breaks, mends):
            if phase:
                phase()
            before = len(trial.kept), trial.refused
            for _ in range(5):
                await trial.add(8)
            report["phases"].append((len(trial.kept) - before[0], trial.refused - before[1]))
    report["stored"] = [each.id for each in await store.spool.offline(ACCOUNT, 1 << 30)]
    report["kept"] = trial.kept
    report["others"] = trial.others
    await store.close()
    connection = sqlite3.connect(path)
    report["integrity"] = connection.execute("PRAGMA integrity_check").fetchone()[0]
    report["later"] = [row[0] for row in connection.execute("SELECT id FROM spool ORDER BY id")]
    print(json.dumps(report))


def main() -> None:
    """Run what the command line says."""
    how, where = sys.argv[1:]
    program = write(where) if how == "write" else survive(how, Path(where))
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(program).addErrback(report).addBoth(stop))
    reactor.run()


def report(failure: Any) -> None:
    """Say what went wrong."""
    failure.printTraceback(sys.stderr)


def stop(_: object) -> None:
    """Leave."""
    reactor.stop()


if __name__ == "__main__":
    main()
