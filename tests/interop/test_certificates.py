"""
Certificates of our own on real sockets: which one is shown to whom, and what a new one changes for streams that are
there. The client is Python's own C{ssl} module, another programme's OpenSSL; the servers are ours.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from tests.ctl.servers import folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.trust.authority import ALWAYS, SERVER_ONLY, Authority, curveKey, keyPEM, pem
from xmppd.config import parse
from xmppd.net import peertls, rest
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.wire.stanza import build

TIMEOUT = 10

CONFIGURATION = """
data = "data-OWN"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
c2s_tls = ["tcp:0:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs-OWN"
[store]
url = "memory:"
[s2s]
authorities = "ca.pem"
bidi = false
[s2s.connect]
ROUTES
"""


class CertificatesCase(TestCase):
    """Servers on loopback, and an authority that vouches for all."""

    def setUp(self) -> None:
        self.patch(rest, "REST_SECONDS", 0.01)
        self.folder = folderFor(self)
        self.authority = Authority("Encrypt Us")
        (self.folder / "ca.pem").write_bytes(pem(self.authority.certificate))
        self.addCleanup(deferLater, reactor, 0.05)

    def issue(self, own: str, domain: str, usages: Sequence[x509.ObjectIdentifier] = ()) -> str:
        """Put a new certificate where a server looks, and answer its SHA-256."""
        key = curveKey()
        leaf = self.authority.sign(key, [x509.DNSName(domain)], start=0, end=ALWAYS, usages=usages)
        path = self.folder / f"certs-{own}" / f"{domain}.pem"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem(leaf).decode())).hexdigest()

    async def start(self, *domains: str, **routes: str) -> Server:
        """A server that runs; C{routes} are to other domains, with an underscore in place of each dot."""
        lines = "\n".join(f'"{domain.replace("_", ".")}" = "{place}"' for domain, place in routes.items())
        text = CONFIGURATION.replace("OWN", domains[0]).replace("ROUTES", lines)
        text += "".join(f'[host."{domain}"]\n' for domain in domains)
        file = self.folder / f"{domains[0]}.toml"
        file.write_text(text)
        server = Server(parse(text, str(file)), reactor, MemoryStore(), CountingEntropy())
        server.service.startService()
        await server.service.started
        self.addCleanup(server.service.stopService)
        return server

    def port(self, server: Server, option: str) -> int:
        """Where a server listens for something."""
        return next(int(port.getHost().port) for name, _, port in server.listeners.ports if name == f"listen.{option}")

    def context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A client's, which trusts the authority; names are compared by the tests."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(str(self.folder / "ca.pem"))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


def header(namespace: str, to: str, sender: str = "") -> bytes:
    """A stream's header."""
    origin = f" from='{sender}'" if sender else ""
    return (
        f"<stream:stream xmlns='jabber:{namespace}' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{to}'{origin} version='1.0'>"
    ).encode()


def readUntil(connection: socket.socket, end: bytes) -> bytes:
    """What comes, up to something."""
    data = b""
    while end not in data:
        more = connection.recv(4096)
        if not more:
            raise EOFError(data)
        data += more
    return data


def startTLS(port: int, namespace: str, to: str, context: ssl.SSLContext, name: str | None = None) -> ssl.SSLSocket:
    """A connection after STARTTLS; C{name} is for SNI."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    plain.sendall(header(namespace, to))
    readUntil(plain, b"</stream:features>")
    plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    readUntil(plain, b"<proceed")
    return context.wrap_socket(plain, server_hostname=name)


def direct(port: int, context: ssl.SSLContext, name: str | None = None) -> ssl.SSLSocket:
    """A connection with TLS from the first octet."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except ssl.SSLError:
        plain.close()
        raise


def named(connection: ssl.SSLSocket) -> str:
    """Whom the certificate names that was shown; the connection is closed."""
    with connection:
        shown: Any = connection.getpeercert()
        ((_, name),) = shown["subjectAltName"]
        return str(name)


@spec("mission", "T1")
@spec("RFC 9325", "3.7")
class ShownTests(CertificatesCase):
    """Which of two domains' certificates is shown."""

    async def setUp(self) -> None:
        super().setUp()
        for domain in ("a.example", "b.example"):
            self.issue("a.example", domain)
        self.server = await self.start("a.example", "b.example")

    async def ask(self, connect: Callable[[], ssl.SSLSocket]) -> str:
        """Whom the certificate of a connection names."""
        return str(await deferToThread(lambda: named(connect())))

    async def test_startTLS(self) -> None:
        """STARTTLS: the stream's to decides, for clients and for servers, without SNI and whatever SNI says."""
        for option, namespace in (("c2s", "client"), ("s2s", "server")):
            port = self.port(self.server, option)
            for to in ("a.example", "b.example"):
                for name in (None, to, "a.example", "machine.example"):
                    shown = await self.ask(lambda: startTLS(port, namespace, to, self.context(), name))  # noqa: B023
                    self.assertEqual(shown, to, (option, name))

    @spec("XEP-0368", "4")
    async def test_direct(self) -> None:
        """Direct TLS: SNI decides; without it there is the first; a name that isn't served ends the handshake."""
        for option in ("c2s_tls", "s2s_tls"):
            port = self.port(self.server, option)
            for name, expected in (("a.example", "a.example"), ("b.example", "b.example"), (None, "a.example")):
                shown = await self.ask(lambda: direct(port, self.context(), name))  # noqa: B023
                self.assertEqual(shown, expected, (option, name))
            refused = deferToThread(direct, port, self.context(), "c.example")
            error: Any = await self.assertFailure(refused, ssl.SSLError)
            self.assertIn("UNRECOGNIZED_NAME", str(error).upper().replace(" ", "_"), option)


class TwoCase(CertificatesCase):
    """Two servers that call each other, on a stream for each direction."""

    number = 0

    async def meet(self, direct: bool, usages: Sequence[x509.ObjectIdentifier] = ()) -> None:
        """Start both."""
        self.first = self.issue("example.org", "example.org", usages)
        self.issue("example.net", "example.net", usages)
        self.org = await self.start("example.org")
        way, prefix = ("s2s_tls", "tls:") if direct else ("s2s", "")
        place = f"{prefix}127.0.0.1:{self.port(self.org, way)}"
        self.net = await self.start("example.net", example_org=place)
        assert self.org.peers is not None
        self.org.peers.routes = {"example.net": ("127.0.0.1", self.port(self.net, way), direct)}

    async def talk(self) -> dict[str, Any]:
        """A message each way, until both have come; answers the streams as example.net has them, by direction."""
        org, net = self.org, self.net
        self.number += 1
        id = f"message-{self.number}"
        arrived: set[str] = set()
        for here, there, sender, recipient in (
            (org, net, "a@example.org", "b@example.net"),
            (net, org, "b@example.net", "a@example.org"),
        ):
            assert there.remote is not None
            arrive = there.remote.arrived

            def noted(stanza: Any, arrive: Any = arrive, recipient: str = recipient) -> None:
                if stanza.attrs.get("id") == id and stanza.attrs["to"] == recipient:
                    arrived.add(recipient)
                arrive(stanza)

            self.patch(there.remote, "arrived", noted)
            here.router.route(build("message", {"from": sender, "to": recipient, "id": id, "type": "chat"}))
        assert net.peers is not None
        for _ in range(400):
            found = {each.direction: each for each in net.peers.streams if not each.closed}
            if len(arrived) == 2:
                self.assertEqual(len(found), 2)
                return found
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        self.fail("the messages haven't come")
        return {}

    async def end(self) -> None:
        """End the streams between the two."""
        for server in (self.org, self.net):
            assert server.peers is not None
            for stream in tuple(server.peers.streams):
                stream.close()
        for _ in range(400):
            if not any(server.peers and server.peers.streams for server in (self.org, self.net)):
                return
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        self.fail("the streams stay")

    def shown(self, stream: Any) -> str:
        """What example.org has shown on a stream."""
        return hashlib.sha256(stream.tls.peerCertificate).hexdigest()


@spec("mission", "T12")
class RenewedTests(TwoCase):
    """What a new certificate changes."""

    async def test_startTLS(self) -> None:
        """With STARTTLS."""
        await self.check(False)

    async def test_direct(self) -> None:
        """With direct TLS."""
        await self.check(True)

    async def check(self, direct: bool) -> None:
        """Streams between servers stay, in both directions; new ones have the new one, also as clients; a bad one changes nothing."""
        await self.meet(direct)
        before = await self.talk()
        self.assertEqual({self.shown(each) for each in before.values()}, {self.first})

        second = self.issue("example.org", "example.org")
        self.assertEqual(self.org.reload().problems, ())
        still = await self.talk()
        self.assertEqual({way: each.id for way, each in still.items()}, {way: each.id for way, each in before.items()})
        self.assertEqual([each.closed for each in before.values()], [False, False])

        await self.end()
        renewed = await self.talk()
        self.assertEqual({way: self.shown(each) for way, each in renewed.items()}, {"in": second, "out": second})
        self.assertTrue(all(each.verdict is None or each.verdict.accepted for each in renewed.values()))

        path = self.folder / "certs-example.org" / "example.org.pem"
        path.write_bytes(keyPEM(curveKey()) + path.read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
        (problem,) = self.org.reload().problems
        self.assertIn(str(path), problem)
        self.assertIn("belongs to none of its certificates", problem)
        self.assertEqual([each.closed for each in renewed.values()], [False, False])
        await self.end()
        again = await self.talk()
        self.assertEqual({self.shown(each) for each in again.values()}, {second})

    async def test_clients(self) -> None:
        """A client's stream goes on with the certificate that it has seen; the next client sees the new one."""
        self.first = self.issue("example.org", "example.org")
        server = await self.start("example.org")
        port = self.port(server, "c2s_tls")
        client = await deferToThread(direct, port, self.context(), "example.org")
        self.addCleanup(client.close)
        second = self.issue("example.org", "example.org")
        self.assertEqual(server.reload().problems, ())

        def use() -> bytes:
            client.sendall(header("client", "example.org"))
            return readUntil(client, b"</stream:features>")

        self.assertIn(b"<mechanisms", await deferToThread(use))
        self.assertEqual(hashlib.sha256(client.getpeercert(True)).hexdigest(), self.first)
        other = await deferToThread(direct, port, self.context(), "example.org")
        self.addCleanup(other.close)
        self.assertEqual(hashlib.sha256(other.getpeercert(True)).hexdigest(), second)


@spec("mission", "T7")
@spec("XEP-0178", "3")
class ServersOnlyTests(TwoCase):
    """Certificates for servers only, as Let's Encrypt issues them, in the place of a client's."""

    async def proved(self, version: int, name: str) -> None:
        """Both of ours take and show them: proved by PKIX, authenticated by EXTERNAL."""
        made = peertls.clientContext

        def clientContext(*arguments: Any) -> SSL.Context:
            context = made(*arguments)
            context.set_max_proto_version(version)
            return context

        self.patch(peertls, "clientContext", clientContext)
        await self.meet(False, SERVER_ONLY)
        streams = await self.talk()
        for way, stream in streams.items():
            self.assertEqual((stream.tls.version, stream.mechanism), (name, "EXTERNAL"), way)
        (heard,) = streams["in"].heard.values()
        self.assertEqual((str(heard.prooftype), str(streams["out"].verdict.prooftype)), ("PKIX", "PKIX"))

    async def test_tls13(self) -> None:
        """With TLS 1.3."""
        await self.proved(SSL.TLS1_3_VERSION, "TLSv1.3")

    async def test_tls12(self) -> None:
        """With TLS 1.2."""
        await self.proved(SSL.TLS1_2_VERSION, "TLSv1.2")

    async def test_caller(self) -> None:
        """Another programme that calls with such a certificate is offered EXTERNAL, and succeeds with it."""
        self.issue("example.org", "example.org")
        self.issue("peer.example", "peer.example", SERVER_ONLY)
        server = await self.start("example.org")
        port = self.port(server, "s2s")
        file = self.folder / "certs-peer.example" / "peer.example.pem"

        def call(version: ssl.TLSVersion) -> bytes:
            context = self.context(version)
            context.load_cert_chain(str(file))
            with startTLS(port, "server", "example.org", context, "example.org") as connection:
                connection.sendall(header("server", "example.org", "peer.example"))
                features = readUntil(connection, b"</stream:features>")
                connection.sendall(
                    b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
                )
                return features + readUntil(connection, b"/>")

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            answer = await deferToThread(call, version)
            self.assertIn(b"<mechanism>EXTERNAL</mechanism>", answer, version)
            self.assertIn(b"<success", answer, version)

    async def test_called(self) -> None:
        """Another programme that is called is shown such a certificate, and finds nothing wrong but the usage."""
        if shutil.which("openssl") is None:
            raise SkipTest("openssl isn't installed: apt-get install openssl")
        self.issue("example.org", "example.org", SERVER_ONLY)
        self.issue("peer.example", "peer.example")
        files = ["-cert", "certs-peer.example/peer.example.pem", "-key", "certs-peer.example/peer.example.pem"]
        for version in ("-tls1_2", "-tls1_3"):
            command = ["openssl", "s_server", "-accept", "127.0.0.1:0", *files, "-CAfile", "ca.pem", "-Verify", "1", version]
            output = subprocess.STDOUT
            with subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output) as peer:
                try:
                    accepting = await deferToThread(linesUntil, peer, b"ACCEPT")
                    port = accepting[-1].rpartition(b":")[2].strip().decode()
                    server = await self.start("example.org", peer_example=f"tls:127.0.0.1:{port}")
                    server.router.route(build("message", {"from": "a@example.org", "to": "b@peer.example"}))
                    lines = await deferToThread(linesUntil, peer, b"CIPHER is")
                finally:
                    peer.kill()
            said = b"".join(lines)
            self.assertEqual(set(re.findall(rb"verify error:num=(\d+)", said)), {b"26"}, said)
            self.assertIn(b"leaf", said)
            await server.service.stopService()


def linesUntil(process: subprocess.Popen[bytes], word: bytes) -> list[bytes]:
    """What a programme says, up to the line that begins with a word."""
    assert process.stdout is not None
    lines: list[bytes] = []
    while not (lines and lines[-1].startswith(word)):
        line = process.stdout.readline()
        if not line:
            raise EOFError(b"".join(lines))
        lines.append(line)
    return lines
