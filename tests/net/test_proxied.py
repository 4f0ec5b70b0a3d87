"""Tests of L{xmppd.net.proxied}, with the whole server behind it."""

from __future__ import annotations

from tests.server import MemoryServer, ServerCase, TestClient, streamHeader
from tests.web import connectWeb
from tests.wire.test_proxyheader import BAD, GOOD
from xmppd.net.proxied import HEADER_SECONDS

LISTEN = 'http = ["tcp:5280"]\nhttps = ["tcp:5443"]\nproxy_protocol = ["10.0.0.5"]'
BALANCER = "10.0.0.5"
LINE = b"PROXY TCP4 198.51.100.1 10.0.0.5 40000 5222\r\n"


class ProxiedTests(ServerCase):
    """A load balancer at 10.0.0.5."""

    def serveBalanced(self, **named: str) -> MemoryServer:
        """A server behind it."""
        return self.serve(tls=True, requireTLS=False, listen=LISTEN, **named)  # type: ignore[arg-type]

    def balanced(self, server: MemoryServer, header: bytes = LINE, chunk: int | None = None) -> TestClient:
        """A client that comes through it."""
        client = server.connect(address=BALANCER)
        client.send(header, chunk)
        return client

    def address(self, server: MemoryServer) -> str:
        """Of the one connection."""
        (connection,) = server.server.connections
        return f"{connection.address} {connection.port}"

    def test_told(self) -> None:
        """The client's address is what the header says, and a login works as always."""
        for chunk in (None, 1):
            server = self.serveBalanced()
            client = self.balanced(server, chunk=chunk)
            self.assertEqual(self.address(server), "198.51.100.1 40000")
            client.login("romeo", "x")
            client.cut()
            self.assertEqual(server.server.admission.connections, 0)

    def test_together(self) -> None:
        """What the client says may come with the header."""
        server = self.serveBalanced()
        client = self.balanced(server, LINE + streamHeader())
        self.assertEqual(len(client.take()), 1)

    def test_startTLS(self) -> None:
        """STARTTLS works behind it."""
        client = self.balanced(self.serveBalanced())
        client.open()
        client.startTLS()
        client.open()
        self.assertSuccess(client.plain("romeo"))

    def test_own(self) -> None:
        """The balancer's own connections are its own."""
        for header, source in GOOD:
            server = self.serveBalanced()
            self.balanced(server, header)
            address = f"{BALANCER} {next(iter(server.clients)).transport.getPeer().port}"
            self.assertEqual(self.address(server), address if source is None else f"{source[0]} {source[1]}")

    def test_loopback(self) -> None:
        """Another machine's loopback isn't ours: such a connection is the balancer's."""
        for header in (LINE.replace(b"198.51.100.1", b"127.0.0.1"), b"PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n"):
            server = self.serveBalanced()
            self.balanced(server, header)
            self.assertEqual(self.address(server).split()[0], BALANCER)

    def test_required(self) -> None:
        """Without a header there is no connection."""
        server = self.serveBalanced()
        for header in (*BAD, streamHeader()):
            client = self.balanced(server, header)
            self.assertTrue(client.closed, header)
            self.assertEqual(client.raw, b"")
        silent = self.balanced(server, b"PROXY TCP4")
        server.advance(HEADER_SECONDS + 1)
        self.assertTrue(silent.closed)
        early = self.balanced(server, b"PROX")
        early.cut()
        self.assertEqual(server.server.connections, set())

    def test_strangers(self) -> None:
        """From elsewhere no header is believed."""
        server = self.serveBalanced()
        client = server.connect(address="192.0.2.1")
        self.assertEqual(self.address(server).split()[0], "192.0.2.1")
        client.send(LINE)
        self.assertClosed(client, "not-well-formed")

    def test_counted(self) -> None:
        """Limits by address hold for the told one."""
        server = self.serveBalanced(config="connections_per_address = 1")
        self.balanced(server)
        second = self.balanced(server)
        self.assertEqual(second.streamError(), "policy-violation")
        self.balanced(server, LINE.replace(b"100.1 ", b"100.2 "))
        self.assertEqual(len(server.server.connections), 2)

    def test_directTLS(self) -> None:
        """It stands before TLS."""
        server = self.serveBalanced()
        client = server.connect(5223, BALANCER)
        client.send(LINE)
        client.shakeHands()
        client.open()
        self.assertEqual(self.address(server), "198.51.100.1 40000")

    def test_web(self) -> None:
        """It stands before HTTP, with TLS and without."""
        server = self.serveBalanced()
        for port in (5280, 5443):
            client = connectWeb(server, port, BALANCER)
            client.octets(LINE)
            if port == 5443:
                client.shakeHands(alpn=[b"http/1.1"])
            client.upgrade(X_Forwarded_For="6.6.6.6")
            self.assertEqual(client.status, 101)
            self.assertEqual(self.address(server), "198.51.100.1 40000")
            client.login("romeo", "x")
            client.cut()
