"""Tests of L{xmppd.stream.component}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import CountingEntropy, Rig
from tests.marks import spec
from xmppd.config import Limits
from xmppd.stream.component import Component, ComponentStream, digest
from xmppd.wire import ns

HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
    b" to='bot.example.org'>"
)


class Wire:
    """A transport that keeps what is written."""

    address = "192.0.2.7"
    port = 1

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def loseConnection(self) -> None:
        """Note it."""
        self.closed = True

    def take(self) -> bytes:
        """What came since the last time."""
        taken, self.written = self.written, b""
        return taken


class FakeReception:
    """Counts failed logins."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entropy = CountingEntropy()
        self.limits = Limits()
        self.failures = 0

    def mayAuthenticate(self, address: str) -> bool:
        """At most three."""
        return self.failures < 3

    def authenticationFailed(self, address: str) -> None:
        """Count."""
        self.failures += 1


class ComponentTests(SynchronousTestCase):
    """A component's connection."""

    chunk = 0

    def setUp(self) -> None:
        self.rig = Rig()
        self.component = Component("bot.example.org", "secret", self.rig.router)
        self.rig.router.addDestination(self.component)
        self.reception = FakeReception(self.rig.clock)
        self.romeo, self.romeoStream = self.rig.bind("romeo@example.org/orchard")

    def connect(self) -> tuple[ComponentStream, Wire]:
        """A new connection."""
        wire = Wire()
        reception: Any = self.reception
        components = {"bot.example.org": self.component}
        return ComponentStream(wire, reception, components, self.rig.router), wire  # type: ignore[arg-type]

    def feed(self, stream: ComponentStream, data: bytes) -> None:
        """Give bytes, in chunks if this run is about chunks."""
        for start in range(0, len(data), self.chunk or len(data)):
            stream.dataReceived(data[start : start + (self.chunk or len(data))])

    def connected(self) -> tuple[ComponentStream, Wire]:
        """A connection that has proved who it is."""
        stream, wire = self.connect()
        self.feed(stream, HEADER)
        self.feed(stream, f"<handshake>{digest(stream.id, 'secret')}</handshake>".encode())
        self.assertTrue(wire.take().endswith(b"<handshake/>"))
        return stream, wire

    @spec("XEP-0114", "3")
    def test_headerIsAnsweredForTheComponent(self) -> None:
        """The answer names the component and a stream id."""
        stream, wire = self.connect()
        self.feed(stream, HEADER)
        self.assertIn(b"from='bot.example.org'", wire.written)
        self.assertIn(f"id='{stream.id}'".encode(), wire.written)

    @spec("XEP-0114", "3")
    def test_unknownComponent(self) -> None:
        """A name that isn't configured is host-unknown, after a header."""
        stream, wire = self.connect()
        self.feed(stream, HEADER.replace(b"bot.", b"other."))
        self.assertTrue(wire.written.startswith(b"<?xml version='1.0'?><stream:stream"))
        self.assertIn(b"<host-unknown", wire.written)
        self.assertTrue(wire.closed)

    @spec("XEP-0114", "3")
    def test_otherNamespace(self) -> None:
        """A client's header is invalid-namespace."""
        stream, wire = self.connect()
        self.feed(stream, HEADER.replace(b"jabber:component:accept", b"jabber:client"))
        self.assertIn(b"<invalid-namespace", wire.written)

    @spec("XEP-0114", "3")
    def test_wrongSecret(self) -> None:
        """A wrong digest is not-authorized, counted, and after some even the right one."""
        for _ in range(3):
            stream, wire = self.connect()
            self.feed(stream, HEADER + b"<handshake>" + b"0" * 40 + b"</handshake>")
            self.assertIn(b"<not-authorized", wire.written)
            self.assertTrue(wire.closed)
        stream, wire = self.connect()
        self.feed(stream, HEADER)
        self.feed(stream, f"<handshake>{digest(stream.id, 'secret')}</handshake>".encode())
        self.assertIn(b"<not-authorized", wire.written)

    def test_emptySecretNeverMatches(self) -> None:
        """A component without a secret can't connect."""
        self.component.secret = ""
        stream, wire = self.connect()
        self.feed(stream, HEADER)
        self.feed(stream, f"<handshake>{digest(stream.id, '')}</handshake>".encode())
        self.assertIn(b"<not-authorized", wire.written)

    def test_stanzaBeforeTheHandshake(self) -> None:
        """Nothing is routed before."""
        stream, wire = self.connect()
        self.feed(stream, HEADER + b"<message from='bot.example.org' to='romeo@example.org/orchard'/>")
        self.assertIn(b"<not-authorized", wire.written)
        self.assertEqual(self.romeoStream.take(), [])

    def test_tooSlow(self) -> None:
        """A connection that doesn't prove itself is closed."""
        _, wire = self.connect()
        self.rig.clock.advance(self.reception.limits.unauthenticatedSeconds)
        self.assertTrue(wire.closed)

    @spec("XEP-0114", "3")
    def test_stanzasBothWays(self) -> None:
        """The component sends from any of its addresses, and gets what is for its domain in its own namespace."""
        stream, wire = self.connected()
        self.feed(
            stream,
            b"<message from='anybody@bot.example.org/x' to='romeo@example.org/orchard'><body>hi</body></message>",
        )
        (got,) = self.romeoStream.takeBytes()
        self.assertIn(b"<body>hi</body>", got)
        self.rig.send(self.romeo, b"<message to='bot.example.org'><body xmlns='jabber:client'>yo</body></message>")
        self.assertEqual(
            wire.take(), b"<message from='romeo@example.org/orchard' to='bot.example.org'><body>yo</body></message>"
        )

    @spec("mission", "M3")
    def test_forgedMark(self) -> None:
        """Users are warned of names by the server, and by nobody else."""
        stream, _ = self.connected()
        forged = f"<body>x</body><p:warning xmlns:p='{ns.NAMES}' jid='a@b'/>"
        self.feed(stream, f"<message from='a@bot.example.org' to='romeo@example.org/orchard'>{forged}</message>".encode())
        (got,) = self.romeoStream.takeBytes()
        self.assertTrue(got.endswith(b"<body>x</body></message>"))

    @spec("XEP-0114", "3")
    def test_foreignSender(self) -> None:
        """An address of another domain is invalid-from."""
        stream, wire = self.connected()
        self.feed(stream, b"<message from='admin@example.org' to='romeo@example.org/orchard'/>")
        self.assertIn(b"<invalid-from", wire.written)
        self.assertEqual(self.romeoStream.take(), [])

    @spec("XEP-0114", "3")
    def test_missingAddresses(self) -> None:
        """Both from and to are needed."""
        stream, wire = self.connected()
        self.feed(stream, b"<message from='bot.example.org'/>")
        self.assertIn(b"<improper-addressing", wire.written)

    @spec("RFC 6120", "8.2.3")
    def test_badRequestsAreAnswered(self) -> None:
        """An IQ without id, of a bogus type, without a child, with two: answered, and not passed on."""
        stream, wire = self.connected()
        for attrs, inner in (
            ("type='get'", "<a xmlns='b'/>"),
            ("type='x' id='1'", "<a xmlns='b'/>"),
            ("type='get' id='1'", ""),
            ("type='set' id='1'", "<a xmlns='b'/><c xmlns='b'/>"),
        ):
            iq = f"<iq from='bot.example.org' to='romeo@example.org/orchard' {attrs}>{inner}</iq>"
            self.feed(stream, iq.encode())
            self.assertIn(b"<bad-request", wire.take())
            self.assertFalse(wire.closed)
        self.assertEqual(self.romeoStream.take(), [])

    def test_secondConnectionConflicts(self) -> None:
        """The first keeps the name."""
        first, _ = self.connected()
        stream, wire = self.connect()
        self.feed(stream, HEADER)
        self.feed(stream, f"<handshake>{digest(stream.id, 'secret')}</handshake>".encode())
        self.assertIn(b"<conflict", wire.written)
        self.assertIs(self.component.stream, first)

    def test_awayComponentBouncesWithWait(self) -> None:
        """While it is not connected, senders hear that they may try again."""
        self.rig.send(self.romeo, b"<message to='bot.example.org'><body>hi</body></message>")
        (got,) = self.romeoStream.takeBytes()
        self.assertIn(b"type='wait'", got)
        self.assertIn(b"<service-unavailable", got)
        self.assertIn(b"from='bot.example.org'", got)

    def test_goneComponentFreesItsName(self) -> None:
        """After the connection is lost another may connect."""
        stream, _ = self.connected()
        stream.connectionLost()
        self.connected()

    def test_limitsOfTheParserHold(self) -> None:
        """A stanza over the limit ends the stream."""
        self.reception.limits = replace(Limits(), stanzaBytes=10_000)
        stream, wire = self.connected()
        self.feed(stream, b"<message from='bot.example.org' to='x'>" + b"x" * 20_000 + b"</message>")
        self.assertIn(b"<policy-violation", wire.written)


class BytewiseComponentTests(ComponentTests):
    """The same, one byte at a time."""

    chunk = 1
