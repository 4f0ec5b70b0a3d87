"""
Changed files are noticed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppd.ctl.watching import SECONDS, Watch


class WatchTests(SynchronousTestCase):
    """L{Watch}."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "xmppd.toml"
        self.certificates = Path(folder.name) / "certs"
        self.certificates.mkdir()
        self.write(self.file, "one")
        self.clock = Clock()
        self.changes = 0
        self.watch = Watch(self.clock, lambda: (self.file, self.certificates, None), self.changed)
        self.watch.start()
        self.addCleanup(self.watch.stop)

    def changed(self) -> None:
        """Count."""
        self.changes += 1

    def write(self, path: Path, text: str) -> None:
        """Write a file; its time differs from the last."""
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(text)
        os.utime(path, ns=(before + 1, before + 1))

    def looks(self, count: int) -> int:
        """How many changes so many looks found."""
        before = self.changes
        self.clock.pump([SECONDS] * count)
        return self.changes - before

    def test_nothing(self) -> None:
        """Nothing happens as long as nothing changes."""
        self.assertEqual(self.looks(10), 0)

    def test_file(self) -> None:
        """A changed file is told once, at the second look."""
        self.write(self.file, "two")
        self.assertEqual((self.looks(1), self.looks(1), self.looks(5)), (0, 1, 0))

    def test_certificates(self) -> None:
        """So is a changed, a new and a removed certificate; other files there don't count."""
        path = self.certificates / "example.org.pem"
        self.write(path, "key")
        self.assertEqual(self.looks(2), 1)
        self.write(path, "yek")
        self.assertEqual(self.looks(2), 1)
        path.unlink()
        self.assertEqual(self.looks(2), 1)

    def test_replaced(self) -> None:
        """A file that another is moved over, with the same size and time, is another file."""
        status = self.file.stat()
        other = self.file.with_suffix(".new")
        other.write_text("two")
        os.utime(other, ns=(status.st_mtime_ns, status.st_mtime_ns))
        other.rename(self.file)
        self.assertEqual(self.looks(2), 1)

    def test_settles(self) -> None:
        """While files keep changing, it waits."""
        for text in ("two", "three", "four"):
            self.write(self.file, text)
            self.assertEqual(self.looks(1), 0)
        self.assertEqual(self.looks(1), 1)

    def test_renew(self) -> None:
        """What somebody has just read is not told again."""
        self.write(self.file, "two")
        self.watch.renew()
        self.assertEqual(self.looks(3), 0)

    def test_missing(self) -> None:
        """A file that vanishes is a change like another."""
        self.file.unlink()
        self.assertEqual(self.looks(2), 1)

    def test_stop(self) -> None:
        """It ends."""
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
