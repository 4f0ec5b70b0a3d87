"""
What archives cost: CPU time for one message between two accounts, whose archives both take it.

    python benchmarks/archive.py [--messages N] [--rounds N] [--pairs N] [--window N] [NAME ...]

Servers are started on loopback, each in a folder of its own and without TLS, so that nothing but the routing and the
archive is measured: xmppd with archives and without, and Prosody (with its file store and with SQLite) and ejabberd
(Mnesia) likewise, where they are installed. Within each round the servers take turns. The figure is CPU time, user and
system, of the server's whole process tree, threads included, from the first message until nothing more is being
written; the median of the rounds. Every message is waited for; how many of the archive's rows exist afterwards is
counted for xmppd.
"""

from __future__ import annotations

import argparse
import base64
import os
import selectors
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"
DOMAIN = "localhost"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0
BODY = "But soft, what light through yonder window breaks?"

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)

PROSODY = """
run_as_root = true; daemonize = false; pidfile = "{folder}/pid"; data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}; c2s_ports = {{ {port} }}; s2s_ports = {{}}; modules_disabled = {{ "s2s" }}
modules_enabled = {{ "roster"; "saslauth"; "disco"; "carbons"; "ping"; "register"; "smacks"; {mam} }}
allow_registration = true; c2s_require_encryption = false; allow_unencrypted_plain_auth = true
authentication = "internal_hashed"; network_backend = "epoll"; limits = {{}}; log = {{ warn = "{folder}/log" }}
default_archive_policy = true; {storage}
VirtualHost "localhost"
"""

EJABBERD = """
hosts: [localhost]
loglevel: error
acme: {{auto: false}}
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, shaper: none, access: everyone}}
auth_method: internal
auth_password_format: scram
access_rules: {{everyone: {{allow: all}}, register: {{allow: all}}}}
registration_timeout: infinity
modules:
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_register: {{access: register, ip_access: all, password_strength: 0}}
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
{mam}
"""

XMPPD = """
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
[tls]
certificates = "certs"
require_c2s = false
[limits]
enabled = false
[host."localhost"]
registration = "open"
plain_without_tls = true
[host."localhost".features.xep0313_archive]
accounts = {enabled}
"""


class Server:
    """One server in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        folder.mkdir()
        with socket.socket() as free:
            free.bind((ADDRESS, 0))
            self.port: int = free.getsockname()[1]
        self.output = (folder / "output").open("wb")
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it, and wait until it listens."""
        begin = {"xmppd": self._xmppd, "prosody": self._prosody, "ejabberd": self._ejabberd}
        command = begin[self.name.partition("-")[0]]("off" not in self.name)
        # What is in ejabberd's environment doesn't get through to it, but for these options.
        environment = {**os.environ, "EJABBERD_OPTS": f'config "{self.folder / "ejabberd.yml"}"'}
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdout=self.output, stderr=self.output, start_new_session=True, env=environment
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                socket.create_connection((ADDRESS, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.name} does not listen; see {self.folder}")

    def _xmppd(self, archive: bool) -> list[str]:
        sys.path.insert(0, str(ROOT))
        from xmppd.trust.selfsigned import makeCertificates

        makeCertificates([DOMAIN], self.folder / "certs", time.time())
        text = XMPPD.format(port=self.port, enabled=str(archive).lower())
        (self.folder / "xmppd.toml").write_text(text)
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from xmppd.__main__ import main; main()"
        return [sys.executable, "-c", code, "run", "--config", str(self.folder / "xmppd.toml")]

    def _prosody(self, archive: bool) -> list[str]:
        (self.folder / "data").mkdir()
        sql = 'storage = { archive = "sql"; }; sql = { driver = "SQLite3"; database = "archive.sqlite"; }'
        text = PROSODY.format(
            folder=self.folder,
            port=self.port,
            mam='"mam"' if archive else "",
            storage=sql if "sqlite" in self.name else "",
        )
        (self.folder / "prosody.cfg.lua").write_text(text)
        return ["prosody", "--config", str(self.folder / "prosody.cfg.lua"), "-F"]

    def _ejabberd(self, archive: bool) -> list[str]:
        mam = "  mod_mam: {default: always, db_type: mnesia, assume_mam_usage: false}" if archive else ""
        (self.folder / "ejabberd.yml").write_text(EJABBERD.format(port=self.port, mam=mam))
        subprocess.run(["chown", "-R", "ejabberd", str(self.folder)], check=True)
        for path in (self.folder, self.folder.parent):
            path.chmod(0o755)
        folder, node = str(self.folder), f"{self.name.replace('-', '')}{os.getpid()}@localhost"
        config = str(self.folder / "ejabberd.yml")
        return ["ejabberdctl", "-n", node, "-f", config, "-s", folder, "-l", folder, "foreground"]

    def cpu(self) -> float:
        """Seconds of CPU time that the process tree has used."""
        return sum(map(_cpuOf, _tree(self.process.pid)))

    def settled(self) -> float:
        """The same, when it has come to rest."""
        last, quiet = self.cpu(), 0
        while quiet < 4:
            time.sleep(0.25)
            now = self.cpu()
            quiet = quiet + 1 if now - last <= 0.01 else 0
            last = now
        return last

    def stop(self) -> None:
        """End it."""
        for pid in reversed(list(_tree(self.process.pid))):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from _tree(int(child))
    except OSError:
        return


def _cpuOf(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Client:
    """One client that doesn't parse what it gets."""

    def __init__(self, port: int, user: str) -> None:
        self.socket = socket.create_connection((ADDRESS, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.user = user
        self.jid = f"{user}@{DOMAIN}/bench"
        self._got = b""

    def say(self, text: str, *until: str) -> str:
        """Send something and read until one of some texts has come."""
        self.socket.sendall(text.encode())
        while not any(each.encode() in self._got for each in until):
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit(f"the server closed the stream: {self._got!r}")
            self._got += data
        got, self._got = self._got.decode(), b""
        return got

    def register(self) -> None:
        """Make the account."""
        self.say(HEADER, "</stream:features>")
        fields = f"<username>{self.user}</username><password>secret</password>"
        query = f"<query xmlns='jabber:iq:register'>{fields}</query>"
        answer = self.say(f"<iq type='set' id='reg1' to='{DOMAIN}'>{query}</iq>", "reg1'", 'reg1"')
        if "error" in answer:
            raise SystemExit(answer)
        self.socket.close()

    def login(self) -> None:
        """Log in, bind and become available."""
        self.say(HEADER, "</stream:features>")
        secret = base64.b64encode(f"\0{self.user}\0secret".encode()).decode()
        sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
        answer = self.say(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{secret}</auth>", "<success", "<failure")
        if "<failure" in answer:
            raise SystemExit(answer)
        self.say(HEADER, "</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind>"
        self.say(f"<iq type='set' id='b1'>{bind}</iq>", "</iq>")
        self.say("<presence/>", "<presence")


class Pair:
    """One sender and one receiver, with a number of messages under way."""

    def __init__(self, sender: Client, receiver: Client, count: int, window: int) -> None:
        self.receiver = receiver
        self._socket = sender.socket
        self._left = count
        self._missing = count
        self._window = window
        self._tail = b""
        self._message = (
            f"<message to='{receiver.jid}' type='chat' id='m1'><body>{BODY}</body></message>"
        ).encode()

    def send(self) -> None:
        """Send as many as the window allows, once half of it is free."""
        free = min(self._left, self._window - (self._missing - self._left))
        if free and (free >= self._window // 2 or free == self._left):
            self._left -= free
            self._socket.sendall(self._message * free)

    def receive(self) -> bool:
        """Take what has come; answers whether that was all."""
        data = self._tail + self.receiver.socket.recv(262144)
        self._missing -= data.count(b"</message>")
        self._tail = b"" if data.endswith(b"</message>") else data[-9:]
        self.send()
        return self._missing <= 0


def talk(clients: list[Client], messages: int, window: int) -> None:
    """Have half of the clients send to the other half."""
    half = len(clients) // 2
    pairs = [
        Pair(sender, receiver, messages // half, window)
        for sender, receiver in zip(clients[:half], clients[half:], strict=True)
    ]
    with selectors.DefaultSelector() as selector:
        for pair in pairs:
            selector.register(pair.receiver.socket, selectors.EVENT_READ, pair)
            pair.send()
        left = len(pairs)
        while left:
            ready = selector.select(PATIENCE)
            if not ready:
                raise SystemExit("messages are missing")
            for key, _ in ready:
                if key.data.receive():
                    selector.unregister(key.fileobj)
                    left -= 1


def measure(server: Server, messages: int, pairs: int, window: int) -> float:
    """Microseconds of CPU time for each message."""
    clients = [Client(server.port, f"u{number}") for number in range(2 * pairs)]
    for client in clients:
        client.login()
    before = server.settled()
    talk(clients, messages, window)
    used = server.settled() - before
    for client in clients:
        client.socket.close()
    time.sleep(0.5)
    return used / (messages // pairs * pairs) * 1e6


def names() -> list[str]:
    """What can be measured here."""
    found = ["xmppd-off", "xmppd"]
    if shutil.which("prosody"):
        found += ["prosody-off", "prosody", "prosody-sqlite"]
    if shutil.which("ejabberdctl"):
        found += ["ejabberd-off", "ejabberd"]
    return found


def rowsOf(server: Server) -> int:
    """How many messages the archives of xmppd have."""
    with sqlite3.connect(server.folder / "data" / "xmppd.sqlite") as database:
        return int(database.execute("SELECT count(*) FROM archive").fetchone()[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names())
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--window", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="archive-"))
    servers = [Server(name, base / name) for name in options.names]
    figures: dict[str, list[float]] = {}
    try:
        for server in servers:
            server.start()
            for number in range(2 * options.pairs):
                Client(server.port, f"u{number}").register()
        for _ in range(options.rounds):
            for server in servers:
                figure = measure(server, options.messages, options.pairs, options.window)
                figures.setdefault(server.name, []).append(figure)
        for server in servers:
            if server.name == "xmppd":
                print(f"{rowsOf(server)} rows of {2 * options.rounds * options.messages} expected")
    finally:
        for server in servers:
            if hasattr(server, "process"):
                server.stop()
    for name, found in figures.items():
        median = statistics.median(found)
        print(f"{name:16} {median:8.1f} µs a message   {1e6 / median:10,.0f} messages a CPU second")
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
