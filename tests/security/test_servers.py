"""Strangers at the port for servers: forged senders, plaintext behind C{<starttls/>}, floods, other people's streams."""

from __future__ import annotations

from tests.marks import spec
from tests.server import MemoryServer, ServerCase, TestClient
from xmppd.wire import ns

MORE = """
[s2s]
resolver = "127.0.0.1:53"
"""
FAR = "montague.example"
STARTTLS = f"<starttls xmlns='{ns.TLS}'/>"
FORGED = f"<message from='juliet@{FAR}' to='romeo@example.org/orchard'><body>it's me</body></message>"
KEY = f"<db:result from='{FAR}' to='example.org'>key</db:result>"


def header(sender: str | None = FAR, to: str = "example.org", namespace: str = ns.SERVER) -> str:
    """A server's stream header."""
    source = "" if sender is None else f" from='{sender}'"
    return (
        f"<stream:stream xmlns='{namespace}' xmlns:stream='{ns.STREAMS}' xmlns:db='{ns.DIALBACK}'{source}"
        f" to='{to}' version='1.0'>"
    )


class ServersCase(ServerCase):
    """A server, Romeo on it, and a stranger."""

    def setUp(self) -> None:
        listen = 's2s = ["tcp:5269"]\ns2s_tls = ["tcp:5270"]'
        self.server: MemoryServer = self.serve(tls=True, requireTLS=False, more=MORE, listen=listen)
        self.romeo = self.server.login("romeo", "orchard", available=True)
        self.romeo.take()

    def stranger(self, port: int = 5269) -> TestClient:
        """Somebody connects."""
        return self.server.connect(port, "198.51.100.7")

    def secured(self, sender: str | None = FAR) -> TestClient:
        """Somebody with TLS and a stream."""
        client = self.stranger()
        client.send(header(sender))
        client.send(STARTTLS)
        client.shakeHands()
        client.send(header(sender))
        return client

    def wait(self, seconds: int) -> None:
        """Time passes; nobody answers about names."""
        for _ in range(seconds):
            self.server.advance(1)

    def nothing(self) -> None:
        """Romeo has got nothing."""
        self.server.pump()
        self.assertEqual(self.romeo.take(), [])


class StrangerTests(ServersCase):
    """What happens to them."""

    @spec("RFC 6120", "5.4.3.3")
    @spec("mission", "T1", "T2")
    def test_injection(self) -> None:
        """Who sends something behind C{<starttls/>} may be somebody in between: nothing of it acts, and that is the end."""
        for injected in (FORGED, KEY, header(), "</stream:stream>", "<mess", "\x16\x03\x01"):
            client = self.stranger()
            client.send(header())
            client.send(STARTTLS + injected)
            self.wait(12)
            self.assertTrue(client.eof, injected)
            self.assertTrue(client.raw.endswith(f"<proceed xmlns='{ns.TLS}'/>".encode()), client.raw[-200:])
            self.nothing()

    @spec("RFC 6120", "5.4.3.3")
    @spec("mission", "T1", "T2")
    def test_space(self) -> None:
        """White space there is no harm, and nobody's proof of anything."""
        client = self.stranger()
        client.send(header())
        client.send(STARTTLS + "\n")
        client.take()
        client.shakeHands()
        client.send(header())
        self.wait(12)
        (features,) = client.take()
        self.assertNotIn(f"{{{ns.SASL}}}mechanisms", [each.tag for each in features])
        client.send(FORGED)
        self.assertClosed(client, "not-authorized")
        self.nothing()

    @spec("mission", "T2")
    def test_plain(self) -> None:
        """Without TLS nothing is taken: no stanzas, no keys, no login."""
        client = self.stranger()
        client.send(header())
        client.take()
        client.send(KEY)
        (answer,) = client.take()
        self.assertEqual(answer.get("type"), "error")
        self.assertTrue(list(answer.iter(f"{{{ns.STANZA_ERRORS}}}policy-violation")))
        client.send(FORGED)
        self.assertClosed(client, "not-authorized")
        self.nothing()

    @spec("RFC 6120", "4.9.3.9", "8.1.2.2")
    def test_forged(self) -> None:
        """A server that has proved nothing, or is nobody; and one that says it is us."""
        client = self.secured()
        client.send(FORGED)
        self.assertClosed(client, "not-authorized")
        client = self.secured()
        self.wait(12)
        client.take()
        client.send(KEY)
        self.wait(35)
        (answer,) = client.take()
        self.assertEqual(answer.get("type"), "error")
        self.assertTrue(list(answer.iter(f"{{{ns.STANZA_ERRORS}}}remote-server-not-found")))
        client.send(FORGED)
        self.assertClosed(client, "not-authorized")
        client = self.stranger()
        client.send(header("example.org"))
        self.assertClosed(client, "invalid-from")
        self.nothing()

    def test_external(self) -> None:
        """SASL EXTERNAL without a certificate."""
        client = self.secured()
        self.wait(12)
        client.take()
        client.send(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>=</auth>")
        self.assertFailure(client.one(), "invalid-mechanism")
        client.send(FORGED)
        self.assertClosed(client, "not-authorized")

    def test_flood(self) -> None:
        """Bytes without end before anything is proved; and silence."""
        client = self.secured()
        client.send(" " * 70_000)
        self.assertClosed(client, "policy-violation")
        client = self.secured()
        self.server.advance(61)
        self.assertClosed(client, "connection-timeout")

    @spec("RFC 6120", "11.1", "4.9.3.10")
    def test_xml(self) -> None:
        """No XMPP, or XML that XMPP forbids."""
        for data, condition in (
            ("<!DOCTYPE a [<!ENTITY b 'c'>]>", "restricted-xml"),
            (header(namespace=ns.CLIENT), "invalid-namespace"),
            ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
            (header() + "<!-- -->", "restricted-xml"),
            (header(to="other.example"), "host-unknown"),
        ):
            client = self.stranger()
            client.send(data)
            self.assertClosed(client, condition)

    def test_keys(self) -> None:
        """A thousand keys at once: most are refused, and the server lives."""
        client = self.secured()
        self.wait(12)
        client.take()
        client.send(
            "".join(f"<db:result from='d{number}.example' to='example.org'>k</db:result>" for number in range(300))
        )
        self.wait(39)
        self.assertEqual({each.get("type") for each in client.take()}, {"error"})

    def test_clients(self) -> None:
        """Clients at the port for servers and servers at that for clients get nowhere."""
        client = self.server.connect(5222)
        client.send(header())
        self.assertClosed(client, "invalid-namespace")
        self.nothing()
