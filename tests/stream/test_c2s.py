"""Tests of L{xmppd.stream.c2s}, with the whole server around it: RFC 6120 sections 4 and 5 as a client sees them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.server import DOMAIN, MemoryServer, ServerCase, TestClient, auth, split, streamHeader
from xmppd.config import Limits
from xmppd.counters import Counters
from xmppd.ixmppd import IClientStream
from xmppd.stream import c2s
from xmppd.stream.c2s import SLICE, ClientStream
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError

LANG = f"{{{ns.XML}}}lang"
STARTTLS = f"{{{ns.TLS}}}starttls"
MECHANISMS = f"{{{ns.SASL}}}mechanisms"
BIND = f"{{{ns.BIND}}}bind"


class FakeTransport:
    """A transport that keeps what is written."""

    address = "192.0.2.1"
    port = 40000

    def __init__(self) -> None:
        self.written = b""
        self.pauses = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        """See L{IStreamTransport}."""
        self.written += data

    def pauseReading(self) -> None:
        """See L{IStreamTransport}."""
        self.pauses += 1

    def resumeReading(self) -> None:
        """See L{IStreamTransport}."""
        self.pauses -= 1

    def loseConnection(self) -> None:
        """See L{IStreamTransport}."""
        self.closed = True

    def canStartTLS(self, domain: str) -> bool:
        """See L{IStreamTransport}."""
        return False

    def unsent(self) -> int:
        """See L{IStreamTransport}."""
        return len(self.written)


class FakeReception:
    """A reception that knows no host."""

    requireTLS = False
    watched: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.clock = Clock()
        self.limits = Limits()
        self.entropy: Any = self

    def token(self, octets: int = 16) -> str:
        """See L{IEntropy}."""
        return "token"

    def host(self, domain: str) -> None:
        """See L{IReception}."""


class InterfaceTests(SynchronousTestCase):
    """The stream by itself."""

    def stream(self) -> ClientStream:
        """A stream that nobody has opened."""
        return ClientStream(FakeTransport(), FakeReception())  # type: ignore[arg-type]

    def test_provides(self) -> None:
        """It is an L{IClientStream}."""
        verifyObject(IClientStream, self.stream())

    def test_repr(self) -> None:
        """Its repr, which may end up in a log, names the stream and the peer."""
        stream = self.stream()
        self.assertEqual(repr(stream), "<ClientStream (new) from 192.0.2.1>")
        stream.id = "abc"
        self.assertIn("abc", repr(stream))

    def test_deepConfiguration(self) -> None:
        """A configured depth that is more than trees can have is cut down, and doesn't keep anybody out."""
        reception = FakeReception()
        reception.limits = Limits(depth=1000)
        stream = ClientStream(FakeTransport(), reception)  # type: ignore[arg-type]
        stream.dataReceived(b"<a/>")
        self.assertTrue(stream.closed)

    def test_nothingAfterTheEnd(self) -> None:
        """What somebody writes to a stream that has ended is not sent."""
        stream = self.stream()
        stream.close()
        written = stream.transport.written  # type: ignore[attr-defined]
        self.assertTrue(written.endswith(b"</stream:stream>"))
        stream.write(b"<late/>")
        stream.close()
        stream.connectionLost()
        self.assertEqual(stream.transport.written, written)  # type: ignore[attr-defined]

    def test_lostConnectionIsQuiet(self) -> None:
        """A connection that is gone gets nothing."""
        stream = self.stream()
        stream.connectionLost()
        stream.close(StreamError(StreamCondition.RESET))
        self.assertEqual(stream.transport.written, b"")  # type: ignore[attr-defined]
        self.assertEqual(stream.clock.getDelayedCalls(), [])  # type: ignore[attr-defined]


class WaitTests(SynchronousTestCase):
    """L{ClientStream.waitFor}."""

    def setUp(self) -> None:
        self.transport = FakeTransport()
        self.stream = ClientStream(self.transport, FakeReception())  # type: ignore[arg-type]
        self.got: list[Any] = []
        self.stream.receive = self.got.append

    def receive(self, *events: Any) -> None:
        """Give events to whoever is to receive them now."""
        for event in events:
            self.stream.receive(event)

    def test_eventsWait(self) -> None:
        """While something is waited for, nothing acts and nothing is read; then all acts in order."""
        deferred: Deferred[None] = Deferred()
        self.stream.waitFor(deferred)
        self.receive(1, 2)
        self.assertEqual((self.got, self.transport.pauses), ([], 1))
        deferred.callback(None)
        self.receive(3)
        self.assertEqual((self.got, self.transport.pauses), ([1, 2, 3], 0))

    def test_waitsInTheBacklog(self) -> None:
        """What waited may have something to wait for itself; reading resumes when all is done."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()

        def act(event: object) -> None:
            self.got.append(event)
            if event == 1:
                self.stream.waitFor(second)

        self.stream.receive = act
        self.stream.waitFor(first)
        self.receive(1, 2)
        first.callback(None)
        self.assertEqual((self.got, self.transport.pauses), ([1], 1))
        self.receive(3)
        second.callback(None)
        self.assertEqual((self.got, self.transport.pauses), ([1, 2, 3], 0))

    def test_severalAtOnce(self) -> None:
        """Two things to wait for: both have to come."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        self.stream.waitFor(first)
        self.stream.waitFor(second)
        self.receive(1)
        second.callback(None)
        self.assertEqual(self.got, [])
        first.callback(None)
        self.assertEqual((self.got, self.transport.pauses), ([1], 0))

    def test_nothingToWaitFor(self) -> None:
        """A Deferred that has fired costs nothing."""
        deferred: Deferred[None] = Deferred()
        deferred.callback(None)
        self.stream.waitFor(deferred)
        self.receive(1)
        self.assertEqual((self.got, self.transport.pauses), ([1], 0))

    def test_mistakeOfThePeer(self) -> None:
        """A peer's mistake that comes late is answered."""
        deferred: Deferred[None] = Deferred()
        self.stream.waitFor(deferred)
        self.receive(1)
        deferred.errback(StreamError(StreamCondition.RESET))
        self.assertIn(b"<reset ", self.transport.written)
        self.assertEqual((self.got, self.transport.pauses), ([], 0))

    def test_mistakeOfOurs(self) -> None:
        """One of ours is logged, and its details are not told."""
        deferred: Deferred[None] = Deferred()
        self.stream.waitFor(deferred)
        deferred.errback(RuntimeError("the password is xyzzy"))
        self.assertIn(b"<internal-server-error ", self.transport.written)
        self.assertNotIn(b"xyzzy", self.transport.written)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_mistakesInTheBacklog(self) -> None:
        """The same for what waited."""
        for error, condition in (
            (StreamError(StreamCondition.RESET), b"<reset "),
            (StanzaError(StanzaCondition.GONE), b"<undefined-condition "),
            (ValueError("ours"), b"<internal-server-error "),
        ):
            self.setUp()
            deferred: Deferred[None] = Deferred()

            def act(event: object, error: Exception = error) -> None:
                raise error

            self.stream.receive = act
            self.stream.waitFor(deferred)
            self.receive(1, 2)
            deferred.callback(None)
            self.assertIn(condition, self.transport.written)
            self.assertEqual(self.transport.pauses, 0)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_slices(self) -> None:
        """Many events that take long are acted on in several turns, in order, without reading more meanwhile."""
        now = [0.0]
        self.patch(c2s, "monotonic", lambda: now[0])

        def act(event: object) -> None:
            self.got.append(event)
            now[0] += 0.001

        self.stream.receive = act
        self.stream._bySlices(self.stream._parser, list(range(100)))  # type: ignore[arg-type]
        self.assertEqual((self.got, self.transport.pauses), (list(range(SLICE)), 1))
        self.stream.clock.advance(0)  # type: ignore[attr-defined]
        self.assertEqual((self.got, self.transport.pauses), (list(range(100)), 0))
        self.assertEqual(self.stream._backlog, [])

    def test_slicesOfQuickEvents(self) -> None:
        """Many events that don't take long are acted on at once."""
        self.patch(c2s, "monotonic", lambda: 0.0)
        self.stream._bySlices(self.stream._parser, list(range(1000)))  # type: ignore[arg-type]
        self.assertEqual((len(self.got), self.transport.pauses), (1000, 0))

    def test_mistakeBehindTheBacklog(self) -> None:
        """What can't be parsed stands behind what waits; after a restart it concerns nobody."""
        for restarted in (False, True):
            self.setUp()
            deferred: Deferred[None] = Deferred()
            self.stream.waitFor(deferred)
            self.receive(1)
            self.stream._wrong(StreamError(StreamCondition.RESTRICTED_XML))
            self.assertFalse(self.stream.closed)
            if restarted:
                self.stream._restart()
            deferred.callback(None)
            self.assertEqual((self.got, self.stream.closed), ([], False) if restarted else ([1], True))

    def test_bounded(self) -> None:
        """A peer can't make the server keep any number of events."""
        self.patch(c2s, "BACKLOG", 1000)
        self.stream.waitFor(Deferred())
        self.receive(*range(1000))
        error = self.assertRaises(StreamError, self.receive, 1000)
        self.assertEqual(error.condition, "policy-violation")

    def test_closedMeanwhile(self) -> None:
        """If the stream ends while it waits, nothing acts."""
        deferred: Deferred[None] = Deferred()
        self.stream.waitFor(deferred)
        self.receive(1)
        self.stream.connectionLost()
        deferred.callback(None)
        self.assertEqual((self.got, self.transport.pauses), ([], 0))


class UnsentTests(SynchronousTestCase):
    """L{ClientStream.unsent}: what the client may not have got."""

    def setUp(self) -> None:
        self.transport = FakeTransport()
        self.stream = ClientStream(self.transport, FakeReception())  # type: ignore[arg-type]

    def test_open(self) -> None:
        """What waits."""
        self.assertEqual(self.stream.unsent(), 0)
        self.stream.write(b"123")
        self.assertEqual(self.stream.unsent(), 3)

    def test_closed(self) -> None:
        """Of a session's stream that was closed: what waited before its end tag, whatever comes later."""
        session = SimpleNamespace(end=lambda: None, received=None)
        self.stream.established(session)  # type: ignore[arg-type]
        self.stream.close()
        self.assertIn(b"</stream:stream>", self.transport.written)
        self.assertEqual(self.stream.unsent(), 0)

    def test_spottedMeanwhile(self) -> None:
        """What is looked out for counts, too, if it came while the login was being completed."""
        seen: list[object] = []
        hooks = SimpleNamespace(spotted=SimpleNamespace(notify=seen.append))
        session = SimpleNamespace(end=lambda: None, received=None, host=SimpleNamespace(hooks=hooks))
        self.stream.spotted = True
        self.stream.established(session)  # type: ignore[arg-type]
        self.assertEqual(seen, [session])

    def test_lost(self) -> None:
        """Nobody knows what arrived over a connection that broke."""
        self.stream.connectionLost()
        self.assertEqual(self.stream.unsent(), 1)


class HeaderTests(ServerCase):
    """Stream headers (RFC 6120 sections 4.2, 4.7, 4.8)."""

    def setUp(self) -> None:
        self.server = self.serve(more='[host."example.net"]\n')
        self.client = self.server.connect()

    def header(self, to: str | None = DOMAIN, attributes: str = "") -> dict[str, str]:
        """The header that answers one of ours."""
        self.client = self.server.connect()
        self.client.open(to, attributes, features=False)
        assert self.client.header is not None
        return self.client.header

    @spec("RFC 6120", "4.2", "4.7.1")
    def test_fromIsTheDomainAddressed(self) -> None:
        """The server's header says from which of its domains it is, and to whom if the client has said who it is."""
        header = self.header()
        self.assertEqual(header["from"], DOMAIN)
        self.assertNotIn("to", header)
        self.assertEqual(self.header("example.net")["from"], "example.net")
        self.assertEqual(self.header("EXAMPLE.net.")["from"], "example.net")
        self.assertEqual(self.header(attributes="from='juliet@example.org'")["to"], "juliet@example.org")
        self.assertEqual(self.header(attributes="from=\"&lt;'&amp;&#10;\"")["to"], "<'&\n")

    @spec("RFC 6120", "4.7.3")
    def test_idIsUniqueAndUnpredictable(self) -> None:
        """Each header has an id of its own with at least 128 bits, after a restart too."""
        ids = {self.header()["id"] for _ in range(20)}
        client = self.client
        client.take()
        client.plain("romeo")
        client.open()
        assert client.header is not None
        ids.add(client.header["id"])
        self.assertEqual(len(ids), 21)
        self.assertGreaterEqual(min(map(len, ids)), 22)

    @spec("RFC 6120", "4.7.4")
    def test_language(self) -> None:
        """The server's header names the language of what it says, whatever the client's is."""
        for attributes in ("", "xml:lang='de'", "xml:lang='en-GB'", f"xml:lang='{'x' * 5000}'"):
            self.assertEqual(self.header(attributes=attributes)[LANG], "en")

    @spec("RFC 6120", "4.7.5")
    def test_version(self) -> None:
        """The version in the answer is the lower one, compared as numbers."""
        for attributes, version in (
            ("version='1.0'", "1.0"),
            ("version='1.1'", "1.0"),
            ("version='01.00'", "1.0"),
            ("version='12.3'", "1.0"),
            ("version='0.10'", "0.10"),
        ):
            self.assertEqual(self.header(attributes=attributes)["version"], version)

    @spec("RFC 6120", "4.7.5", "4.9.3.25")
    def test_unsupportedVersion(self) -> None:
        """Older versions, and what is no version, are refused."""
        for version in ("0.9", "0.10", "", "1", "one", "1.x", "-1.0", "1" * 5000 + ".0"):
            self.header(attributes=f"version='{version}'")
            self.assertClosed(self.client, "unsupported-version")

    @spec("RFC 6120", "4.7.5")
    def test_noVersion(self) -> None:
        """A header without a version is that of XMPP 0.9: its answer has none, and it is refused."""
        self.client.send(f"<stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' to='example.org'>")
        assert self.client.header is not None
        self.assertNotIn("version", self.client.header)
        self.assertClosed(self.client, "unsupported-version")

    @spec("RFC 6120", "4.8.1", "4.8.2", "4.8.5")
    def test_namespaces(self) -> None:
        """The answer declares the content namespace as default and binds C{stream} to the stream's."""
        self.header()
        tag = self.client.raw.partition(b"?>")[2].partition(b">")[0]
        self.assertIn(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'", tag)

    @spec("RFC 6120", "4.8.2", "4.8.5")
    def test_otherPrefixes(self) -> None:
        """A client may write the same header with other prefixes."""
        for header in (
            b"<s:stream xmlns:s='%s' xmlns='jabber:client' to='example.org' version='1.0'>",
            b"<stream xmlns='%s' xmlns:c='jabber:client' to='example.org' version='1.0'>",
            b"<stream:stream xmlns:stream=\"%s\"\n xmlns=\"jabber:client\"\tto=\"example.org\" version=\"1.0\" >",
        ):
            client = self.server.connect()
            client.send(header % ns.STREAMS.encode())
            self.assertEqual(split(client.one().tag), (ns.STREAMS, "features"))

    @spec("RFC 6120", "11.5")
    def test_declarationIsOptional(self) -> None:
        """An XML declaration may stand before the header, or not; the server sends one."""
        self.client.send(streamHeader().partition(b"?>")[2])
        self.assertEqual(split(self.client.one().tag), (ns.STREAMS, "features"))
        self.assertTrue(self.client.raw.startswith(b"<?xml version='1.0'?>"))

    @spec("RFC 6120", "4.9.3.6", "4.9.1.3")
    def test_unknownHost(self) -> None:
        """A domain that is not served: host-unknown, after a header from nobody's domain but ours, or nobody."""
        for to in ("example.com", "xn--a", "a..b", "romeo@example.org", "example.org/x", " ", "x" * 3000):
            self.assertEqual(self.header(to)["from"], "")
            self.assertClosed(self.client, "host-unknown")

    @spec("RFC 6120", "4.7.2", "4.9.3.7")
    def test_noHost(self) -> None:
        """A header that doesn't say to whom: improper-addressing."""
        for to in (None, ""):
            self.header(to)
            self.assertClosed(self.client, "improper-addressing")

    @spec("RFC 6120", "4.9.1.2")
    def test_errorBeforeTheHeader(self) -> None:
        """If something is wrong with the header itself, the server still opens its stream before it says so."""
        self.client.send(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://example.com/' to='example.org'>")
        assert self.client.header is not None
        self.assertEqual(self.client.header["version"], "1.0")
        self.assertTrue(self.client.header["id"])
        self.assertClosed(self.client, "invalid-namespace")

    @spec("RFC 6120", "4.3.3")
    def test_restartForAnotherDomain(self) -> None:
        """After the login the stream can't be restarted to another domain."""
        self.client.open()
        self.client.plain("romeo")
        self.client.open("example.net", features=False)
        self.assertClosed(self.client, "not-authorized")


class FeatureTests(ServerCase):
    """Stream features (RFC 6120 section 4.3)."""

    def names(self, client: TestClient, to: str = DOMAIN) -> list[str]:
        """The features advertised."""
        features = client.open(to)
        assert features is not None
        return [child.tag for child in features]

    @spec("RFC 6120", "4.3.2", "5.3.1")
    def test_onlyTLSWhereItIsRequired(self) -> None:
        """Before TLS that is required nothing is offered that could be done without it."""
        client = self.serve(tls=True).connect()
        features = client.open()
        assert features is not None
        starttls = features.find(STARTTLS)
        assert starttls is not None
        self.assertIsNotNone(starttls.find(f"{{{ns.TLS}}}required"))
        self.assertIsNone(features.find(MECHANISMS))
        self.assertIsNone(features.find(BIND))

    @spec("RFC 6120", "4.3.2", "5.4.1")
    def test_voluntaryTLS(self) -> None:
        """Where TLS is not required it is offered, without the mark, before the mechanisms."""
        client = self.serve(tls=True, requireTLS=False).connect()
        names = self.names(client)
        self.assertLess(names.index(STARTTLS), names.index(MECHANISMS))
        assert client.features is not None
        self.assertEqual(len(client.features.find(STARTTLS)), 0)  # type: ignore[arg-type]

    @spec("RFC 6120", "5.3.4", "6.3.4", "4.3.3")
    def test_eachAtItsTime(self) -> None:
        """TLS, then SASL, then binding; what is done is not offered again."""
        client = self.serve(tls=True).connect()
        self.names(client)
        client.startTLS()
        names = self.names(client)
        self.assertIn(MECHANISMS, names)
        self.assertNotIn(STARTTLS, names)
        self.assertNotIn(BIND, names)
        client.plain("romeo")
        names = self.names(client)
        self.assertIn(BIND, names)
        self.assertNotIn(MECHANISMS, names)
        self.assertNotIn(STARTTLS, names)

    @spec("RFC 6120", "5.4.1")
    def test_noCertificateForTheDomain(self) -> None:
        """TLS is offered where there is a certificate only; who asks nevertheless gets a failure and is gone."""
        server = self.serve(tls=True, requireTLS=False, more='[host."example.net"]\nplain_without_tls = true\n')
        tls = server.server.tls
        assert tls is not None
        tls.replace({DOMAIN: tls.certificates[DOMAIN]})
        client = server.connect()
        self.assertNotIn(STARTTLS, self.names(client, "example.net"))
        client.send(f"<starttls xmlns='{ns.TLS}'/>")
        taken = client.take()
        self.assertEqual([split(each.tag) for each in taken], [(ns.TLS, "failure")])
        self.assertTrue(client.streamClosed and client.eof)

    @spec("RFC 6120", "4.3.5", "4.9.3.12")
    def test_outOfTurn(self) -> None:
        """Stanzas, and elements of features whose time has not come or has passed: not-authorized."""
        bind = f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'/></iq>"
        starttls = f"<starttls xmlns='{ns.TLS}'/>"
        for early in ("<message to='juliet@example.org'/>", "<presence/>", bind, "<iq type='get' id='1'/>"):
            client = self.serve(requireTLS=False).connect()
            client.open()
            client.send(early)
            self.assertClosed(client, "not-authorized")
        for late in (starttls, auth("PLAIN", b"\0romeo\0romeo")):
            client = self.serve(tls=True, requireTLS=False).connect()
            client.open()
            client.plain("romeo")
            client.open()
            client.send(late)
            self.assertClosed(client, "not-authorized")

    @spec("RFC 6120", "4.9.3.24")
    def test_unknownElements(self) -> None:
        """An element nobody knows, before the stream is established and after: unsupported-stanza-type."""
        for element in ("<unknown/>", "<message xmlns='urn:other'/>", "<a:b xmlns:a='urn:a'/>", "<body/>"):
            for established in (False, True):
                server = self.serve()
                client = server.login("romeo") if established else server.connect()
                if not established:
                    client.open()
                client.send(element)
                self.assertClosed(client, "unsupported-stanza-type")

    @spec("RFC 6120", "4.9.3.20")
    def test_newStreamsWhileStopping(self) -> None:
        """A server that is about to stop takes no new streams."""
        server = self.serve()
        client = server.connect()
        server.host.stopping = True
        client.open(features=False)
        self.assertClosed(client, "system-shutdown")

    def test_hookChangesFeatures(self) -> None:
        """What joins the hook C{advertising} can change what is offered."""
        server = self.serve()
        server.host.hooks.advertising.addChange(lambda stream, features: b"")
        client = server.connect()
        self.assertEqual(self.names(client), [])


class TLSTests(ServerCase):
    """STARTTLS (RFC 6120 section 5) and direct TLS (XEP-0368)."""

    def setUp(self) -> None:
        self.server = self.serve(tls=True)

    @spec("RFC 6120", "5.4.2.3", "5.4.3.3", "5.3.2")
    def test_restart(self) -> None:
        """After TLS a new header is due, and gets a new answer with a new id."""
        client = self.server.connect()
        client.open()
        assert client.header is not None
        before = client.header["id"]
        client.startTLS()
        client.open()
        self.assertNotEqual(client.header["id"], before)

    @spec("RFC 6120", "5.4.3.3")
    def test_noHeaderAfterTLS(self) -> None:
        """A client that goes on without a new header has broken the stream."""
        client = self.server.connect()
        client.open()
        client.startTLS()
        client.send(auth("PLAIN", b"\0romeo\0romeo"))
        self.assertIn(client.streamError(), ("bad-format", "not-well-formed", "invalid-namespace"))
        self.assertTrue(client.eof)

    @spec("RFC 6120", "5.4.3.3")
    def test_nothingFromBeforeTLSCounts(self) -> None:
        """A login that was begun before TLS can't be continued after it."""
        server = self.serve(tls=True, requireTLS=False)
        client = server.connect()
        client.open()
        challenge = client.ask(auth("SCRAM-SHA-256", b"n,,n=romeo,r=abc"))
        self.assertEqual(split(challenge.tag)[1], "challenge")
        client.startTLS()
        client.open()
        self.assertFailure(client.ask(f"<response xmlns='{ns.SASL}'>YQ==</response>"), "malformed-request")

    @spec("RFC 6120", "5.4.3.1")
    def test_failedHandshake(self) -> None:
        """What is no TLS ends the connection; there is nothing to be said any more."""
        client = self.server.connect()
        client.open()
        client.ask(f"<starttls xmlns='{ns.TLS}'/>")
        before = len(client.raw)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(client.eof)
        self.assertNotIn(b"<", client.raw[before:])
        self.server.advance(5)
        self.assertTrue(client.closed)

    @spec("XEP-0368", "3")
    def test_directTLS(self) -> None:
        """A port for direct TLS: handshake first, then the same stream; STARTTLS isn't offered."""
        client = self.server.connect(5223)
        client.shakeHands(alpn=[b"xmpp-client"])
        features = client.open()
        assert features is not None
        self.assertIsNone(features.find(STARTTLS))
        self.assertSuccess(client.scram("romeo"))

    def test_noTLSOnThePortForDirectTLS(self) -> None:
        """XML in the clear on a port for direct TLS is not even looked at."""
        client = self.server.connect(5223)
        client.open(features=False)
        self.assertTrue(client.eof)
        self.assertNotIn(b"stream", client.raw)

    def test_endOfTLS(self) -> None:
        """A client that ends TLS properly has its connection closed; its session ends."""
        client = self.server.login("romeo", "orchard")
        assert client.tls is not None
        client.tls.shutdown()
        client._flushTLS()
        self.server.pump()
        self.assertTrue(client.eof)
        self.assertEqual(self.server.host.sessions, {})

    def test_largeStanzas(self) -> None:
        """Stanzas of many TLS records go through both ways."""
        romeo, juliet = self.server.login("romeo", "o"), self.server.login("juliet", "b")
        romeo.send(f"<message to='{juliet.jid}'><body>{'x' * 200_000}</body></message>")
        self.assertEqual(len(juliet.one()[0].text or ""), 200_000)

    def test_timeoutInTheHandshake(self) -> None:
        """A handshake that is never completed ends with the time for logging in."""
        for port in (5222, 5223):
            client = self.server.connect(port)
            if port == 5222:
                client.open()
                client.ask(f"<starttls xmlns='{ns.TLS}'/>")
            client.tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
            client.tls.set_connect_state()
            self.assertRaises(SSL.WantReadError, client.tls.do_handshake)
            client.deliver(client.tls.bio_read(100))
            self.server.advance(59)
            self.assertFalse(client.eof)
            self.server.advance(2)
            self.assertTrue(client.eof)


class ClosingTests(ServerCase):
    """The closing handshake (RFC 6120 section 4.4)."""

    def setUp(self) -> None:
        self.server = self.serve()

    @spec("RFC 6120", "4.4")
    def test_clientCloses(self) -> None:
        """A client's end tag is answered with the server's, and the connection ends; no error."""
        for client in (self.server.connect(), self.server.login("romeo")):
            if not client.jid:
                client.open()
            client.send("</stream:stream>")
            self.assertClosed(client)
            self.assertTrue(client.closed)

    @spec("RFC 6120", "4.4")
    def test_sessionEnds(self) -> None:
        """The session has ended by then."""
        client = self.server.login("romeo")
        client.send("</stream:stream>")
        self.assertEqual(self.server.host.sessions, {})

    @spec("RFC 6120", "4.4")
    def test_whatCameBeforeIsDone(self) -> None:
        """A message directly before the end tag is delivered."""
        romeo, juliet = self.server.login("romeo"), self.server.login("juliet")
        romeo.send(f"<message to='{juliet.jid}'/></stream:stream>")
        self.assertEqual(juliet.one().get("from"), romeo.jid)

    @spec("RFC 6120", "4.4", "4.9.1.1")
    def test_serverCloses(self) -> None:
        """The server ends its side and waits for the client's, but not for long; what comes meanwhile is ignored."""
        romeo, juliet = self.server.login("romeo"), self.server.login("juliet")
        romeo.stubborn = True
        romeo.send("<unknown/>")
        self.assertClosed(romeo, "unsupported-stanza-type")
        self.assertFalse(romeo.closed)
        romeo.send(f"<message to='{juliet.jid}'/>")
        self.assertEqual(juliet.take(), [])
        self.server.advance(4.9)
        self.assertFalse(romeo.closed)
        self.server.advance(0.1)
        self.assertTrue(romeo.closed)

    def test_clientClosesInTheMiddle(self) -> None:
        """A connection that is lost in the middle of a stanza: the stanza doesn't count."""
        romeo, juliet = self.server.login("romeo"), self.server.login("juliet")
        romeo.send(f"<message to='{juliet.jid}'><body>hal")
        romeo.cut()
        self.assertEqual(juliet.take(), [])
        self.assertNotIn("romeo@example.org", self.server.host.sessions)

    @spec("RFC 6120", "4.9.3.20")
    def test_shutdown(self) -> None:
        """When the server stops each stream ends with system-shutdown."""
        romeo, stranger = self.server.login("romeo"), self.server.connect()
        self.server.stop()
        for client in (romeo, stranger):
            self.assertEqual(client.streamError(), "system-shutdown")
            self.assertTrue(client.streamClosed and client.closed)

    def test_textAfterTheEnd(self) -> None:
        """What follows the end tag in the same segment never acts."""
        romeo, juliet = self.server.login("romeo"), self.server.login("juliet")
        romeo.send(f"</stream:stream><message to='{juliet.jid}'/>")
        self.assertEqual(juliet.take(), [])
        self.assertClosed(romeo)


class ErrorTests(ServerCase):
    """Each stream error that a client can provoke (RFC 6120 section 4.9.3)."""

    def provoked(self, data: bytes | str, login: bool = True) -> str | None:
        """The condition of the stream error that answers C{data}, on a stream that is established, or just opened."""
        server = self.serve()
        client = server.connect()
        if login:
            client.login("romeo")
        elif data and not str(data).startswith(("<?xml", "<stream")):
            client.open()
        client.send(data)
        condition = client.streamError()
        self.assertTrue(client.streamClosed and client.eof)
        return condition

    @spec("RFC 6120", "4.9.3.1")
    def test_badFormat(self) -> None:
        """Text between stanzas."""
        self.assertEqual(self.provoked("hello"), "bad-format")
        self.assertEqual(self.provoked("<presence/>hello<presence/>"), "bad-format")

    @spec("RFC 6120", "4.9.3.3", "7.7.2.2")
    def test_conflict(self) -> None:
        """A session whose resource somebody else binds, where the policy is to replace."""
        server = self.serve(host="resource_conflict = 'replace'\n")
        old, new = server.login("romeo", "orchard"), server.login("romeo", "orchard")
        self.assertClosed(old, "conflict")
        self.assertEqual(new.jid, "romeo@example.org/orchard")

    @spec("RFC 6120", "4.9.3.4")
    def test_connectionTimeout(self) -> None:
        """A client that hasn't logged in and bound a resource in time."""
        server = self.serve("unauthenticated_seconds = 10")
        silent, opened, halfway, there = server.connect(), server.connect(), server.connect(), server.login("juliet")
        opened.open()
        halfway.open()
        halfway.plain("romeo")
        halfway.open()
        server.advance(9)
        self.assertFalse(silent.eof or opened.eof or halfway.eof)
        server.advance(1)
        for client in (silent, opened, halfway):
            self.assertClosed(client, "connection-timeout")
        self.assertFalse(there.eof)

    def test_slowBytesDontHelp(self) -> None:
        """The time runs from the connection on, whatever comes."""
        server = self.serve("unauthenticated_seconds = 10")
        client = server.connect()
        for byte in streamHeader()[:10]:
            client.send(bytes([byte]))
            server.advance(1)
        self.assertClosed(client, "connection-timeout")

    @spec("RFC 6120", "4.9.3.8")
    def test_internalServerError(self) -> None:
        """A mistake of ours is logged with the stream's id; the client learns nothing but that it was ours."""
        server = self.serve()

        class Broken:
            names = ("urn:broken broken",)
            requires: frozenset[str] = frozenset()
            forbids: frozenset[str] = frozenset()
            rank = 1

            def advertise(self, stream: object) -> bytes:
                return b""

            def negotiate(self, stream: object, stanza: object) -> None:
                raise ZeroDivisionError("secret")

        server.host.addStreamFeature(Broken())  # type: ignore[arg-type]
        client = server.connect()
        client.open()
        client.send("<broken xmlns='urn:broken'/>")
        self.assertClosed(client, "internal-server-error")
        self.assertNotIn(b"secret", client.raw)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @spec("RFC 6120", "4.9.3.10", "4.8.1", "4.8.3")
    def test_invalidNamespace(self) -> None:
        """A wrong namespace for the stream, or a content namespace that is not for clients."""
        for namespaces in (
            "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/stream'",
            f"xmlns='jabber:server' xmlns:stream='{ns.STREAMS}'",
            f"xmlns='urn:other' xmlns:stream='{ns.STREAMS}'",
        ):
            header = f"<stream:stream {namespaces} to='example.org' version='1.0'>"
            self.assertEqual(self.provoked(header, login=False), "invalid-namespace")

    @spec("RFC 6120", "4.9.3.13", "11.3")
    def test_notWellFormed(self) -> None:
        """What is no XML."""
        for data in ("<message></presence>", "<message a='1' a='2'/>", "<message a=1/>", "<message>&#0;</message>",
                     "<message><x:y/></message>", b"<message>\xff</message>"):
            self.assertEqual(self.provoked(data), "not-well-formed", data)

    @spec("RFC 6120", "4.9.3.14")
    def test_policyViolation(self) -> None:
        """Stanzas over a limit."""
        for data in (
            f"<message><body>{'x' * 300_000}</body></message>",
            "<message>" + "<a>" * 100,
            "<message>" + "<a/>" * 6000 + "</message>",
            "<message><a " + " ".join(f"a{i}=''" for i in range(100)) + "/></message>",
        ):
            self.assertEqual(self.provoked(data), "policy-violation", data[:60])

    def test_unauthenticatedBytes(self) -> None:
        """Without a login a client can send so many bytes, and after it as many as it likes."""
        server = self.serve("unauthenticated_bytes = 4096")
        client = server.connect()
        client.open()
        for _ in range(3):
            client.send(" " * 1000)
        self.assertFalse(client.eof)
        client.send(" " * 1000)
        self.assertClosed(client, "policy-violation")
        client = server.login("romeo")
        client.send(" " * 100_000)
        self.assertFalse(client.eof)

    @spec("RFC 6120", "4.9.3.18", "11.1")
    def test_restrictedXML(self) -> None:
        """Comments, processing instructions, document types, entities; before the login and after."""
        for data in ("<!-- x -->", "<message><!-- x --></message>", "<?a b?>", "<message><?a b?></message>",
                     "<!DOCTYPE a>", "<message>&nbsp;</message>"):
            self.assertEqual(self.provoked(data), "restricted-xml", data)
            self.assertEqual(self.provoked(data, login=False), "restricted-xml", data)

    @spec("RFC 6120", "4.9.3.22", "11.6")
    def test_unsupportedEncoding(self) -> None:
        """Anything but UTF-8."""
        for encoding in ("ISO-8859-1", "UTF-16", "nonsense"):
            header = f"<?xml version='1.0' encoding='{encoding}'?>".encode() + streamHeader().partition(b"?>")[2]
            server = self.serve()
            client = server.connect()
            client.send(header)
            self.assertClosed(client, "unsupported-encoding")

    @spec("RFC 6120", "4.9.3.24")
    def test_secondHeader(self) -> None:
        """A stream header inside the stream."""
        self.assertEqual(self.provoked(streamHeader().partition(b"?>")[2]), "unsupported-stanza-type")

    @spec("RFC 6120", "4.9.1.1", "4.9.2")
    def test_syntax(self) -> None:
        """The error is the last element: condition first, perhaps a text, then the end of the stream."""
        server = self.serve()
        client = server.login("romeo")
        client.send("<unknown/>")
        error = client.one()
        self.assertEqual(split(error.tag), (ns.STREAMS, "error"))
        self.assertEqual(split(error[0].tag), (ns.STREAM_ERRORS, "unsupported-stanza-type"))
        self.assertTrue(client.raw.endswith(b"</stream:error></stream:stream>"))

    def test_whatCameBeforeTheMistakeActs(self) -> None:
        """Stanzas before a mistake in the same segment are still acted on."""
        server = self.serve()
        romeo, juliet = server.login("romeo"), server.login("juliet")
        romeo.send(f"<message to='{juliet.jid}'/><!-- -->")
        self.assertEqual(juliet.one().get("from"), romeo.jid)
        self.assertClosed(romeo, "restricted-xml")


class SilenceTests(ServerCase):
    """Silent peers (RFC 6120 section 4.6)."""

    @spec("RFC 6120", "4.6.1")
    def test_whitespace(self) -> None:
        """White space between stanzas keeps the connection alive and means nothing else."""
        server = self.serve("idle_seconds = 300\nanswer_seconds = 30")
        client = server.login("romeo")
        for _ in range(20):
            client.send(" \n")
            server.advance(100)
        self.assertEqual(client.take(), [])
        self.assertFalse(client.eof)

    @spec("RFC 6120", "4.6.1", "4.6.2", "4.6.4")
    def test_silentPeerIsAsked(self) -> None:
        """A client that has been silent for long is asked whether it is there, and gone if it doesn't answer."""
        server = self.serve("idle_seconds = 300\nanswer_seconds = 30")
        client = server.login("romeo")
        server.advance(299)
        self.assertEqual(client.take(), [])
        server.advance(152)
        ping = client.one()
        self.assertEqual((ping.get("type"), ping[0].tag), ("get", f"{{{ns.PING}}}ping"))
        server.advance(31)
        self.assertTrue(client.closed)
        self.assertEqual(server.host.sessions, {})

    @spec("RFC 6120", "4.6.4")
    def test_answerKeepsItAlive(self) -> None:
        """Any answer will do."""
        for answer in ("result", "error"):
            server = self.serve("idle_seconds = 300\nanswer_seconds = 30")
            client = server.login("romeo")
            for _ in range(20):
                server.advance(50)
                for ping in client.take():
                    client.send(f"<iq type='{answer}' id='{ping.get('id')}' to='example.org'/>")
            self.assertFalse(client.eof)


class RestartTests(ServerCase):
    """Streams that are cut into segments at any place."""

    def script(self, server: MemoryServer) -> list[bytes]:
        """What a client sends in one session, up to the point where it must wait for the server."""
        return [
            streamHeader(),
            auth("PLAIN", b"\0romeo\0romeo").encode(),
            streamHeader(),
            f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'><resource>r</resource></bind></iq>".encode(),
            b"<message to='juliet@example.org/b' type='chat'><body>&lt;O \xe2\x98\x83 Romeo&gt;</body></message>",
            b"<iq type='get' id='2'><query xmlns='jabber:iq:roster'/></iq>",
        ]

    @spec("RFC 6120", "4.3.3")
    def test_everyChunking(self) -> None:
        """The server's answers, and what others get, don't depend on how the bytes were cut."""
        expected = None
        for chunk in (None, 1, 2, 3, 7, 50):
            server = self.serve()
            juliet = server.login("juliet", "b")
            client = server.connect()
            answers = []
            for part in self.script(server):
                client.send(part, chunk)
                answers.append([split(each.tag) for each in client.take()])
            answers.append([(each.get("from"), each[0].text) for each in juliet.take()])  # type: ignore[misc]
            if expected is None:
                expected = answers
            self.assertEqual(answers, expected)
        assert expected is not None
        self.assertEqual(expected[-1], [("romeo@example.org/r", "<O \N{SNOWMAN} Romeo>")])


class HoldingTests(SynchronousTestCase):
    """What is written while a login is at work."""

    def setUp(self) -> None:
        self.transport = FakeTransport()
        reception = SimpleNamespace(
            clock=Clock(), limits=Limits(), entropy=CountingEntropy(), requireTLS=False, counters=Counters(), watched=()
        )
        self.stream = ClientStream(self.transport, reception)  # type: ignore[arg-type]

    def test_order(self) -> None:
        """It comes behind what is said first, in order."""
        self.stream.hold()
        self.stream.write(b"c")
        self.stream.write(b"d")
        self.assertEqual(self.transport.written, b"")
        self.stream.release(b"a", b"b")
        self.stream.write(b"e")
        self.assertEqual(self.transport.written, b"abcde")

    def test_notHeld(self) -> None:
        """Without anything held it is just written."""
        self.stream.release(b"a", b"b")
        self.assertEqual(self.transport.written, b"ab")

    def test_closed(self) -> None:
        """A stream that ends says nothing of what was held; nor does it say anything later."""
        self.stream.hold()
        self.stream.write(b"c")
        self.stream.close(StreamError(StreamCondition.POLICY_VIOLATION))
        self.stream.release(b"a")
        self.stream.hold()
        self.stream.write(b"b")
        _, _, written = self.transport.written.partition(b"?><stream:stream ")
        self.assertRegex(written, b"^[^>]*><stream:error>.*</stream:error></stream:stream>$")

    def test_bound(self) -> None:
        """Nobody can make it grow without end."""
        self.stream.hold()
        for _ in range(1100):
            self.stream.write(b"x" * 1000)
        self.assertTrue(self.stream.closed)
        self.assertIn(b"<resource-constraint", self.transport.written)
