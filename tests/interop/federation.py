"""
Two servers on loopback, ours and Debian's Prosody, with an authority that vouches for both and a name server that both
ask.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.names import dns

from tests.interop.daemon import ADDRESS, DEADLINE, DOMAIN, Daemon, DidNotStart, mistakes
from tests.interop.wire import Wire
from tests.trust.authority import ALWAYS, Authority

PEER = "montague.example"
"""Prosody's domain."""

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
REQUIRE
[log]
file = "log"

[limits]
enabled = false
{limits}
[s2s]
authorities = "ca.pem"
resolver = "127.0.0.1:RESOLVER"
SECTION
[host."example.org"]
[rooms."rooms.example.org"]
"""

PROSODY = """\
run_as_root = true
pidfile = "FOLDER/prosody.pid"
data_path = "FOLDER/data"
certificates = "FOLDER/certs"
log = {{ debug = "FOLDER/log" }}
interfaces = {{ "127.0.0.1" }}
use_ipv6 = false
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {tlsPort} }}
s2s_ports = {{ {port} }}
s2s_direct_tls_ports = {{ {directPort} }}
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{ "roster"; "saslauth"; "tls"; "dialback"; "disco"; "ping"; "presence"; "posix"; {modules} }}
unbound = {{ resolvconf = false; hoststxt = false; forward = "127.0.0.1@{resolver}";
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
s2s_secure_auth = {secure}
ssl = {{ cafile = "FOLDER/ca.pem" }}
{options}
VirtualHost "montague.example"
  ssl = {{ certificate = "FOLDER/certs/montague.example.crt"; key = "FOLDER/certs/montague.example.key";
    cafile = "FOLDER/ca.pem"; }}
"""


class Names(threading.Thread):
    """
    A name server.

    @ivar records: by name and type; what isn't there doesn't exist.
    @ivar port: where it listens.
    @ivar secure: whether its answers have the AD bit, as those of a resolver that validates DNSSEC.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.records: dict[tuple[str, int], list[Any]] = {}
        self.secure = False
        self._open = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Answer until it is closed."""
        while self._open:
            data, address = self._socket.recvfrom(4096)
            if data:
                self._socket.sendto(self._answer(data), address)

    def _answer(self, data: bytes) -> bytes:
        asked: Any = dns.Message()
        asked.fromStr(data)
        answer: Any = dns.Message(asked.id, answer=1, recAv=1, recDes=asked.recDes)
        answer.queries = asked.queries
        answer.authenticData = self.secure
        for query in asked.queries:
            name = query.name.name.decode().lower()
            payloads = self.records.get((name, query.type), [])
            answer.answers += [dns.RRHeader(name.encode(), query.type, ttl=1, payload=each) for each in payloads]
            if not any(known == name for known, _ in self.records):
                answer.rCode = dns.ENAME
        encoded: bytes = answer.toStr()
        return encoded

    def close(self) -> None:
        """Answer no more."""
        self._open = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", (ADDRESS, self.port))
        self.join(5)
        self._socket.close()

    def server(self, domain: str, port: int | None, directPort: int | None = None) -> None:
        """Say where a domain's server is."""
        host = f"host.{domain}"
        self.records[host, dns.A] = [dns.Record_A(ADDRESS)]
        for service, number in (("xmpp-server", port), ("xmpps-server", directPort)):
            name = f"_{service}._tcp.{domain}"
            self.records.pop((name, dns.SRV), None)
            if number is not None:
                self.records[name, dns.SRV] = [dns.Record_SRV(0, 0, number, host)]


def freePort() -> int:
    """A port that nobody listens at, for a server that can't choose by itself."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        number: int = probe.getsockname()[1]
        return number


class Prosody:
    """
    Debian's Prosody as a process.

    @ivar tlsPort: where clients connect with TLS.
    @ivar port: where servers connect.
    @ivar directPort: where they connect with TLS.
    @ivar certificate: what clients have to trust.
    """

    def __init__(self, folder: Path, authority: Authority, names: Names, **changes: str) -> None:
        """
        @param changes: fills in the configuration: C{secure}, C{modules}, C{options}.
        """
        self.folder = folder
        self.port, self.tlsPort, self.directPort = freePort(), freePort(), freePort()
        self.certificate = folder / "ca.pem"
        values: Mapping[str, Any] = {
            "port": self.port, "tlsPort": self.tlsPort, "directPort": self.directPort, "resolver": names.port,
            "secure": "false", "modules": "", "options": "", **changes,
        }
        accounts = folder / "data" / "montague%2eexample" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / "juliet.dat").write_text('return { ["password"] = "juliet"; };\n')
        (folder / "prosody.cfg.lua").write_text(PROSODY.format(**values).replace("FOLDER", str(folder)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Start it, and wait until it serves.

        @raise DidNotStart: it doesn't.
        """
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["prosody", "--config", str(self.folder / "prosody.cfg.lua"), "-F"], stdout=output, stderr=output,
                env={**os.environ, "HOME": str(self.folder)},
            )
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection((ADDRESS, self.tlsPort), 1).close()
                socket.create_connection((ADDRESS, self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise DidNotStart(self.written()[-3000:])

    def written(self) -> str:
        """What it has logged and printed."""
        files = (self.folder / "log", self.folder / "output")
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class World:
    """
    Both servers, the authority and the name server.

    @ivar daemon: ours.
    @ivar prosody: the other.
    @ivar romeo: a client of ours, once L{people} was called.
    @ivar juliet: a client of the other.
    """

    def __init__(
        self,
        test: Any,
        *,
        section: str = "",
        require: str = "",
        ours: str | None = DOMAIN,
        theirs: str | None = PEER,
        until: float = ALWAYS,
        expected: tuple[str, ...] = (),
        **prosody: str,
    ) -> None:
        """
        @param section: lines for C{[s2s]}.
        @param require: lines for C{[tls]}.
        @param ours: the name in our certificate; None: it is signed by itself.
        @param theirs: the name in the other's.
        @param until: how long that is valid, in seconds since the epoch.
        @param expected: what may appear in lines of our log that would be mistakes otherwise.
        @param prosody: for its configuration.
        """
        self.test = test
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.names = Names()
        self.names.start()
        test.addCleanup(self.names.close)
        self.authority = Authority("The Tests")
        text = CONFIGURATION.replace("RESOLVER", str(self.names.port)).replace("SECTION", section)
        (folder / "xmppd").mkdir()
        self.daemon = Daemon(folder / "xmppd", text.replace("REQUIRE", require))
        (folder / "prosody" / "certs").mkdir(parents=True)
        self.prosody = Prosody(folder / "prosody", self.authority, self.names, **prosody)
        pem = self._certificate(DOMAIN, ours)
        (folder / "xmppd" / "certs" / f"{DOMAIN}.pem").write_text(pem[0] + pem[1])
        certificate, key = self._certificate(PEER, theirs, until)
        good = (ours, theirs, until) == (DOMAIN, PEER, ALWAYS)
        self.peerCertificate = certificate
        self.trusted = folder / "prosody" / "ca.pem" if good else None
        (folder / "prosody" / "certs" / f"{PEER}.crt").write_text(certificate)
        (folder / "prosody" / "certs" / f"{PEER}.key").write_text(key)
        ca = certificateText(self.authority)
        for place in ("xmppd", "prosody"):
            (folder / place / "ca.pem").write_text(ca)
        test.addCleanup(self.daemon.kill)
        test.addCleanup(self.prosody.stop)
        self.daemon.start()
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]}
        self.port, self.directPort = ports["listen.s2s"], ports["listen.s2s_tls"]
        self.names.server(DOMAIN, self.port)
        self.names.server(f"rooms.{DOMAIN}", self.port)
        self.names.server(PEER, self.prosody.port)
        self.prosody.start()
        test.addCleanup(self._end, expected)

    def _certificate(self, domain: str, name: str | None, until: float = ALWAYS) -> tuple[str, str]:
        """Certificate and key as PEM."""
        from cryptography import x509

        from tests.trust.authority import curveKey, keyPEM, pem

        key = curveKey()
        authority = Authority("Nobody Knows") if name is None else self.authority
        names = [x509.DNSName(name or domain), x509.DNSName(f"*.{name or domain}")]
        leaf = authority.sign(key, names, start=0, end=until)
        return pem(leaf).decode(), keyPEM(key).decode()

    def _end(self, expected: tuple[str, ...]) -> None:
        status = self.daemon.stop() if self.daemon.alive else self.daemon.status
        self.test.assertEqual((status, mistakes(self.daemon.written(), expected)), (0, []))

    def people(self) -> tuple[Wire, Wire]:
        """Romeo at our server and Juliet at the other."""
        self.daemon.addAccount("romeo")
        romeo = Wire(Trusting(self, self.daemon.tlsPort), "romeo")
        self.test.addCleanup(romeo.close)
        juliet = Wire(Trusting(self, self.prosody.tlsPort), "juliet", PEER)
        self.test.addCleanup(juliet.close)
        return romeo, juliet

    def streams(self) -> list[dict[str, Any]]:
        """Our streams with the other server."""
        return [each for each in self.daemon.streams() if each["kind"] == "s2s"]

    def told(self) -> str:
        """Both logs, for when a test fails."""
        return f"--- xmppd\n{self.daemon.written()[-6000:]}\n--- prosody\n{self.prosody.written()[-6000:]}"


class Trusting:
    """What a L{Wire} wants of a server: where it is, and whom to trust."""

    def __init__(self, world: World, tlsPort: int) -> None:
        self.certificate = world.trusted
        self.tlsPort = tlsPort


def certificateText(authority: Authority) -> str:
    """An authority's certificate as PEM."""
    from tests.trust.authority import pem

    return pem(authority.certificate).decode()
