"""
profanity against a whole server: a client for people, in a terminal that C{tmux} plays.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.interop.daemon import ADDRESS, DEADLINE, DOMAIN, DaemonTestCase, run
from tests.marks import spec

MISSING = [program for program in ("profanity", "tmux", "openssl") if shutil.which(program) is None]


class Relay:
    """
    Passes bytes on between a client and the server, until it is told to cut the connection.

    @ivar port: where it listens.
    """

    def __init__(self, target: int) -> None:
        """
        @param target: the server's port.
        """
        self._target = target
        self._listening = socket.create_server((ADDRESS, 0))
        self.port: int = self._listening.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection((ADDRESS, self._target))
            self._pairs.append((client, server))
            for source, drain in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, drain), daemon=True).start()

    def _pass(self, source: socket.socket, drain: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                drain.sendall(data)
            drain.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # cut, or ended by the other direction

    def cut(self) -> None:
        """End the connections there are, without a word of either side."""
        while self._pairs:
            for each in self._pairs.pop():
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it is closed already
                each.close()

    def end(self) -> None:
        """Cut everything, and take nobody any more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()


class Terminal:
    """
    A terminal in which somebody runs profanity.

    @ivar folder: their home.
    """

    def __init__(self, tmux: Path, name: str, folder: Path, certificates: Path) -> None:
        """
        @param tmux: the socket of tmux.
        @param certificates: a folder of trusted certificates.
        """
        self._tmux = ["tmux", "-S", str(tmux), "-f", "/dev/null"]
        self.name = name
        self.folder = folder
        folder.mkdir(exist_ok=True)
        configuration = folder / "profanity"
        configuration.mkdir(exist_ok=True)
        (configuration / "profrc").write_text(f"[connection]\ntls.certpath={certificates}\n[ui]\nsplash=false\n")
        homes = [f"{variable}={folder}" for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
        command = ["env", *homes, "TERM=screen", "LC_ALL=C.UTF-8", "profanity", "-l", "DEBUG"]
        self._do("new-session", "-d", "-s", name, "-x", "150", "-y", "50", *command)

    def _do(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=True)
        return done.stdout

    def types(self, line: str) -> None:
        """Type a line."""
        self._do("send-keys", "-t", self.name, "-l", line)
        self._do("send-keys", "-t", self.name, "Enter")

    def screen(self) -> str:
        """What can be read."""
        return self._do("capture-pane", "-p", "-J", "-t", self.name)

    def shows(self, pattern: str) -> str:
        """
        Wait for something to be read, and answer the screen.

        @raise AssertionError: it can't be read in time.
        """
        until = time.monotonic() + DEADLINE
        screen = ""
        while time.monotonic() < until:
            screen = self.screen()
            if re.search(pattern, screen):
                return screen
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not see {pattern!r} but:\n{screen.strip()}\n{self.log()[-2000:]}")

    def logs(self, text: str, times: int) -> None:
        """
        Wait until profanity has logged something so many times.

        @raise AssertionError: it doesn't in time.
        """
        until = time.monotonic() + DEADLINE
        while self.log().count(text) < times:
            if time.monotonic() > until:
                raise AssertionError(f"{self.name} does not log {text!r} {times} times but:\n{self.log()[-2000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        """What profanity has logged."""
        return "".join(file.read_text("utf-8", "replace") for file in self.folder.glob("profanity/logs/profanity*.log"))

    def quits(self) -> None:
        """Leave, and wait until profanity has ended."""
        self.types("/quit")
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            if subprocess.run([*self._tmux, "has-session", "-t", self.name], capture_output=True).returncode:
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not quit")


class ProfanityTests(DaemonTestCase):
    """Two people with profanity."""

    if MISSING:
        skip = f"there is no {' and no '.join(MISSING)}: apt-get install profanity tmux openssl"

    def setUp(self) -> None:
        """Start a server with two accounts, and prepare what profanity is to trust."""
        super().setUp()
        self.certificates = self.daemon.folder / "trusted"
        self.certificates.mkdir()
        certificate = self.daemon.certificate
        name = run(["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]).stdout.strip()
        shutil.copy(certificate, self.certificates / f"{name}.0")  # where OpenSSL looks for it
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)
        self.addCleanup(self._endTerminals)

    @property
    def tmux(self) -> Path:
        """The socket of a tmux of our own."""
        return self.daemon.folder / "tmux"

    def _endTerminals(self) -> None:
        subprocess.run(["tmux", "-S", str(self.tmux), "kill-server"], capture_output=True, timeout=DEADLINE)

    def start(self, name: str, port: int = 0) -> Terminal:
        """Start profanity, and log in; at the server's port if no other is given."""
        terminal = Terminal(self.tmux, name, self.daemon.folder / name, self.certificates)
        terminal.shows(r"Profanity\. Type /help")
        terminal.types(f"/connect {name}@{DOMAIN} server {ADDRESS} port {port or self.daemon.port} tls force")
        terminal.shows("Enter password")
        terminal.types(name)
        terminal.shows("logged in successfully")
        return terminal

    def stream(self, name: str) -> dict[str, Any]:
        """Somebody's stream as the server sees it."""
        return next(each for each in self.daemon.streams() if (each["jid"] or "").startswith(f"{name}@"))

    @spec("RFC 6120", "5.4", "6.4")
    @spec("RFC 6121", "2.3", "3.1", "4.2", "5.2")
    @spec("XEP-0198", "3", "4")
    def test_conversation(self) -> None:
        """SCRAM in TLS 1.3; a contact is added, agrees, is seen online; messages pass, also to who is away."""
        romeo = self.start("romeo")
        stream = self.stream("romeo")
        self.assertEqual(stream["tls"], "TLSv1.3")
        self.assertTrue(stream["mechanism"].startswith("SCRAM-SHA-"), stream)
        romeo.types(f"/roster add juliet@{DOMAIN} Julia")
        romeo.shows("Roster item added")
        romeo.types(f"/sub request juliet@{DOMAIN}")
        juliet = self.start("juliet")
        juliet.shows(f"Received authorization request from romeo@{DOMAIN}")
        juliet.types(f"/sub allow romeo@{DOMAIN}")
        romeo.shows(r"\+\+ Julia")
        romeo.types("/who online")
        romeo.shows(r"Julia is online")
        romeo.types("/msg Julia Wherefore & <b> é?")
        juliet.shows(r"<< chat message: romeo@example\.org.*win 2")
        juliet.types("/win 2")
        juliet.shows(r"Wherefore & <b> é\?")
        juliet.types("Deny thy father")
        romeo.shows("Deny thy father")
        juliet.quits()
        romeo.shows(r"offline")
        romeo.types("good night")
        romeo.shows("me: good night")
        juliet = self.start("juliet")
        juliet.shows(r"<< chat message: romeo@example\.org")
        juliet.types("/win 2")
        juliet.shows("good night")
        for person in (romeo, juliet):
            person.quits()
            self.assertNotIn("IQ error received", person.log())
            self.assertNotIn("conn: ERR", person.log())
            self.assertNotIn("xmpp: ERR", person.log())

    @spec("XEP-0198", "5")
    def test_resumption(self) -> None:
        """A connection is cut three times while somebody goes on talking: all arrives, once, in the same session."""
        relay = Relay(self.daemon.port)
        self.addCleanup(relay.end)
        romeo, juliet = self.start("romeo", relay.port), self.start("juliet")
        romeo.types("/reconnect 1")
        romeo.shows("Reconnect interval set to 1")
        juliet.types(f"/msg romeo@{DOMAIN} <first>")
        romeo.shows("<< chat message: juliet@")
        for turn in range(3):
            juliet.types(f"<{turn} before>")
            relay.cut()
            romeo.logs("Lost connection", turn + 1)
            juliet.types(f"<{turn} after>")
            romeo.logs("Session resumed successfully", turn + 1)
        juliet.types("<last>")
        romeo.types("/win 2")
        said = re.findall(r"<(\w+ ?\w*)>", romeo.shows("<last>"))
        self.assertEqual(said, ["first", *(f"{turn} {when}" for turn in range(3) for when in ("before", "after")), "last"])
        self.assertEqual({each["state"] for each in self.daemon.streams()}, {"bound"})
        for person in (romeo, juliet):
            person.quits()
