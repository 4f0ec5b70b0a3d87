"""
A real server as a process of its own: started, killed, stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from xmppd.trust.selfsigned import makeCertificates

ROOT = Path(__file__).parent.parent.parent.parent
DOMAIN = "example.org"

START_SECONDS = 30.0
"""How long a start may take."""

CONFIGURATION = """\
data = "{folder}/data"
[listen]
c2s = []
c2s_tls = ["tcp:{port}:interface=127.0.0.1"]
[tls]
certificates = "{folder}/certs"
[limits]
enabled = false
management_queue = 1000000
management_bytes = 1073741824
offline_messages = 1000000
send_queue_bytes = 1073741824
[control]
socket = "{control}/socket"
[store]
{store}
[host."{domain}"]
registration = "open"
"""


def freePort() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class DidNotStart(Exception):
    """The server ended, or didn't listen in time; says what it has logged."""


class Daemon:
    """
    One server over several lives.

    @ivar port: where it listens, with TLS from the first byte.
    @ivar starts: how often it has been started.
    """

    def __init__(self, folder: Path, database: str | None = None, environment: dict[str, str] | None = None) -> None:
        """
        @param folder: for its configuration, certificate, data and log.
        @param database: the URL of one; SQLite in the folder by default.
        """
        self.folder = folder
        self.database = database
        self.port = freePort()
        self.starts = 0
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._control = tempfile.TemporaryDirectory(prefix="xmppd")  # a socket's path has to be short
        makeCertificates([DOMAIN], folder / "certs", time.time())
        store = f'url = "{database}"' if database else ""
        text = CONFIGURATION.format(
            folder=folder, port=self.port, domain=DOMAIN, store=store, control=self._control.name
        )
        (folder / "xmppd.toml").write_text(text)

    async def start(self, wait: bool = True) -> None:
        """
        Start it and wait until it listens.

        @raise DidNotStart: it doesn't.
        """
        self.starts += 1
        command = [sys.executable, "-m", "twisted", "xmppd", "--config", str(self.folder / "xmppd.toml")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        if wait:
            await self._listening()

    async def _listening(self) -> None:
        process, until = self._process, time.monotonic() + START_SECONDS
        assert process is not None
        while time.monotonic() < until and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                await asyncio.sleep(0.02)
        self.kill()
        raise DidNotStart(self.log()[-3000:])

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let it do nothing any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    async def stop(self) -> int:
        """Ask it to stop, and answer its exit status."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, 60)

    @property
    def alive(self) -> bool:
        """Whether the process of the last start runs."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What it has logged in all its lives."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def mistakes(self) -> int:
        """How many failures it has logged, as text or JSON."""
        log = self.log()
        return log.count("Traceback (most recent call last)") + log.count('"log_failure"')

    # --- the database, while nobody uses it

    def left(self) -> int:
        """How many messages the database holds."""
        return int(self._ask("SELECT count(*) FROM spool"))

    def integrity(self) -> str:
        """What the database says about itself: C{ok} if it is sound."""
        return "ok" if self.database else str(self._ask("PRAGMA integrity_check"))

    def _ask(self, question: str) -> Any:
        if self.database:
            import psycopg

            plain = "postgresql://" + self.database.partition("://")[2]
            with psycopg.connect(plain) as connection:
                return connection.execute(question).fetchone()[0]  # type: ignore[index,arg-type]
        connection = sqlite3.connect(self.folder / "data" / "xmppd.sqlite")
        try:
            return connection.execute(question).fetchone()[0]
        finally:
            connection.close()
