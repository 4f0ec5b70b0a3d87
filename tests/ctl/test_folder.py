"""
The data folder belongs to one server at a time.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from xmppd.ctl.exits import EX_CANTCREAT, EX_UNAVAILABLE, CannotStart
from xmppd.ctl.folder import LOCK, DataFolder


class DataFolderTests(SynchronousTestCase):
    """L{DataFolder}."""

    def setUp(self) -> None:
        self.folder = folderFor(self)
        self.file = self.folder / "xmppd.toml"

    def held(self) -> DataFolder:
        """A folder in use."""
        folder = DataFolder(self.file, self.folder / "a" / "data")
        folder.acquire()
        self.addCleanup(folder.release)
        return folder

    def test_made(self) -> None:
        """It is made, for nobody else's eyes."""
        self.held()
        self.assertEqual((self.folder / "a" / "data").stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.folder / "a" / "data" / LOCK).stat().st_mode & 0o777, 0o600)

    def test_second(self) -> None:
        """A second server is told who is there; after the first has gone it may have it."""
        first = self.held()
        error = self.assertRaises(CannotStart, self.held)
        self.assertEqual(error.status, EX_UNAVAILABLE)
        self.assertIn(f"process {os.getpid()}", error.lines[0])
        first.release()
        self.held()

    def test_noFolder(self) -> None:
        """Where there can't be one."""
        (self.folder / "a").write_text("")
        error = self.assertRaises(CannotStart, self.held)
        self.assertEqual((error.status, len(error.lines), "; " in error.lines[0]), (EX_CANTCREAT, 1, True))

    def test_readOnly(self) -> None:
        """One that can't be written."""
        (self.folder / "a" / "data").mkdir(parents=True)
        (self.folder / "a" / "data" / LOCK).mkdir()
        self.assertEqual(self.assertRaises(CannotStart, self.held).status, EX_CANTCREAT)
