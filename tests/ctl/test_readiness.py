"""
What systemd is told.
"""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppd.ctl.readiness import Readiness


class ReadinessTests(SynchronousTestCase):
    """L{Readiness}."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/notify"
        self.clock = Clock()

    def listen(self, path: str) -> socket.socket:
        """What systemd does."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.setblocking(False)
        return listener

    def told(self, listener: socket.socket) -> list[str]:
        """The datagrams so far."""
        found = []
        while True:
            try:
                found.append(listener.recv(4096).decode())
            except BlockingIOError:
                return found

    def test_states(self) -> None:
        """Ready, reloading, stopping."""
        listener = self.listen(self.path)
        readiness = Readiness(self.clock, {"NOTIFY_SOCKET": self.path})
        readiness.ready()
        readiness.reloading()
        readiness.stopping()
        ready, reloading, stopping = self.told(listener)
        self.assertTrue(ready.startswith("READY=1\n"))
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertTrue(stopping.startswith("STOPPING=1\n"))

    def test_abstract(self) -> None:
        """An address that begins with @ is in the abstract namespace."""
        name = f"xmppd-test-{os.getpid()}"
        listener = self.listen(f"\0{name}")
        Readiness(self.clock, {"NOTIFY_SOCKET": f"@{name}"}).ready()
        self.assertEqual(len(self.told(listener)), 1)

    def test_watchdog(self) -> None:
        """It is fed at twice the pace that systemd asks for, from readiness to the end."""
        listener = self.listen(self.path)
        environment = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
        readiness = Readiness(self.clock, environment)
        readiness.ready()
        readiness.ready()
        self.clock.pump([5, 5])
        readiness.stopping()
        self.clock.pump([5, 5])
        self.assertEqual(self.told(listener).count("WATCHDOG=1"), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_othersWatchdog(self) -> None:
        """A watchdog of another process is not ours to feed."""
        listener = self.listen(self.path)
        environment = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}
        Readiness(self.clock, environment).ready()
        self.assertEqual(len(self.told(listener)), 1)

    def test_nobody(self) -> None:
        """Without systemd, or after it is gone, nothing happens."""
        Readiness(self.clock, {}).ready()
        Readiness(self.clock, {"NOTIFY_SOCKET": self.path}).ready()
        self.assertEqual(self.clock.getDelayedCalls(), [])
