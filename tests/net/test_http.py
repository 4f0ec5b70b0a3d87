"""Tests of L{xmppd.net.http}: the web site, over connections made of lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.config import Limits
from xmppd.ixmppd import IWeb, IWebIntake, IWebResource, StoreUnavailable, WebRequest, WebResponse
from xmppd.net.admission import Admission
from xmppd.net.http import HEAD_SECONDS, IDLE_SECONDS, STALL_SECONDS, WebFactory, pathOf
from xmppd.net.site import WebSite
from xmppd.wire.proxies import Networks


class WebTransport(StringTransport):
    """
    The server's end of a connection.

    @ivar closed: how it ended: "lost", "half", "aborted", or None.
    """

    _ports = itertools.count(40000)

    def __init__(self, address: str = "192.0.2.7") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", address, next(self._ports)))
        self.closed: str | None = None

    def loseConnection(self) -> None:
        """See L{ITransport}."""
        self.disconnecting = True
        self.closed = self.closed or "lost"

    def loseWriteConnection(self) -> None:
        """See C{IHalfCloseableDescriptor}."""
        self.closed = "half"

    def abortConnection(self) -> None:
        """See L{ITCPTransport}."""
        self.disconnecting = True
        self.closed = "aborted"


@implementer(IWebIntake)
class Intake:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.end: str | None = None
        self.refusal: WebResponse | None = None

    def received(self, data: bytes) -> WebResponse | None:
        """See L{IWebIntake}."""
        self.data.append(data)
        return self.refusal

    def finished(self) -> WebResponse:
        """See L{IWebIntake}."""
        self.end = "finished"
        return WebResponse(201)

    def aborted(self) -> None:
        """See L{IWebIntake}."""
        self.end = "aborted"


@implementer(IWebResource)
class Resource:
    """Answers what the test wants."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[WebRequest] = []

    def respond(self, request: WebRequest) -> Any:
        """See L{IWebResource}."""
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class WebCase(SynchronousTestCase):
    """A site with one resource at C{/there}."""

    proxies = Networks()

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.site = WebSite()
        self.resource = Resource(WebResponse(200, {"Content-Type": "text/x"}, b"hello"))
        self.site.mount("/there", self.resource)
        self.factory = WebFactory(self.site, self.clock, Admission(self.clock, Limits()), proxies=self.proxies)

    def connect(self, address: str = "192.0.2.7") -> tuple[Any, WebTransport]:
        """One more connection."""
        channel = self.factory.buildProtocol(None)
        transport = WebTransport(address)
        channel.makeConnection(transport)
        return channel, transport

    def ask(self, text: str | bytes, **keywords: Any) -> tuple[int, dict[str, str], bytes, WebTransport]:
        """Send bytes on a fresh connection; status, headers and body of the one answer."""
        channel, transport = self.connect(**keywords)
        channel.dataReceived(text if isinstance(text, bytes) else text.encode())
        return (*self.answerIn(transport), transport)

    def answerIn(self, transport: WebTransport) -> tuple[int, dict[str, str], bytes]:
        """What stands in a transport."""
        head, _, body = transport.value().partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        self.assertEqual(len(headers), len(lines), "a header came twice")
        return int(first.split()[1]), headers, body

    def get(self, path: str, headers: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes, WebTransport]:
        """A request without body."""
        return self.ask(f"{method} {path} HTTP/1.1\r\nHost: example.org\r\n{headers}\r\n")


class StrictTransportTests(WebCase):
    """Whether browsers are told to use nothing but HTTPS."""

    @spec("RFC 9325", "3.2")
    @spec("RFC 6797", "7.2")
    def test_said(self) -> None:
        """Only where the administrator wants it, and never without TLS."""
        for seconds, secure, said in ((0, True, None), (86_400, False, None), (86_400, True, "max-age=86400")):
            self.factory.strictSeconds = seconds
            channel, transport = self.connect()
            self.patch(channel, "isSecure", lambda answer=secure: answer)
            self.patch(channel, "tlsFacts", lambda: None)
            channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: example.org\r\n\r\n")
            status, headers, _ = self.answerIn(transport)
            self.assertEqual((status, headers.get("strict-transport-security")), (200, said))


class SiteTests(WebCase):
    """Requests and responses."""

    def test_interfaces(self) -> None:
        """The site is what it says."""
        verifyObject(IWeb, self.site)

    def test_get(self) -> None:
        """A resource answers; what protects a browser, the date and the length are added; nothing tells who serves."""
        status, headers, body, transport = self.get("/there/x%2Fy?q=1")
        self.assertEqual((status, body, transport.closed), (200, b"hello", None))
        self.assertEqual((headers["content-type"], headers["content-length"]), ("text/x", "5"))
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertEqual(headers["date"], "Sun, 09 Sep 2001 01:46:40 GMT")
        self.assertNotIn("server", headers)
        (request,) = self.resource.requests
        self.assertEqual((request.path, request.query, request.length), ("/there/x%2Fy", "q=1", 0))
        self.assertEqual((request.address, request.secure, request.headers["host"]), ("192.0.2.7", False, "example.org"))

    def test_head(self) -> None:
        """HEAD has the length and no body."""
        status, headers, body, _ = self.get("/there", method="HEAD")
        self.assertEqual((status, headers["content-length"], body), (200, "5", b""))

    def test_notThere(self) -> None:
        """Nothing mounted, the resource doesn't know, or the name only begins like a path: the same answer."""
        answers = [self.get("/")[:3], self.get("/thereabouts")[:3], self.get("/../etc/passwd")[:3]]
        self.resource.answer = None
        answers.append(self.get("/there/x")[:3])
        self.assertEqual([answer[0] for answer in answers], [404] * 4)
        self.assertEqual(len({str(answer) for answer in answers}), 1)

    def test_inOrder(self) -> None:
        """Several resources of one path are asked until one answers."""
        self.resource.answer = None
        self.site.mount("/there", Resource(WebResponse(200, {}, b"second")))
        self.assertEqual(self.get("/there/x")[2], b"second")

    def test_keptOpen(self) -> None:
        """Requests follow each other on a connection, pipelined too; one who wants it closed has it closed."""
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        self.assertEqual(transport.value().count(b"hello"), 3)
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual((transport.value().count(b"hello"), transport.closed), (4, "lost"))

    def test_later(self) -> None:
        """An answer may come later; the next request waits for it."""
        self.resource.answer = later = Deferred()
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(transport.value(), b"")
        later.callback(WebResponse(200, {}, b"at last"))
        self.assertEqual(transport.value().count(b"HTTP/1.1 200"), 1)
        self.assertEqual(transport.value().count(b"HTTP/1.1 404"), 1)

    def test_failures(self) -> None:
        """A mistake of ours is a 500 and logged; a store that fails is a 503."""
        for error, status in ((ZeroDivisionError(), 500), (StoreUnavailable(), 503)):
            self.resource.answer = error
            self.assertEqual(self.get("/there")[0], status)
            self.resource.answer = fail(error)
            self.assertEqual(self.get("/there")[0], status)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_gone(self) -> None:
        """An answer that comes too late is thrown away."""
        self.resource.answer = later = Deferred()
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.connectionLost(Failure(ConnectionLost()))
        closed: list[int] = []

        class Body:
            def __iter__(self) -> Iterator[bytes]:
                return self

            def __next__(self) -> bytes:
                return b"x"

            def close(self) -> None:
                closed.append(1)

        later.callback(WebResponse(200, {}, Body()))
        self.assertEqual((transport.value(), closed), (b"", [1]))

    def test_targets(self) -> None:
        """Targets as RFC 9112 section 3.2 has them."""
        self.assertEqual(pathOf("/a?b?c"), ("/a", "b?c"))
        self.assertEqual(pathOf("http://example.org/a/b"), ("/a/b", ""))
        self.assertEqual(pathOf("*"), ("/", ""))
        self.assertEqual(self.get("elsewhere")[0], 400)

    def test_address(self) -> None:
        """The URL has the name that there is a certificate for, and the port unless it is the usual one."""
        site = WebSite(None, {"example.org": 1, "up.example.net": 1, "bücher.example": 1}.get)
        self.assertIsNone(site.address("example.org"))
        site.port = 443
        self.assertEqual(site.address("up.example.net"), "https://up.example.net")
        site.port = 5443
        self.assertEqual(site.address("upload.example.org"), "https://example.org:5443")
        self.assertEqual(site.address("bücher.example"), "https://xn--bcher-kva.example:5443")
        self.assertIsNone(site.address("example.com"))

    def test_mount(self) -> None:
        """A mount has a path."""
        for path in ("", "//", "there", "/there/"):
            self.assertRaises(ValueError, self.site.mount, path, self.resource)

    def test_root(self) -> None:
        """What is mounted at the root is there, and not below."""
        self.site.mount("/", self.resource)
        self.assertEqual((self.site.place("/"), self.site.place("/elsewhere")), ("/", None))


class StreamingTests(WebCase):
    """Bodies of responses that come in portions."""

    def stream(self, portions: Iterator[bytes], length: int) -> tuple[Any, WebTransport]:
        """Ask for them."""
        self.resource.answer = WebResponse(200, {}, portions, length)
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        return channel, transport

    def test_all(self) -> None:
        """All portions, then the next request."""
        channel, transport = self.stream(iter([b"a" * 10, b"b" * 10]), 20)
        self.assertTrue(transport.value().endswith(b"a" * 10 + b"b" * 10))
        self.resource.answer = WebResponse(204)
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b"HTTP/1.1 204", transport.value())

    def endless(self) -> Iterator[bytes]:
        """Portions without end; says when it is closed."""
        self.ended = False
        self.given = 0
        try:
            while True:
                self.given += 1
                if self.given % 3 == 0:
                    self.channel_.pauseProducing()
                yield b"x" * 100
        finally:
            self.ended = True

    def test_backPressure(self) -> None:
        """Nothing is asked for while the client doesn't read; when it never does, it is given up."""
        self.resource.answer = WebResponse(200, {}, self.endless(), 10**9)
        self.channel_, transport = self.connect()
        self.channel_.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(self.given, 3)
        self.clock.advance(STALL_SECONDS - 1)
        self.channel_.resumeProducing()
        self.assertEqual(self.given, 6)
        self.clock.advance(STALL_SECONDS - 1)
        self.assertIsNone(transport.closed)
        self.clock.advance(1)
        self.assertEqual(transport.closed, "aborted")
        self.channel_.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(self.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_breaksOff(self) -> None:
        """A body that fails in the middle cuts the connection: the client must not believe that it was all."""

        def broken() -> Iterator[bytes]:
            yield b"one"
            raise OSError("disk")

        _, transport = self.stream(broken(), 100)
        self.assertEqual(transport.closed, "aborted")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class BodyTests(WebCase):
    """Bodies of requests."""

    def put(self, headers: str = "Content-Length: 10\r\n") -> tuple[Any, WebTransport]:
        """Begin a request with a body."""
        channel, transport = self.connect()
        channel.dataReceived(f"PUT /there HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
        return channel, transport

    def test_portions(self) -> None:
        """The resource is asked when the head is there, and given what comes as it comes."""
        self.resource.answer = intake = Intake()
        channel, transport = self.put()
        self.assertEqual(self.resource.requests[0].length, 10)
        channel.dataReceived(b"12345")
        self.assertEqual((intake.data, intake.end, transport.value()), ([b"12345"], None, b""))
        channel.dataReceived(b"67890")
        self.assertEqual((b"".join(intake.data), intake.end, self.answerIn(transport)[0]), (b"1234567890", "finished", 201))

    def test_expect(self) -> None:
        """A body is asked for only when somebody takes it."""
        self.resource.answer = Intake()
        _, transport = self.put("Content-Length: 10\r\nExpect: 100-continue\r\n")
        self.assertEqual(transport.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.resource.answer = WebResponse(413)
        _, transport = self.put("Content-Length: 10\r\nExpect: 100-continue\r\n")
        self.assertEqual(self.answerIn(transport)[0], 413)
        self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)

    def test_refused(self) -> None:
        """A refusal goes out before the body is there; what comes is thrown away, but not for long."""
        self.resource.answer = WebResponse(413, {}, b"no")
        channel, transport = self.put("Content-Length: 1000000000\r\n")
        status, headers, body = self.answerIn(transport)
        self.assertEqual((status, headers["connection"], body, transport.closed), (413, "close", b"no", "half"))
        channel.dataReceived(b"x" * 1_000_000)
        self.assertEqual(transport.closed, "half")
        for _ in range(4):
            channel.dataReceived(b"x" * 1_000_000)
        self.assertEqual(transport.closed, "aborted")

    def test_refusedSilently(self) -> None:
        """Whoever doesn't go after a refusal is cut off."""
        self.resource.answer = None
        _, transport = self.put()
        self.assertEqual(self.answerIn(transport)[0], 404)
        self.clock.advance(5)
        self.assertEqual(transport.closed, "aborted")

    def test_refusedInBetween(self) -> None:
        """An intake may have enough at any time."""
        self.resource.answer = intake = Intake()
        intake.refusal = WebResponse(507)
        channel, transport = self.put()
        channel.dataReceived(b"123")
        channel.dataReceived(b"4567890")
        self.assertEqual((intake.data, intake.end, self.answerIn(transport)[0]), ([b"123"], None, 507))

    def test_cutOff(self) -> None:
        """A client that goes in the middle."""
        self.resource.answer = intake = Intake()
        channel, _ = self.put()
        channel.dataReceived(b"12345")
        channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(intake.end, "aborted")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody(self) -> None:
        """A resource must not think about a body for long: that is a mistake of ours."""
        self.resource.answer = Deferred()
        self.assertEqual(self.answerIn(self.put()[1])[0], 500)

    def test_chunked(self) -> None:
        """A body whose length isn't said has none in the request; it comes in portions, too."""
        self.resource.answer = intake = Intake()
        channel, transport = self.put("Transfer-Encoding: chunked\r\n")
        channel.dataReceived(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        self.assertEqual((self.resource.requests[0].length, b"".join(intake.data)), (None, b"abcde"))
        self.assertEqual(self.answerIn(transport)[0], 201)


class BadRequestTests(WebCase):
    """What is no request."""

    @spec("RFC 9112", "2.2", "3.2")
    def test_bad(self) -> None:
        """Each gets one answer with the protecting headers, and the connection ends."""
        for text in (
            "nonsense\r\n",
            "GET /there HTTP/1.1\r\n\r\n",
            "GET /there HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /there HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            "GET /there HTTP/1.1\r\nHost: a\r\nX: " + "x" * 20000,
            "GET /" + "x" * 20000 + " HTTP/1.1\r\n",
            "GET /there HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 200 + "\r\n",
            "PUT /there HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "PUT /there HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "PUT /there HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            status, headers, _, transport = self.ask(text)
            self.assertEqual((status, transport.closed), (400, "half"), text[:80])
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)
        self.assertEqual(self.resource.requests, [])

    def test_version(self) -> None:
        """Other versions of HTTP."""
        self.assertEqual(self.ask("GET /there HTTP/1.0\r\n\r\n")[0], 200)
        self.assertEqual(self.ask("GET /there HTTP/1.9\r\nHost: a\r\n\r\n")[0], 400)

    def test_smuggled(self) -> None:
        """Nothing that follows a bad request is one."""
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nbad header\r\n\r\nGET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual((self.resource.requests, transport.value().count(b"HTTP/1.1")), ([], 1))


class TimeTests(WebCase):
    """Nobody keeps anything for long."""

    def test_slowHead(self) -> None:
        """A head in drips, or none at all."""
        channel, transport = self.connect()
        for byte in b"GET /there HTTP/1.1\r\nHost: exam":
            channel.dataReceived(bytes([byte]))
            self.clock.advance(1)
        self.assertEqual(transport.closed, "aborted")
        _, transport = self.connect()
        self.clock.advance(HEAD_SECONDS)
        self.assertEqual(transport.closed, "aborted")

    def test_slowSecondHead(self) -> None:
        """The same behind an answered request."""
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        self.clock.advance(HEAD_SECONDS + 5)
        self.assertIsNone(transport.closed)
        channel.dataReceived(b"GET")
        self.clock.advance(HEAD_SECONDS)
        self.assertEqual(transport.closed, "aborted")

    def test_idle(self) -> None:
        """A silent connection is closed, in the end by force."""
        channel, transport = self.connect()
        channel.dataReceived(b"GET /there HTTP/1.1\r\nHost: a\r\n\r\n")
        self.clock.advance(IDLE_SECONDS)
        self.assertEqual(transport.closed, "lost")
        self.clock.advance(5)
        self.assertEqual(transport.closed, "aborted")

    def test_slowBody(self) -> None:
        """A body in drips is given up, and the resource hears of it."""
        self.resource.answer = intake = Intake()
        channel, transport = self.connect()
        channel.dataReceived(b"PUT /there HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n")
        for _ in range(31):
            channel.dataReceived(b"x")
            self.clock.advance(1)
        self.assertEqual(transport.closed, "aborted")
        channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(intake.end, "aborted")


class AdmissionTests(WebCase):
    """Connections are counted."""

    def test_tooMany(self) -> None:
        """One address has only so many; who goes makes room."""
        self.factory.admission.limits = Limits(connectionsPerAddress=2)
        first, _ = self.connect()
        self.connect()
        self.assertEqual(self.connect()[1].closed, "aborted")
        first.connectionLost(Failure(ConnectionLost()))
        self.assertIsNone(self.connect()[1].closed)
        self.assertEqual(len(self.factory.connections), 2)

    def test_forged(self) -> None:
        """Nobody else's address is believed."""
        self.get("/there", "X-Forwarded-For: 198.51.100.1\r\n")
        self.assertEqual(self.resource.requests[0].address, "192.0.2.7")


class ProxiedTests(WebCase):
    """A reverse proxy stands in front."""

    proxies = Networks.of(("127.0.0.0/8", "::1", "unix"))

    def test_address(self) -> None:
        """It tells the client's address; its connections aren't counted as one address's."""
        self.factory.admission.limits = Limits(connectionsPerAddress=1)
        text = "GET /there HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1, 198.51.100.1\r\n\r\n"
        self.ask(text, address="127.0.0.1")
        self.ask(text.replace("198.51.100.1", "nonsense"), address="127.0.0.1")
        self.ask(text)
        self.assertEqual([r.address for r in self.resource.requests], ["198.51.100.1", "127.0.0.1", "192.0.2.7"])
