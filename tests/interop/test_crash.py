"""
A whole daemon is killed under load, and its disk fails; nothing it has acknowledged is lost. See L{tests.interop.crash}.

With C{XMPPD_LONG_TESTS} in the environment it is 20,000 messages with each database.
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

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.interop.crash.account import BROKEN
from tests.interop.crash.daemon import ROOT
from tests.marks import spec
from tests.store.cluster import whySkip
from tests.store.test_failures import NO_SYNC

LONG = bool(os.environ.get("XMPPD_LONG_TESTS"))
SIZE = ("--messages", "20000", "--kills", "30") if LONG else ("--messages", "1500", "--kills", "5")
TIMEOUT = 1800 if LONG else 300


def report(*arguments: str, inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Run the programme, and answer what it reports.

    @param inside: a command that runs it.
    """
    command = [*inside, sys.executable, "-X", "faulthandler", "-m", *arguments, "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        told, problems = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # it tells where it is
        process.wait()
        os.killpg(process.pid, signal.SIGKILL)  # its server is not to be left behind
        told, problems = process.communicate()
        raise AssertionError(f"it doesn't come to an end:\n{problems.decode()[-4000:]}") from None
    if not told:
        raise AssertionError(problems.decode()[-4000:])
    found: dict[str, Any] = json.loads(told)
    return found


class KilledTests(SynchronousTestCase):
    """The daemon is killed at random instants."""

    def account(self, *arguments: str) -> None:
        """Kill it, and judge the account."""
        found = report("tests.interop.crash", *SIZE, *arguments)
        total = found["states"]["all"]
        self.assertEqual(total["acknowledged"], found["messages"])
        self.assertEqual({name: total.get(name, 0) for name in BROKEN}, dict.fromkeys(BROKEN, 0), found)
        self.assertEqual((found["integrity"], found["mistakes"], found["left"]), ("ok", 0, 0))
        self.assertEqual(found["sendersNotResumed"], 0)
        self.assertTrue(found["good"])

    @spec("XEP-0198", "4", "5")
    @spec("RFC 6120", "10.1")
    def test_sqlite(self) -> None:
        """SQLite: all acknowledged messages arrive in order, and hibernating sessions resume."""
        self.account("--seed", "1")

    @spec("XEP-0198", "4", "5")
    def test_postgresql(self) -> None:
        """PostgreSQL: the same."""
        self.account("--seed", "2", "--postgresql")

    test_postgresql.skip = whySkip()  # type: ignore[attr-defined]


class DiskTests(SynchronousTestCase):
    """The daemon's disk fails."""

    def folder(self) -> Path:
        """A new folder."""
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        return path

    def account(self, *arguments: str, inside: tuple[str, ...] = ()) -> None:
        """Break the disk, mend it, and judge the account."""
        found = report("tests.interop.crash.disk", *arguments, inside=inside)
        self.assertEqual(set(found["refused"]), {"wait/resource-constraint"})
        self.assertTrue(found["alive"])
        self.assertEqual((found["unacknowledged"], found["refused afterwards"], found["restarts"]), (0, 0, 0), found)
        total = found["states"]["all"]
        self.assertEqual({name: total.get(name, 0) for name in BROKEN}, dict.fromkeys(BROKEN, 0), found)
        self.assertEqual((found["integrity"], found["mistakes"], found["left"]), ("ok", 0, 0))
        self.assertEqual(found["sendersNotResumed"], 0)

    def test_fullDisk(self) -> None:
        """
        While it is full senders are told to wait, or nothing; with room again everything goes on without a restart.
        """
        if not shutil.which("unshare"):
            raise SkipTest("install unshare (apt install util-linux)")
        folder = self.folder()
        script = 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"'
        inside = ("unshare", "--mount", "sh", "-c", script, "sh", str(folder))
        if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("mounting a file system isn't allowed here")
        self.account(str(folder), "full", inside=inside)

    @spec("XEP-0198", "5")
    def test_failedSync(self) -> None:
        """A disk that takes nothing, and a server that is killed meanwhile: nothing it said was wrong."""
        compiler = shutil.which("cc")
        if not compiler:
            raise SkipTest("install a C compiler (apt install gcc)")
        folder = self.folder()
        source, library = folder / "nosync.c", folder / "nosync.so"
        source.write_text(NO_SYNC)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.account(str(folder), "sync", "--preload", str(library), "--kill-broken")
