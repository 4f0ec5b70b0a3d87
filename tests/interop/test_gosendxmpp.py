"""
C{go-sendxmpp} against a whole server: a client of a single shot, as scripts and monitoring use it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from typing import Any

from tests.interop.daemon import ADDRESS, DEADLINE, DOMAIN, DaemonTestCase, run
from tests.marks import spec

PROGRAM = shutil.which("go-sendxmpp")


class GoSendXMPPTests(DaemonTestCase):
    """Sends and listens."""

    expected = ("authentication failed",)

    if PROGRAM is None:
        skip = "go-sendxmpp is not installed: apt-get install go-sendxmpp"

    def setUp(self) -> None:
        """Start a server with two accounts."""
        super().setUp()
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)
        self.environment = {
            "SSL_CERT_FILE": str(self.daemon.certificate),
            "HOME": str(self.daemon.folder),
            "XDG_CONFIG_HOME": str(self.daemon.folder),
            "XDG_DATA_HOME": str(self.daemon.folder),
        }

    def command(self, name: str, *arguments: str, password: str = "", direct: bool = False) -> list[str]:
        """A command line that logs in."""
        assert PROGRAM is not None
        port = self.daemon.tlsPort if direct else self.daemon.port
        login = ["-u", f"{name}@{DOMAIN}", "-p", password or name, "-j", f"{ADDRESS}:{port}", "--tls-version", "13"]
        return [PROGRAM, *login, *(["-t"] if direct else []), *arguments]

    def send(self, body: str, *, password: str = "", direct: bool = False) -> subprocess.CompletedProcess[str]:
        """Send a message from Romeo to Juliet."""
        command = self.command("romeo", f"juliet@{DOMAIN}", password=password, direct=direct)
        return run(command, body, self.environment)

    def listen(self) -> tuple[Any, dict[str, Any]]:
        """Have Juliet listen; answers the lines that she reads, and her stream."""
        pipe = subprocess.PIPE
        command = self.command("juliet", "-l")
        listener = subprocess.Popen(command, stdout=pipe, text=True, env=self.environment)
        assert listener.stdout is not None
        self.addCleanup(listener.stdout.close)
        self.addCleanup(listener.wait)
        self.addCleanup(listener.kill)
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            for stream in self.daemon.streams():
                if (stream["jid"] or "").startswith(f"juliet@{DOMAIN}/"):
                    return iter(listener.stdout), stream
            time.sleep(0.02)
        self.fail("nobody listens")

    @spec("RFC 6120", "5.4")
    @spec("XEP-0368")
    def test_messages(self) -> None:
        """What was sent before, by either port, is read first; then what is sent now."""
        for number, direct in enumerate((False, True)):
            sent = self.send(f"offline {number} <&>", direct=direct)
            self.assertEqual((sent.returncode, sent.stderr), (0, ""))
        lines, stream = self.listen()
        for number in range(2):
            self.assertTrue(next(lines).endswith(f" romeo@{DOMAIN}: offline {number} <&>\n"))
        self.send("online ♥")
        self.assertTrue(next(lines).endswith(f" romeo@{DOMAIN}: online ♥\n"))
        self.assertEqual(stream["tls"], "TLSv1.3")

    @spec("RFC 6120", "6.4")
    def test_mechanism(self) -> None:
        """SCRAM since go-sendxmpp has it; before, PLAIN in TLS."""
        _, stream = self.listen()
        if self.version() >= (0, 6):
            self.assertTrue(stream["mechanism"].startswith("SCRAM-SHA-"), stream)
        else:
            self.assertEqual(stream["mechanism"], "PLAIN")

    def version(self) -> tuple[int, int]:
        """Major and minor version; those of development count as the release before."""
        assert PROGRAM is not None
        told = re.search(r"(\d+)\.(\d+)", run([PROGRAM, "--version"], environment=self.environment).stdout)
        assert told is not None
        return int(told[1]), int(told[2])

    def test_wrongPassword(self) -> None:
        """Nothing is sent with a wrong password."""
        sent = self.send("never", password="wrong")
        self.assertNotEqual(sent.returncode, 0)
        self.assertIn("not-authorized", sent.stderr)
