"""
What rooms cost: CPU time of the server while a room fills, and while one of its occupants speaks.

    python benchmarks/rooms.py [--sizes N,N,...] [--copies N] [--rounds N] [NAME ...]

Servers are started on loopback, each in a folder of its own and without TLS, so that nothing but the room is measured:
xmppd, Prosody and ejabberd, where they are installed, none with history or an archive. In each round and for each size
the servers take turns, each with a new room. One account makes the room, then the others join one after another: the
next sends its presence once everything that the last one caused has arrived, at whichever client. Filling a room of N
takes N * N presences, so the figure is CPU time for each stanza that arrived, and filling is linear in stanzas where it
stays the same for all sizes. Then one occupant sends messages, five of them under way at a time.

CPU time is user and system of the server's whole process tree, until it has come to rest; figures are medians of the
rounds. A server from which nothing comes for a while is given up for that size, with what is missing.
"""

from __future__ import annotations

import argparse
import resource
import selectors
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import archive

PATIENCE = 15.0
"""Seconds without any stanza, after which a server is given up."""

WINDOW = 5
"""Messages to the room that are under way at a time."""

SERVICE = "conference.localhost"
MUC = "http://jabber.org/protocol/muc"

PROSODY = """
run_as_root = true; daemonize = false; pidfile = "{folder}/pid"; data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}; c2s_ports = {{ {port} }}; s2s_ports = {{}}; modules_disabled = {{ "s2s" }}
modules_enabled = {{ "roster"; "saslauth"; "disco"; "ping"; "register" }}
allow_registration = true; c2s_require_encryption = false; allow_unencrypted_plain_auth = true
authentication = "internal_hashed"; network_backend = "epoll"; limits = {{}}; log = {{ warn = "{folder}/log" }}
VirtualHost "localhost"
Component "conference.localhost" "muc"
  max_history_messages = 0
logging = false
"""

EJABBERD_ROOMS = """
  mod_muc:
    access: everyone
    access_create: everyone
    host: conference.localhost
    min_message_interval: 0
    max_users: 5000
    history_size: 0
    default_room_options: {max_users: 5000}
"""

XMPPD_ROOMS = """
[rooms."conference.localhost"]
create = "everyone"
occupants_max = 5000
history_messages = 0
"""


class Server(archive.Server):
    """One server with rooms, in a folder of its own."""

    def _xmppd(self, archive: bool) -> list[str]:
        command = super()._xmppd(False)
        with (self.folder / "xmppd.toml").open("a") as file:
            file.write(XMPPD_ROOMS)
        return command

    def _prosody(self, archive: bool) -> list[str]:
        command = super()._prosody(False)
        (self.folder / "prosody.cfg.lua").write_text(PROSODY.format(folder=self.folder, port=self.port))
        return command

    def _ejabberd(self, archive: bool) -> list[str]:
        command = super()._ejabberd(False)
        with (self.folder / "ejabberd.yml").open("a") as file:
            file.write(EJABBERD_ROOMS)
        return command


class MissingError(Exception):
    """Stanzas that were to come didn't."""


class Crowd:
    """Clients that count what they get, all of them read whenever something is waited for."""

    def __init__(self, clients: list[archive.Client]) -> None:
        self.clients = clients
        self.presences = 0
        self.messages = 0
        self.octets = 0
        self._tails = [b""] * len(clients)
        self._selector = selectors.DefaultSelector()
        for index, client in enumerate(clients):
            client.socket.setblocking(False)
            self._selector.register(client.socket, selectors.EVENT_READ, index)

    def send(self, index: int, text: str) -> None:
        """Have one client send something short."""
        self.clients[index].socket.sendall(text.encode())

    def read(self, seconds: float) -> bool:
        """Count what has come, at whichever client; answers whether anything did within some seconds."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            data = key.fileobj.recv(262144)  # type: ignore[union-attr]
            if not data:
                raise MissingError("the server closed a stream")
            self.octets += len(data)
            tail = self._tails[key.data]
            # A tail is shorter than what is looked for: nothing counts twice.
            self.presences += (tail + data).count(b"</presence>")
            self.messages += (tail[-9:] + data).count(b"</message>")
            self._tails[key.data] = (tail + data)[-10:]
        return bool(ready)

    def rest(self) -> None:
        """Read until nothing has come for a second."""
        while self.read(1):
            pass

    def wait(self, presences: int, messages: int) -> None:
        """Read until there have been so many. Raises MissingError."""
        while self.presences < presences or self.messages < messages:
            if not self.read(PATIENCE):
                missing = f"{presences - self.presences} presences, {messages - self.messages} messages"
                raise MissingError(f"missing: {missing}")

    def close(self) -> None:
        """End all connections."""
        self._selector.close()
        for client in self.clients:
            client.socket.close()


@dataclass(frozen=True, slots=True)
class Figure:
    """CPU time in seconds, stanzas and octets that were received for it, and the seconds it took."""

    cpu: float
    stanzas: int
    octets: int
    seconds: float

    @property
    def each(self) -> float:
        """Microseconds for each stanza."""
        return self.cpu / self.stanzas * 1e6


def fill(server: Server, crowd: Crowd, room: str, size: int) -> Figure:
    """Make a room and have clients join it, one after another."""
    join = f"<presence to='{room}/n%d'><x xmlns='{MUC}'><history maxstanzas='0'/></x></presence>"
    form = f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
    crowd.send(0, join % 0)
    crowd.rest()
    crowd.send(0, f"<iq to='{room}' type='set' id='make'>{form}</iq>")
    crowd.rest()
    before, began = server.settled(), time.monotonic()
    presences = crowd.presences
    stanzas, octets = presences + crowd.messages, crowd.octets
    messages = crowd.messages
    for number in range(1, size):
        crowd.send(number, join % number)
        # One to each who is there, one from each, one of its own; and the subject, which ends it.
        presences += 2 * number + 1
        messages += 1
        crowd.wait(presences, messages)
    seconds = time.monotonic() - began
    used = server.settled() - before
    crowd.rest()
    return Figure(used, crowd.presences + crowd.messages - stanzas, crowd.octets - octets, seconds)


def speak(server: Server, crowd: Crowd, room: str, size: int, count: int) -> Figure:
    """Have one occupant send messages to all."""
    message = f"<message to='{room}' type='groupchat' id='m1'><body>{archive.BODY}</body></message>"
    before, began = server.settled(), time.monotonic()
    first, octets = crowd.messages, crowd.octets
    for number in range(count):
        crowd.send(1, message)
        crowd.wait(0, first + max(0, number + 1 - WINDOW) * size)
    crowd.wait(0, first + count * size)
    seconds = time.monotonic() - began
    return Figure(server.settled() - before, crowd.messages - first, crowd.octets - octets, seconds)


def leave(crowd: Crowd, room: str, size: int) -> None:
    """Empty a room again, last come first gone."""
    for number in reversed(range(size)):
        crowd.send(number, f"<presence to='{room}/n{number}' type='unavailable'/>")
        crowd.read(0.01)
    crowd.rest()


def crowdOf(server: Server, size: int) -> Crowd:
    """Register accounts and log them in."""
    clients = []
    for number in range(size):
        archive.Client(server.port, f"u{number}").register()
        client = archive.Client(server.port, f"u{number}")
        client.login()
        clients.append(client)
    return Crowd(clients)


Figures = dict[tuple[int, str, str], list[Figure]]


def measure(server: Server, crowd: Crowd, size: int, copies: int, name: str, figures: Figures) -> bool:
    """Fill a room and speak in it; answers whether all of it arrived."""
    room = f"{name}@{SERVICE}"
    try:
        figures.setdefault((size, "join", server.name), []).append(fill(server, crowd, room, size))
        spoken = speak(server, crowd, room, size, max(WINDOW, copies // size))
        figures.setdefault((size, "speak", server.name), []).append(spoken)
        filled = figures[size, "join", server.name][-1]
        print(f"{server.name} at {size}: {filled.each:.1f} and {spoken.each:.1f} µs", file=sys.stderr, flush=True)
    except MissingError as reason:
        print(f"{server.name} at {size}: given up, {reason}", flush=True)
        return False
    leave(crowd, room, size)
    return True


def show(figures: Figures) -> None:
    """Print what was found; the last column is against xmppd in the same size and phase."""
    print(f"{'':6}{'':6} {'server':10}{'stanzas':>10}{'kB':>10}{'seconds':>9}{'CPU s':>9}{'µs each':>9}{'ratio':>8}")
    for (size, phase, name), found in sorted(figures.items(), key=lambda item: item[0][:2]):
        cpu = statistics.median(each.cpu for each in found)
        cost = statistics.median(each.each for each in found)
        base = figures.get((size, phase, "xmppd"))
        least = statistics.median(each.cpu for each in base) if base else 0.0
        ratio = cpu / least if least else float("nan")
        last = found[-1]
        columns = f"{last.stanzas:10d}{last.octets // 1000:10d}{last.seconds:9.1f}{cpu:9.2f}{cost:9.1f}{ratio:8.1f}"
        print(f"{size:<6}{phase:6} {name:10}{columns}")


def main() -> None:
    """Measure and print."""
    there = {"xmppd": sys.executable, "prosody": "prosody", "ejabberd": "ejabberdctl"}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[name for name, command in there.items() if shutil.which(command)])
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[100, 250, 500])
    parser.add_argument("--copies", type=int, default=25_000, help="copies of messages in each room")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended early"))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16384), most))
    base = Path(tempfile.mkdtemp(prefix="rooms-"))
    servers = [Server(name, base / name) for name in options.names]
    crowds: dict[str, Crowd] = {}
    figures: Figures = {}
    try:
        for server in servers:
            server.start()
            crowds[server.name] = crowdOf(server, max(options.sizes))
        for number in range(options.rounds):
            for size in options.sizes:
                for server in [each for each in servers if each.name in crowds]:
                    crowd = crowds[server.name]
                    if not measure(server, crowd, size, options.copies, f"r{number}-{size}", figures):
                        crowds.pop(server.name).close()
    finally:
        for crowd in crowds.values():
            crowd.close()
        for server in servers:
            if hasattr(server, "process"):
                server.stop()
        show(figures)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
