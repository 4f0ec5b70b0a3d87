"""
What stanzas between servers cost: CPU time of the server for each that it takes from another server, or gives to one.

    python benchmarks/s2s.py [--messages N] [--rounds N] [--remotes N] [--users N] [--only SCENARIO] [NAME ...]

Servers are started on loopback, each in a folder of its own: xmppd, Prosody and ejabberd, where they are installed,
none with an archive. This process is everybody else: the clients of that server, and the other servers, each a domain
of its own, at both ends of streams with TLS 1.3 and SASL EXTERNAL; an authority made for the purpose signs for all.
xmppd is told where the domains are, the others ask a name server that runs here too.

    in      each other server has one stream to the server and sends messages to the clients there
    out     the clients send messages to users of the other servers, which the server takes to them
    both    both at the same time

Each other server writes to as many clients as C{--users} says, and as many write to its users; 200 messages are under
way for each at a time. Every message bears a number: each has to arrive, once, in order and with what was written in
it.

CPU time is user and system of the server's whole process tree, from the first message until it has come to rest. The
servers take turns within each round; figures are medians of the rounds. Before, each server gets some messages that
aren't counted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import archive
from archive import ADDRESS, BODY, PATIENCE, ROOT

sys.path.insert(0, str(ROOT))

from cryptography import x509
from twisted.names import dns

from tests.interop.federation import Names
from tests.trust.authority import ALWAYS, Authority, curveKey, keyPEM, pem

HERE = "here.example"
"""The domain of the server that is measured."""

WINDOW = 200
"""Messages that are under way at a time between each other server and each of its clients."""

SCENARIOS = ("in", "out", "both")

STREAMS = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STATE = "http://jabber.org/protocol/chatstates"

XMPPD = """
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
s2s = ["tcp:{peers}:interface=127.0.0.1"]
[tls]
certificates = "certs"
require_c2s = false
[limits]
enabled = false
[s2s]
authorities = "ca.pem"
prooftypes = ["pkix"]
[s2s.connect]
{routes}
[host."here.example"]
registration = "open"
plain_without_tls = true
[host."here.example".features.xep0313_archive]
accounts = false
"""

PROSODY = """
run_as_root = true; daemonize = false; pidfile = "{folder}/pid"; data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}; use_ipv6 = false; c2s_ports = {{ {port} }}; s2s_ports = {{ {peers} }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "carbons"; "ping"; "register"; "smacks" }}
allow_registration = true; c2s_require_encryption = false; allow_unencrypted_plain_auth = true
s2s_require_encryption = true; s2s_secure_auth = true
authentication = "internal_hashed"; network_backend = "epoll"; limits = {{}}; log = {{ warn = "{folder}/log" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = "127.0.0.1@{names}";
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
ssl = {{ certificate = "{folder}/certs/here.example.pem"; key = "{folder}/certs/here.example.pem";
  cafile = "{folder}/ca.pem" }}
VirtualHost "here.example"
"""

EJABBERD = """
hosts: [here.example]
loglevel: error
acme: {{auto: false}}
certfiles: ["{folder}/certs/here.example.pem"]
ca_file: "{folder}/ca.pem"
s2s_use_starttls: required
s2s_cafile: "{folder}/ca.pem"
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, shaper: none, access: all,
      starttls: true}}
  - {{port: {peers}, ip: "127.0.0.1", module: ejabberd_s2s_in, max_stanza_size: 262144, shaper: none}}
auth_method: internal
auth_password_format: scram
access_rules: {{register: {{allow: all}}}}
registration_timeout: infinity
modules:
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_register: {{access: register, ip_access: all, password_strength: 0}}
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
"""

NAMESERVER = '{{lookup, [dns]}}.\n{{resolv_conf, "/dev/null"}}.\n{{nameserver, {{127,0,0,1}}, {port}}}.\n'


class FailedError(Exception):
    """Something that was to come didn't, or came otherwise."""


def freePort() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        return int(free.getsockname()[1])


class Surroundings:
    """
    All that is around one server: authority, name server, and the port of the other servers.

    @ivar remotes: their domains.
    @ivar port: where all of them listen.
    """

    def __init__(self, folder: Path, remotes: int) -> None:
        self.folder = folder
        self.remotes = [f"r{number}.example" for number in range(remotes)]
        self.port = freePort()
        self.authority = Authority("The Benchmark")
        self.names = Names()
        self.names.records["localhost", dns.A] = [dns.Record_A(ADDRESS)]
        for remote in self.remotes:
            # ejabberd asks the name server for the host and the system for its address.
            place = dns.Record_SRV(0, 0, self.port, "localhost")
            self.names.records[f"_xmpp-server._tcp.{remote}", dns.SRV] = [place]
        self.names.start()
        (folder / "ca.pem").write_bytes(pem(self.authority.certificate))
        (folder / "certs").mkdir()
        self._certificate(folder / "remotes.pem", *self.remotes)
        self._certificate(folder / "certs" / f"{HERE}.pem", HERE)

    def _certificate(self, path: Path, *domains: str) -> None:
        key = curveKey()
        leaf = self.authority.sign(key, [x509.DNSName(domain) for domain in domains], start=0, end=ALWAYS)
        path.write_bytes(pem(leaf) + keyPEM(key))

    def context(self, purpose: ssl.Purpose, certified: bool = True) -> ssl.SSLContext:
        """TLS 1.3, as one of the other servers if it is to be certified."""
        made = ssl.create_default_context(purpose, cafile=str(self.folder / "ca.pem"))
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        if certified:
            made.load_cert_chain(self.folder / "remotes.pem")
        if purpose is ssl.Purpose.CLIENT_AUTH:
            made.verify_mode = ssl.CERT_REQUIRED
        return made


class Server(archive.Server):
    """The server that is measured, in a folder of its own."""

    def __init__(self, name: str, folder: Path, remotes: int) -> None:
        super().__init__(name, folder)
        self.around = Surroundings(folder, remotes)
        self.peers = freePort()

    def _xmppd(self, archive: bool) -> list[str]:
        routes = "\n".join(f'"{remote}" = "{ADDRESS}:{self.around.port}"' for remote in self.around.remotes)
        text = XMPPD.format(port=self.port, peers=self.peers, routes=routes)
        (self.folder / "xmppd.toml").write_text(text)
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from xmppd.__main__ import main; main()"
        return [sys.executable, "-c", code, "run", "--config", str(self.folder / "xmppd.toml")]

    def _prosody(self, archive: bool) -> list[str]:
        (self.folder / "data").mkdir()
        names = self.around.names.port
        text = PROSODY.format(folder=self.folder, port=self.port, peers=self.peers, names=names)
        (self.folder / "prosody.cfg.lua").write_text(text)
        return ["prosody", "--config", str(self.folder / "prosody.cfg.lua"), "-F"]

    def _ejabberd(self, archive: bool) -> list[str]:
        text = EJABBERD.format(folder=self.folder, port=self.port, peers=self.peers)
        (self.folder / "ejabberd.yml").write_text(text)
        (self.folder / "inetrc").write_text(NAMESERVER.format(port=self.around.names.port))
        subprocess.run(["chown", "-R", "ejabberd", str(self.folder)], check=True)
        for path in (self.folder, self.folder.parent):
            path.chmod(0o755)
        folder, node = str(self.folder), f"s2s{os.getpid()}@localhost"
        return ["ejabberdctl", "-d", folder, "-n", node, "-s", folder, "-l", folder, "foreground"]


class Wire(asyncio.Protocol):
    """
    One end of a connection. Nothing is parsed: texts are waited for, or whatever comes is given to C{takes}.
    """

    def __init__(self, accepted: Callable[[Wire], None] | None = None) -> None:
        self.takes: Callable[[bytes], None] | None = None
        self.closed = False
        self._accepted = accepted
        self._got = b""
        self._awaited: tuple[tuple[bytes, ...], asyncio.Future[str]] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See L{asyncio.Protocol}."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._accepted is not None:
            accepted, self._accepted = self._accepted, None
            accepted(self)

    def data_received(self, data: bytes) -> None:
        """See L{asyncio.Protocol}."""
        if self.takes is not None:
            self.takes(data)
            return
        self._got += data
        if self._awaited is not None and any(text in self._got for text in self._awaited[0]):
            awaited, self._awaited = self._awaited, None
            got, self._got = self._got.decode(), b""
            awaited[1].set_result(got)

    def connection_lost(self, problem: Exception | None) -> None:
        """See L{asyncio.Protocol}."""
        self.closed = True
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(FailedError(f"the connection ended: {self._got!r}"))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    async def say(self, text: str, *until: str) -> str:
        """Send something and wait until one of some texts has come."""
        self._transport.write(text.encode())
        wanted = tuple(each.encode() for each in until)
        if any(each in self._got for each in wanted):
            got, self._got = self._got.decode(), b""
            return got
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited = wanted, answer
        return await asyncio.wait_for(answer, PATIENCE)

    async def secure(self, context: ssl.SSLContext, name: str | None) -> None:
        """Begin TLS, as the client's side if there is a name to check."""
        loop = asyncio.get_running_loop()
        made = await loop.start_tls(self._transport, self, context, server_side=name is None, server_hostname=name)
        assert made is not None
        self._transport = made

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


async def connect(port: int) -> Wire:
    """A connection to the server."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, ADDRESS, port)
    return wire


def header(content: str, **attributes: str) -> str:
    """A stream header; C{from} is spelt C{sender}."""
    written = "".join(f" {key.replace('sender', 'from')}='{value}'" for key, value in attributes.items())
    spaces = f"xmlns='jabber:{content}' xmlns:stream='{STREAMS}'"
    if content == "server":
        spaces += " xmlns:db='jabber:server:dialback'"
    return f"<?xml version='1.0'?><stream:stream {spaces} version='1.0'{written}>"


FEATURES: Final = ("</stream:features>", "<stream:features/>")


async def begin(wire: Wire, opening: str, context: ssl.SSLContext, mechanism: str, identity: bytes) -> None:
    """The negotiation of the side that has connected, up to the features after SASL."""
    await wire.say(opening, *FEATURES)
    await wire.say(f"<starttls xmlns='{TLS}'/>", "<proceed")
    await wire.secure(context, HERE)
    await wire.say(opening, *FEATURES)
    text = base64.b64encode(identity).decode()
    answer = await wire.say(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>", "<success", "<failure")
    if "<failure" in answer:
        raise FailedError(answer)
    await wire.say(opening, *FEATURES)


async def client(server: Server, user: str) -> Wire:
    """Log a client in."""
    wire = await connect(server.port)
    context = server.around.context(ssl.Purpose.SERVER_AUTH, certified=False)
    await begin(wire, header("client", to=HERE), context, "PLAIN", f"\0{user}\0secret".encode())
    bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind>"
    await wire.say(f"<iq type='set' id='b1'>{bind}</iq>", "</iq>")
    await wire.say("<presence/>", "<presence")
    return wire


async def register(server: Server, user: str) -> None:
    """Make an account (XEP-0077)."""
    wire = await connect(server.port)
    await wire.say(header("client", to=HERE), *FEATURES)
    fields = f"<username>{user}</username><password>secret</password>"
    query = f"<query xmlns='jabber:iq:register'>{fields}</query>"
    answer = await wire.say(f"<iq type='set' id='reg1' to='{HERE}'>{query}</iq>", "reg1'", 'reg1"')
    if "error" in answer:
        raise FailedError(answer)
    wire.close()


async def stream(server: Server, remote: str) -> Wire:
    """A stream of one of the other servers to the server."""
    wire = await connect(server.peers)
    context = server.around.context(ssl.Purpose.SERVER_AUTH)
    await begin(wire, header("server", sender=remote, to=HERE), context, "EXTERNAL", remote.encode())
    wire.takes = lambda data: None
    return wire


@dataclass(frozen=True, slots=True)
class Pair:
    """Somebody who writes and somebody who is written to, with their addresses."""

    wire: Wire
    sender: str
    to: str

    def messages(self, first: int, last: int) -> bytes:
        """The messages with these numbers."""
        begin = f"<message from='{self.sender}' to='{self.to}' type='chat' id='"
        end = f" {BODY}</body><active xmlns='{STATE}'/></message>"
        return "".join(f"{begin}m{number}'><body>{number}{end}" for number in range(first, last)).encode()


class Flow:
    """
    Messages of several pairs, of which a number is under way at a time.

    @ivar done: whether all have arrived.
    """

    def __init__(self, pairs: list[Pair], each: int) -> None:
        self.pairs = pairs
        self.done = asyncio.Event()
        self._each = each
        self._sent = 0
        self._missing = each * len(pairs)

    def send(self) -> None:
        """Send as many as the window allows, once half of it is free; the same from each pair."""
        under = self._sent * len(self.pairs) - (self._each * len(self.pairs) - self._missing)
        free = min(WINDOW - under // len(self.pairs), self._each - self._sent)
        if free > 0 and (free >= WINDOW // 2 or free == self._each - self._sent):
            first = self._sent
            self._sent += free
            for pair in self.pairs:
                pair.wire.write(pair.messages(first, first + free))

    def arrived(self, count: int) -> None:
        """So many more are there."""
        self._missing -= count
        self.send()
        if self._missing <= 0:
            self.done.set()


class Inbox:
    """What came on a wire, of one flow."""

    def __init__(self, wire: Wire, flow: Flow) -> None:
        self.chunks: list[bytes] = []
        self._flow = flow
        self._tail = b""
        wire.takes = self.take

    def take(self, data: bytes) -> None:
        """Keep it, and count."""
        self.chunks.append(data)
        seen = self._tail + data
        count = seen.count(b"</message>")
        self._tail = b"" if seen.endswith(b"</message>") else seen[-9:]
        if count:
            self._flow.arrived(count)

    def messages(self) -> Iterator[tuple[str, str, str, str]]:
        """Sender, recipient, id and body of each."""
        for found in MESSAGE.finditer(b"".join(self.chunks).decode()):
            attributes = {name: value for name, _, value in ATTRIBUTE.findall(found[1])}
            body = BODIES.search(found[2])
            if body is None or STATE not in found[2]:
                raise FailedError(f"something is missing in {found[0]}")
            yield attributes["from"], attributes["to"], attributes["id"], body[1]


MESSAGE = re.compile(r"<message\s([^>]*)>(.*?)</message>", re.S)
ATTRIBUTE = re.compile(r"""([\w:]+)=(['"])(.*?)\2""")
BODIES = re.compile(r"<body>(.*?)</body>")


def check(flows: list[Flow], inboxes: list[Inbox], each: int) -> None:
    """
    Everything has to be there, once, in order, and as it was written.

    @raise FailedError: it isn't.
    """
    counts = {(pair.sender, pair.to): 0 for flow in flows for pair in flow.pairs}
    for inbox in inboxes:
        for sender, to, id, body in inbox.messages():
            number = counts[sender, to]
            if (id, body) != (f"m{number}", f"{number} {BODY}"):
                raise FailedError(f"not what was sent as number {number} by {sender}: {id}, {body}")
            counts[sender, to] = number + 1
    if set(counts.values()) != {each}:
        raise FailedError(f"not {each} each: {counts}")


class Setting:
    """
    Clients and streams around one server, ready for messages.

    @ivar clients: by remote domain, since each other server has clients that write to it and that it writes to.
    """

    def __init__(self, server: Server, users: int) -> None:
        self.server = server
        self.users = users
        self.clients: dict[str, list[Wire]] = {}
        self.into: dict[str, Wire] = {}
        self.out: dict[str, Wire] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: asyncio.Server

    async def prepare(self) -> None:
        """Connect everything, and have the server open its streams."""
        around = self.server.around
        accepting = around.context(ssl.Purpose.CLIENT_AUTH)

        def accepted(wire: Wire) -> None:
            self._tasks.append(asyncio.ensure_future(self._accept(wire, accepting)))

        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Wire(accepted), ADDRESS, around.port)
        for remote in around.remotes:
            self.clients[remote] = [await client(self.server, self.user(remote, n)) for n in range(self.users)]
            self.into[remote] = await stream(self.server, remote)
            first = self.clients[remote][0]
            first.takes = lambda data: None
            first.write(f"<message to='somebody@{remote}' type='headline'/>".encode())
        until = time.monotonic() + PATIENCE
        while len(self.out) < len(around.remotes):
            if time.monotonic() > until:
                raise FailedError("the server opens no stream")
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

    def user(self, remote: str, number: int) -> str:
        """A client's account."""
        return f"{remote.partition('.')[0]}u{number}"

    async def _accept(self, wire: Wire, context: ssl.SSLContext) -> None:
        """The negotiation of the side that was connected to."""
        features = f"<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>"
        mechanisms = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        asked = ATTRIBUTE.findall((await wire.say("", "version='1.0'", 'version="1.0"')).rpartition("<stream:")[2])
        names = {name: value for name, _, value in asked}
        opening = header("server", id="s1", sender=names["to"], to=HERE)
        await wire.say(opening + features, "<starttls")
        wire.write(f"<proceed xmlns='{TLS}'/>".encode())
        await wire.secure(context, None)
        await wire.say("", "<stream:stream")
        await wire.say(f"{opening}<stream:features>{mechanisms}</stream:features>", "</auth>")
        await wire.say(f"<success xmlns='{SASL}'/>", "<stream:stream")
        wire.takes = lambda data: None
        wire.write(f"{opening}<stream:features/>".encode())
        self.out[names["to"]] = wire

    async def run(self, scenario: str, messages: int) -> tuple[float, int, float]:
        """Have so many messages sent in each direction; answers CPU time, how many there were, and seconds."""
        each = messages // (len(self.clients) * self.users)
        flows: list[Flow] = []
        inboxes: list[Inbox] = []
        for remote, clients in self.clients.items():
            there = [f"{self.user(remote, n)}@{HERE}/bench" for n in range(self.users)]
            if scenario != "out":
                into = self.into[remote]
                flows.append(Flow([Pair(into, f"u{n}@{remote}/x", to) for n, to in enumerate(there)], each))
                inboxes += [Inbox(wire, flows[-1]) for wire in clients]
            if scenario != "in":
                pairs = [Pair(clients[n], sender, f"u{n}@{remote}/x") for n, sender in enumerate(there)]
                flows.append(Flow(pairs, each))
                inboxes.append(Inbox(self.out[remote], flows[-1]))
        before, began = await asyncio.to_thread(self.server.settled), time.monotonic()
        for flow in flows:
            flow.send()
        for flow in flows:
            await asyncio.wait_for(flow.done.wait(), PATIENCE * 5)
        seconds = time.monotonic() - began
        used = await asyncio.to_thread(self.server.settled) - before
        check(flows, inboxes, each)
        return used, sum(each * len(flow.pairs) for flow in flows), seconds

    async def close(self) -> None:
        """End all connections."""
        self._listener.close()
        for wire in [*self.into.values(), *self.out.values(), *chain(*self.clients.values())]:
            wire.close()
        await asyncio.sleep(0.2)


Figures = dict[tuple[str, str], list[float]]


async def warm(setting: Setting, options: argparse.Namespace) -> None:
    """Make the accounts of a server, connect everything, and send some messages that aren't counted."""
    for remote in setting.server.around.remotes:
        for number in range(options.users):
            await register(setting.server, setting.user(remote, number))
    await setting.prepare()
    # Strangers introduce themselves first: a server may look at who they are before it takes many messages.
    await setting.run("both", 20 * options.users * options.remotes)
    await setting.run("both", options.messages // 4)


async def measure(setting: Setting, options: argparse.Namespace, figures: Figures) -> None:
    """One round of one server."""
    name = setting.server.name
    for scenario in options.only or SCENARIOS:
        used, count, seconds = await setting.run(scenario, options.messages)
        figures.setdefault((scenario, name), []).append(used / count * 1e6)
        told = f"{count} in {seconds:.1f} s, {used:.2f} s of CPU time, {used / count * 1e6:.1f} µs each"
        print(f"{name} {scenario}: {told}", file=sys.stderr, flush=True)


async def benchmark(servers: list[Server], options: argparse.Namespace, figures: Figures) -> None:
    """Measure the servers, that run already, in turns."""
    settings = [Setting(server, options.users) for server in servers]
    for setting in settings:
        await warm(setting, options)
    for _ in range(options.rounds):
        for setting in settings:
            await measure(setting, options, figures)
    for setting in settings:
        await setting.close()


def show(figures: Figures) -> None:
    """Print what was found; the last column is against xmppd in the same scenario."""
    print(f"{'':10}{'server':12}{'µs each':>9}{'per CPU s':>12}{'ratio':>8}   rounds")
    for scenario in SCENARIOS:
        base = figures.get((scenario, "xmppd"))
        for (name, server), found in figures.items():
            if name == scenario:
                cost = statistics.median(found)
                ratio = cost / statistics.median(base) if base else float("nan")
                rounds = " ".join(f"{each:.1f}" for each in found)
                print(f"{scenario:10}{server:12}{cost:9.1f}{1e6 / cost:12,.0f}{ratio:8.1f}   {rounds}")


def main() -> None:
    """Measure and print."""
    there = {"xmppd": sys.executable, "prosody": "prosody", "ejabberd": "ejabberdctl"}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[name for name, command in there.items() if shutil.which(command)])
    parser.add_argument("--messages", type=int, default=60_000, help="messages in each direction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--remotes", type=int, default=4, help="other servers")
    parser.add_argument("--users", type=int, default=5, help="clients for each other server")
    parser.add_argument("--only", action="append", choices=SCENARIOS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended early"))
    base = Path(tempfile.mkdtemp(prefix="s2s-"))
    servers: list[Server] = []
    figures: Figures = {}
    try:
        for name in options.names:
            servers.append(Server(name, base / name, options.remotes))
            servers[-1].start()
        asyncio.run(benchmark(servers, options, figures))
    finally:
        for server in servers:
            server.stop()
            server.around.names.close()
        show(figures)
    shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
