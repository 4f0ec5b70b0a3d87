"""
A whole server as a process of its own, for clients that are programmes of their own.

Ports are the system's choice and asked for over the control socket, so that nothing races for them; the folder is
short, since the path of a UNIX socket has to be.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xmppd.ctl.client import Client
from xmppd.ctl.socket import CommandError
from xmppd.trust.selfsigned import makeCertificates

ROOT = Path(__file__).parent.parent.parent

DOMAIN = "example.org"
GUESTS = "guests.example"
ADDRESS = "127.0.0.1"

DEADLINE = 60.0
"""Seconds after which waiting is given up: a start, a stop, anything a client is expected to do."""

RUN = (sys.executable, "-m", "twisted", "xmppd", "--config")
"""How the server is started; the configuration follows."""

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
enabled = false
{limits}
[host."example.org"]
registration = "open"
admins = ["admin@example.org"]
[host."example.org".features.xep0313_archive]
accounts = true
[host."example.org".contacts]
abuse = ["mailto:abuse@example.org"]
[host."guests.example"]
accounts = false
guests = "public"
"""


MISTAKE = re.compile(r"^\S+Z (warn|error|critical) |Traceback|Unhandled")
"""What a line of a log looks like that tells of a mistake."""


class DidNotStart(Exception):
    """The server ended, or didn't serve in time; says what it has written."""


class Daemon:
    """
    One server, over one life or several in the same folder and at the same ports.

    @ivar folder: its configuration, certificates, data and log.
    @ivar port: where clients begin in the clear.
    @ivar tlsPort: where they begin with TLS.
    @ivar status: with which exit status it was stopped; None if it never was.
    """

    port = 0
    tlsPort = 0
    status: int | None = None

    def __init__(self, folder: Path, configuration: str = CONFIGURATION, limits: str = "") -> None:
        """
        @param configuration: a template with C{port}, C{tlsPort} and C{limits} to fill in.
        @param limits: lines for the section of limits.
        """
        self.folder = folder
        self._configuration = configuration
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        makeCertificates([DOMAIN, GUESTS], folder / "certs", time.time())

    def _configure(self) -> None:
        text = self._configuration.format(port=self.port, tlsPort=self.tlsPort, limits=self._limits)
        (self.folder / "xmppd.toml").write_text(text, "utf-8")

    @property
    def certificate(self) -> Path:
        """What a client of example.org has to trust."""
        return self.folder / "certs" / f"{DOMAIN}.pem"

    def start(self, command: Sequence[str] = RUN) -> None:
        """
        Start it, and wait until it serves.

        @raise DidNotStart: it doesn't.
        """
        self._configure()
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, str(self.folder / "xmppd.toml")], cwd=ROOT, stdout=output, stderr=output
            )
        try:
            ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self._status()["ports"]}
        except DidNotStart:
            self.kill()
            raise
        self.port, self.tlsPort = ports["listen.c2s"], ports["listen.c2s_tls"]

    def _status(self) -> Any:
        """What the server says about itself, once it says anything."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self.alive:
            try:
                return self.ask("status")
            except CommandError:
                time.sleep(0.02)
        raise DidNotStart(self.written()[-3000:])

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> int:
        """Ask it to stop, wait, and answer its exit status."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            self.status = process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return self.status

    def ask(self, command: str, **arguments: Any) -> Any:
        """
        Have something done as C{xmppctl} has it done.

        @raise CommandError: it can't be done, or nobody listens.
        """
        client = Client(self.folder / "data" / "xmppctl.sock")
        try:
            return client.ask(command, **arguments)
        finally:
            client.close()

    def addAccount(self, name: str) -> str:
        """Make an account whose password is its name, and answer its address."""
        jid = f"{name}@{DOMAIN}"
        self.ask("user add", jid=jid, password=name)
        return jid

    def streams(self) -> list[dict[str, Any]]:
        """Its connections as C{xmppctl streams} tells them."""
        items: list[dict[str, Any]] = self.ask("streams")["items"]
        return items

    def written(self) -> str:
        """What it has logged or printed in all its lives."""
        files = (self.folder / "log", self.folder / "output")
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())


class DaemonTestCase(SynchronousTestCase):
    """
    A test with a server of its own: which has to end with status 0, and to have logged neither a traceback nor anything
    worse than information.

    @ivar limits: lines for the section of limits.
    @ivar expected: what may appear in lines of the log that would be mistakes otherwise.
    """

    limits = ""
    expected: tuple[str, ...] = ()

    def setUp(self) -> None:
        """Start the server."""
        self.daemon = startDaemon(self, self.limits, self.expected)


def startDaemon(
    test: Any, limits: str = "", expected: Sequence[str] = (), configuration: str = CONFIGURATION
) -> Daemon:
    """
    Start a server in a temporary folder. The test's clean-up stops it, judges its end and its log, and removes the
    folder.

    @param expected: what may appear in lines of the log that would be mistakes otherwise.
    """
    folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    daemon = Daemon(folder, configuration, limits)
    test.addCleanup(daemon.kill)

    def end() -> None:
        status = daemon.stop() if daemon.alive else daemon.status
        test.assertEqual((status, mistakes(daemon.written(), expected)), (0, []))

    daemon.start()
    test.addCleanup(end)
    return daemon


def mistakes(written: str, expected: Sequence[str] = ()) -> list[str]:
    """The lines of a log that tell of mistakes: tracebacks, and what is a warning or worse."""
    lines = [line for line in written.splitlines() if MISTAKE.search(line)]
    return [line for line in lines if not any(text in line for text in expected)]


def run(
    command: Sequence[str], given: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end, with time enough for a busy machine."""
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
