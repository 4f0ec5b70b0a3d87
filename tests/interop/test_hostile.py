"""
While a real server is under attack two honest users' messages stay fast: 99 of 100 in less than 50 ms.

First it is measured how fast they are without an attack; on a machine so busy that even then they are slow the test is
skipped and says so. An attack that makes them slow gets a second chance, since it may have been somebody else.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.interop.daemon import ROOT, Daemon, mistakes
from tests.interop.hostile import ATTACKS, HEADER, auth, bind

SECONDS = 1.0
"""How long each attack lasts."""

LIMIT = 0.050
"""Seconds within which 99 of 100 messages have to arrive."""

QUIET = 0.020
"""The same without an attack; on a slower machine the test tells nothing."""

CONFIGURATION = """\
data = "data"
[store]
url = "memory:"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
attempts_per_minute = 0
auth_failures_per_minute = 0
{limits}
[host."example.org"]
"""


class Honest:
    """A client over TLS that sends and receives."""

    def __init__(self, port: int, name: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.jid = f"{name}@example.org/honest"
        self._got = b""
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname="example.org")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ask(HEADER, b"</stream:features>")
        self._ask(auth("PLAIN", f"\0{name}\0{name}".encode()), b"<success")
        self._ask(HEADER, b"</stream:features>")
        self._ask(bind("honest"), b"</iq>")

    def _ask(self, data: bytes, expected: bytes) -> None:
        self._socket.sendall(data)
        self.receive(expected)

    def send(self, to: Honest, text: str) -> None:
        """Say something."""
        self._socket.sendall(f"<message to='{to.jid}' type='chat'><body>{text}</body></message>".encode())

    def receive(self, expected: bytes) -> None:
        """Wait for something."""
        while expected not in self._got:
            data = self._socket.recv(65536)
            if not data:
                raise AssertionError(f"an honest client was disconnected: {self._got[-500:]!r}")
            self._got += data
        self._got = self._got.partition(expected)[2]

    def close(self) -> None:
        """Go."""
        self._socket.close()


class HostileTests(SynchronousTestCase):
    """All attacks against one server, one after the other."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.daemon = Daemon(folder, CONFIGURATION)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        for name in ("romeo", "juliet", "mallory"):
            self.daemon.addAccount(name)
        self.romeo, self.juliet = (Honest(self.daemon.tlsPort, name) for name in ("romeo", "juliet"))
        self.addCleanup(self.romeo.close)
        self.addCleanup(self.juliet.close)

    def measure(self, seconds: float) -> float:
        """Send messages both ways for a time; the time in which 99 of 100 have arrived."""
        times = []
        until = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until:
            for sender, receiver in ((self.romeo, self.juliet), (self.juliet, self.romeo)):
                number += 1
                begun = time.perf_counter()
                sender.send(receiver, f"number {number}!")
                receiver.receive(f"number {number}!".encode())
                times.append(time.perf_counter() - begun)
            time.sleep(0.002)
        times.sort()
        return times[min(len(times) - 1, int(len(times) * 0.99))]

    def under(self, name: str) -> tuple[float, int]:
        """The same while an attack goes on, and how often it was made."""
        command = [sys.executable, "-m", "tests.interop.hostile", str(self.daemon.port), str(self.daemon.tlsPort), name, str(SECONDS + 0.3)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as attacker:
            time.sleep(0.2)  # until it has begun
            measured = self.measure(SECONDS)
            return measured, int(attacker.communicate(timeout=30)[0])

    def test_attacks(self) -> None:
        """99 of 100 messages arrive within 50 ms whatever the attack; honest users stay connected; nothing is logged."""
        quiet = self.measure(SECONDS)
        if quiet > QUIET:
            raise SkipTest(f"without an attack 99 of 100 messages take up to {quiet * 1000:.0f} ms: this machine is too busy")
        slow = []
        for name in ATTACKS:
            measured, count = self.under(name)
            if measured > LIMIT:
                measured, count = min(self.under(name), (measured, count))
            print(f"{name}: {measured * 1000:.1f} ms, {count} attacks")
            if measured > LIMIT:
                slow.append(f"{name}: {measured * 1000:.0f} ms with {count} attacks")
            self.assertTrue(self.daemon.alive, name)
            self.assertGreater(count, 0, name)
        self.assertEqual(slow, [], f"without an attack: {quiet * 1000:.1f} ms")
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(mistakes(self.daemon.written(), ("authentication failed",)), [])
