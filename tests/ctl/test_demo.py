"""
The demo's preparations.
"""

from __future__ import annotations

import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from xmppd.ctl import demo
from xmppd.ctl.demo import Demo, freePorts
from xmppd.ctl.exits import EX_OSERR, EX_UNAVAILABLE, CannotStart
from xmppd.ctl.folder import DataFolder


class DemoTests(SynchronousTestCase):
    """L{Demo}."""

    def setUp(self) -> None:
        self.folder = folderFor(self) / "demo"

    def test_loopback(self) -> None:
        """It is for this machine only, and says so of guests."""
        demo = Demo(self.folder, True, 0)
        listen = demo.config.listen
        self.assertTrue(all(each.endswith(":interface=127.0.0.1") for each in (*listen.c2s, *listen.c2sTls, *listen.http)))
        said = demo.welcome(self.folder, sys.executable)
        self.assertIn("WITHOUT a password", said)
        self.assertIn(listen.http[0].split(":")[1], said)
        self.assertIn(f"  {demo.config.web.origins[0]}/\n", said)
        self.assertRegex(said, r"SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\n")

    def test_lacking(self) -> None:
        """A line that would not work says what it lacks: the example for slixmpp is the only one that needs more."""
        welcome = Demo(self.folder, True, 0).welcome
        for found, says in ((None, True), (object(), False)):
            self.patch(demo, "find_spec", lambda name, found=found: found)
            self.assertEqual("/bin/python -m pip install slixmpp" in welcome(self.folder, "/bin/python"), says)

    def test_private(self) -> None:
        """The folder is nobody else's, since the certificate's key is in it."""
        Demo(self.folder, True, 0)
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.folder / "certs" / "example.org.pem").stat().st_mode & 0o777, 0o600)

    def test_certificate(self) -> None:
        """The certificate stays while it is good; a damaged one is replaced."""
        path = self.folder / "certs" / "example.org.pem"
        Demo(self.folder, True, 0)
        first = path.read_bytes()
        Demo(self.folder, True, 0)
        self.assertEqual(path.read_bytes(), first)
        path.write_text("nonsense")
        Demo(self.folder, True, 0)
        self.assertIn("BEGIN CERTIFICATE", path.read_text())

    def test_second(self) -> None:
        """The files of a demo that runs are left alone."""
        Demo(self.folder, True, 0)
        before = (self.folder / "demo.toml").read_text()
        lock = DataFolder(self.folder / "demo.toml", self.folder)
        lock.acquire()
        self.addCleanup(lock.release)
        error = self.assertRaises(CannotStart, Demo, self.folder, True, 0)
        self.assertEqual(error.status, EX_UNAVAILABLE)
        self.assertEqual((self.folder / "demo.toml").read_text(), before)

    def test_noFolder(self) -> None:
        """A folder that can't be."""
        self.folder.write_text("")
        self.assertRaises(CannotStart, Demo, self.folder, True, 0)


class PortsTests(SynchronousTestCase):
    """L{freePorts}."""

    def test_busy(self) -> None:
        """A busy port is passed over."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            one, two, web = freePorts(port)
            self.assertTrue(port < one < two)
            self.assertNotIn(web, (one, two))

    def test_end(self) -> None:
        """There is an end to ports."""
        error = self.assertRaises(CannotStart, freePorts, 65_535)
        self.assertEqual(error.status, EX_OSERR)

    def test_any(self) -> None:
        """Any three."""
        self.assertEqual(len(set(freePorts(0))), 3)
