"""
The web site of a server, on every listener for HTTP: the adapter between Twisted's HTTP and L{IWebResource}.

Theory of operation
===================

L{WebSite} knows the resources, which features mount while they join. A L{WebChannel} is one connection: Twisted's
C{HTTPChannel} reads heads and frames bodies, and a stricter clock stands beside it. Each request is an L{Exchange},
which stands where Twisted has its C{Request}: that one collects a body before anybody is asked, while here the resource
is asked when the head is there, and a body goes to it portion by portion or is refused before it comes.

Nothing a client does keeps anything for long. A head has L{HEAD_SECONDS} from its first octet, a body has the time that
its length takes at L{SLOWEST} octets a second, a connection between requests may be silent for L{IDLE_SECONDS}, and
whoever doesn't read what it has asked for is given up after L{STALL_SECONDS} in which no portion has gone. Connections
are counted together with those of XMPP clients. A body's octets are never kept here; what a response streams is asked
for only while the client reads.

When a request is refused before its body has come, the answer is sent at once, and what the client still sends is
thrown away for some seconds: a socket that is closed over unread input resets the connection, and the client might
never see the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from zope.interface import implementer

from xmppd.ixmppd import IClock, IWebIntake, StoreUnavailable, TLSFacts, WebRequest, WebResponse
from xmppd.net.admission import Admission
from xmppd.net.site import NO_BODY, PROTECTION, REASONS, Held, Upgrade, WebSite, plain
from xmppd.trust.tlspolicy import tlsFacts
from xmppd.wire.proxies import Networks, isLoopback, toldAddress

log = Logger(namespace="xmppd.http")

ALPN: Final = b"http/1.1"

HEAD_BYTES: Final = 16384
"""Octets of a request line and headers together."""

HEADERS: Final = 100
"""Headers of a request."""

HEAD_SECONDS: Final = 20.0
"""How long a head may take: TLS's handshake included, for the first."""

IDLE_SECONDS: Final = 60.0
"""How long a connection may be silent between requests and inside a body."""

BODY_SECONDS: Final = 30.0
"""What a body may take besides the time for its length."""

SLOWEST: Final = 4096
"""Octets a second: whoever sends a body more slowly doesn't finish it."""

STALL_SECONDS: Final = 60.0
"""How long a client may let a response wait."""

CLOSING_SECONDS: Final = 5.0
"""How long a client may take to read a refusal, and to end its side."""

CLOSING_BYTES: Final = 4 << 20
"""How much of a refused body is thrown away meanwhile."""


class BadRequest(Exception):
    """
    A head that can't be answered otherwise.

    @ivar status: with what it is.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def pathOf(target: str) -> tuple[str, str]:
    """
    Path and query of a request's target (RFC 9112 section 3.2).

    @raise BadRequest: it has none.
    """
    if target == "*":
        return "/", ""
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.partition("://")[2].partition("/")[2]
    if not target.startswith("/"):
        raise BadRequest(400)
    path, _, query = target.partition("?")
    return path, query


@implementer(IPushProducer)
class Exchange:
    """
    One request and its response; what Twisted's C{HTTPChannel} takes for its request.

    @ivar requestHeaders: what the client has sent.
    @ivar responseHeaders: what the channel wants to be said.
    @ivar answered: whether the response has begun.
    """

    def __init__(self, channel: WebChannel, queued: object = None) -> None:
        self.requestHeaders = Headers()
        self.responseHeaders = Headers()
        self.answered = False
        self._channel = channel
        self._site = channel.shared.site
        self._head: WebRequest | None = None
        self._intake: IWebIntake | None = None
        self._body: Iterator[bytes] | None = None
        self._status = 0
        self._octets = 0
        self._paused = self._sending = self._gone = False
        self._stalled: Any = None
        self._held: Held | None = None
        self._version = b""

    # --- from the channel

    def parseCookies(self) -> None:
        """Nothing here has cookies."""

    def begun(self, method: bytes, target: bytes, version: bytes, length: int | None) -> None:
        """
        The head is complete.

        @param length: octets of the body to come; None if only its end will tell.
        """
        self._version = version
        try:
            self._head = self._readHead(method.decode("ascii"), target.decode("ascii"), version, length)
        except BadRequest as error:
            self._refuse(plain(error.status))
            return
        if length == 0:
            return
        answer = self._asked()
        if IWebIntake.providedBy(answer):
            self._intake = answer
        elif isinstance(answer, WebResponse):
            self._refuse(answer)
        else:
            if isinstance(answer, Deferred):
                log.error("a resource at {place} did not take a body at once", place=self._place())
                answer.addErrback(lambda failure: None)
            self._refuse(plain(404 if answer is None else 500))

    def _readHead(self, method: str, target: str, version: bytes, length: int | None) -> WebRequest:
        headers = {
            name.decode("ascii").lower(): ",".join(value.decode("latin-1") for value in values)
            for name, values in self.requestHeaders.getAllRawHeaders()
        }
        if version == b"HTTP/1.1" and len(self.requestHeaders.getRawHeaders(b"Host", ())) != 1:
            raise BadRequest(400)
        path, query = pathOf(target)
        channel = self._channel
        address, secure = channel.clientAddress(headers), channel.clientSecure(headers)
        return WebRequest(method.upper(), path, query, headers, length, address, secure, channel.tlsFacts)

    def _asked(self) -> Any:
        assert self._head is not None
        try:
            return self._site.ask(self._head)
        except Exception:
            return self._mistake(Failure())

    def handleContentChunk(self, data: bytes) -> None:
        """A portion of the body has come."""
        if self._intake is None or self.answered:
            return
        try:
            response = self._intake.received(data)
        except Exception:
            self._intake.aborted()
            response = self._mistake(Failure())
        if response is not None:
            self._intake = None
            self._refuse(response)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete."""
        if self.answered:
            return
        if self._intake is None:
            answer = self._asked()
        else:
            intake, self._intake = self._intake, None
            try:
                answer = intake.finished()
            except Exception:
                answer = self._mistake(Failure())
        if isinstance(answer, Deferred):
            if isinstance(answer, Held):
                self._held = answer
            answer.addErrback(self._mistake).addCallback(self._respond).addErrback(self._notSent)
        else:
            self._respond(answer)

    def _mistake(self, failure: Failure) -> WebResponse:
        if self._gone and failure.check(CancelledError):
            return plain(500)  # nobody gets it
        if failure.check(StoreUnavailable):
            return plain(503, {"Retry-After": "30"})
        log.failure("answering a request at {place} failed", failure, place=self._place())
        return plain(500)

    def _notSent(self, failure: Failure) -> None:
        log.failure("sending a response failed", failure)
        self._channel.hangUp()

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone."""
        self._gone = True
        self._goOn()
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.aborted()
        held, self._held = self._held, None
        if held is not None:
            held.cancel()
        self._closeBody()

    # --- the response

    def _refuse(self, response: WebResponse) -> None:
        """Answer before the body is there, and read no more."""
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self.answered = True
        if isinstance(response.body, bytes):
            self._writeHead(response, len(response.body))
            self._channel.write(response.body)
            self._octets = len(response.body)
        self._logged()
        self._channel.linger()

    def _respond(self, response: WebResponse | Upgrade | None) -> None:
        self._held = None
        if response is None:
            response = plain(404)
        if isinstance(response, Upgrade):
            response = plain(500) if self._gone else self._upgraded(response)
            if response is None:
                return
        self._body = None if isinstance(response.body, bytes) else response.body
        if self._gone:
            self._closeBody()
            return
        self.answered = True
        octets = len(response.body) if isinstance(response.body, bytes) else response.length
        self._writeHead(response, octets)
        silent = response.status in NO_BODY or (self._head is not None and self._head.method == "HEAD")
        if isinstance(response.body, bytes):
            if not silent:
                self._channel.write(response.body)
                self._octets = len(response.body)
            self._done()
        elif silent:
            self._closeBody()
            self._done()
        else:
            self._channel.registerProducer(self, True)
            self.resumeProducing()

    def _upgraded(self, upgrade: Upgrade) -> WebResponse | None:
        """Hand the connection over; or what to respond if that can't be."""
        channel, head = self._channel, self._head
        assert head is not None
        channel.persistent = 0
        if self._version != b"HTTP/1.1" or channel.isAhead():
            return plain(400)
        if channel.countFor(head.address) is not None:
            return plain(503, {"Retry-After": "60"})
        self.answered = True
        self._status = 101
        headers = Headers({name.encode("ascii"): [value.encode("ascii")] for name, value in upgrade.headers.items()})
        headers.setRawHeaders(b"Connection", [b"Upgrade"])
        channel.writeHeaders(b"HTTP/1.1", b"101", RESPONSES[101], headers)
        self._logged()
        channel.handOver(upgrade.protocol(head, channel))
        return None

    def _writeHead(self, response: WebResponse, octets: int | None) -> None:
        headers = self.responseHeaders
        shared = self._channel.shared
        given: dict[str, str] = {**PROTECTION, **response.headers}
        if shared.strictSeconds and self._channel.isSecure():
            given["Strict-Transport-Security"] = f"max-age={shared.strictSeconds}"
        given["Date"] = datetimeToString(shared.clock.seconds()).decode("ascii")
        if octets is not None and response.status not in NO_BODY:
            given["Content-Length"] = str(octets)
        elif octets is None:
            headers.setRawHeaders(b"Connection", [b"close"])
            self._channel.persistent = 0
        for name, value in given.items():
            headers.setRawHeaders(name.encode("ascii"), [value.encode("utf-8")])
        if not self._channel.persistent or given.get("Connection") == "close":
            self._channel.persistent = 0
            headers.setRawHeaders(b"Connection", [b"close"])
        self._status = response.status
        reason = REASONS.get(response.status, b"Unknown")
        self._channel.writeHeaders(b"HTTP/1.1", b"%d" % response.status, reason, headers)

    def resumeProducing(self) -> None:
        """The client reads: portion after portion, until it is enough."""
        self._goOn()
        self._paused = False
        if self._sending:
            return
        self._sending = True
        try:
            while not self._paused and not self._gone and self._body is not None:
                self._sendPortion(self._body)
        finally:
            self._sending = False

    def _sendPortion(self, body: Iterator[bytes]) -> None:
        try:
            portion = next(body, None)
        except Exception:
            log.failure("a response at {place} broke off", place=self._place())
            self._body = None
            self._channel.hangUp()
            return
        if portion is not None:
            self._octets += len(portion)
            self._channel.write(portion)
            return
        self._closeBody()
        self._channel.unregisterProducer()
        self._done()

    def pauseProducing(self) -> None:
        """The client doesn't read."""
        self._paused = True
        if self._stalled is None:
            self._stalled = self._channel.shared.clock.callLater(STALL_SECONDS, self._channel.hangUp)

    def stopProducing(self) -> None:
        """The client has gone."""
        self._gone = True
        self._goOn()
        self._closeBody()

    def _goOn(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None and stalled.active():
            stalled.cancel()

    def _closeBody(self) -> None:
        body, self._body = self._body, None
        close = getattr(body, "close", None)
        if close is not None:
            close()

    def _done(self) -> None:
        self._logged()
        self._channel.requestDone(self)

    def _place(self) -> str:
        """Where the request went, without what only the client should know."""
        return (self._head and self._site.place(self._head.path)) or "-"

    def _logged(self) -> None:
        log.info(
            "request: address={address} method={method} at={place} status={status} octets={octets}",
            address=self._head.address if self._head else self._channel.address,
            method=self._head.method if self._head else "-",
            place=self._place(),
            status=self._status,
            octets=self._octets,
        )


_Untyped: Any = HTTPChannel
"""Twisted's channel has no annotations."""


class WebChannel(_Untyped):  # type: ignore[misc]
    """
    One connection.

    @ivar shared: the listener's factory.
    @ivar address: where it comes from.
    """

    maxHeaders = HEADERS
    totalHeadersSize = HEAD_BYTES
    MAX_LENGTH = HEAD_BYTES
    requestFactory = Exchange
    timeOut = IDLE_SECONDS
    abortTimeout = CLOSING_SECONDS

    def __init__(self, shared: WebFactory) -> None:
        super().__init__()
        self.shared = shared
        self.address = ""
        self._countedAs: str | None = None
        self._deadline: Any = None
        self._discarded = 0
        self._lingering = False
        self._successor: Any = None

    def callLater(self, period: float, function: Callable[..., object]) -> Any:
        """How L{HTTPChannel} measures silence."""
        return self.shared.clock.callLater(period, function)

    # --- beginning and end

    def connectionMade(self) -> None:
        """See L{HTTPChannel}."""
        peer: Any = self.transport.getPeer()
        self.address = getattr(peer, "host", None) or "unix"
        super().connectionMade()
        self._expect(HEAD_SECONDS)
        counted = self.address if not self._fromProxy() else f"{self.address} {getattr(peer, 'port', 0)}"
        refusal = self.shared.admission.connected(counted)
        if refusal is not None:
            log.info("connection refused: address={address} reason={reason}", address=self.address, reason=refusal)
            self.hangUp()
            return
        self._countedAs = counted
        self.shared.connections.add(self)

    def _fromProxy(self) -> bool:
        """Whether a reverse proxy speaks for its clients."""
        return self.address in self.shared.proxies

    def clientAddress(self, headers: Mapping[str, str]) -> str:
        """The client's address, if need be as the reverse proxy tells it."""
        return toldAddress(self.address, headers.get("x-forwarded-for", ""), self.shared.proxies)

    def clientSecure(self, headers: Mapping[str, str]) -> bool:
        """
        Whether nobody can have listened to what the client sent: it was encrypted, by us or, as it says itself, by a
        reverse proxy of the list, or it never left this machine. A proxy that says nothing is believed to have
        encrypted only what it encrypts again; each of several has to say https.
        """
        if not self._fromProxy():
            return bool(self.isSecure()) or isLoopback(self.address)
        told = headers.get("x-forwarded-proto")
        if told is None:
            return bool(self.isSecure())
        return all(hop.strip().lower() == "https" for hop in told.split(","))

    # --- something else than HTTP

    def tlsFacts(self) -> TLSFacts | None:
        """The facts of the client's own TLS connection; None if that ends elsewhere."""
        if not self.isSecure() or self._fromProxy():
            return None
        return tlsFacts(self.transport.getHandle())

    def isAhead(self) -> bool:
        """Whether the client has sent more than its request, not waiting for an answer."""
        return bool(self._buffer or self._dataBuffer)

    def countFor(self, address: str) -> str | None:
        """Count the connection as this client's: why that can't be, or None."""
        if self._countedAs != address:
            refusal = self.shared.admission.connected(address)
            if refusal is not None:
                log.info("connection refused: address={address} reason={reason}", address=address, reason=refusal)
                return refusal
            if self._countedAs is not None:
                self.shared.admission.disconnected(self._countedAs)
            self._countedAs = address
        return None

    def handOver(self, successor: Any) -> None:
        """Let something else have the connection, and be counted by it, from now on."""
        self._cancelDeadline()
        self.setTimeout(None)
        self._networkProducer.unregisterProducer()
        self.requests.clear()
        self._countedAs = None
        self.shared.connections.discard(self)
        self._successor = successor
        successor.makeConnection(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{HTTPChannel}."""
        self._cancelDeadline()
        super().connectionLost(reason)
        if self._successor is not None:
            self._successor.connectionLost(reason)
            self._successor = None
        if self._countedAs is not None:
            self.shared.admission.disconnected(self._countedAs)
            self._countedAs = None
            self.shared.connections.discard(self)

    def hangUp(self) -> None:
        """Close it at once."""
        self.transport.abortConnection()

    def loseConnection(self) -> None:
        """See L{HTTPChannel}; but not for longer than a moment."""
        if getattr(self, "_abortingCall", None) is None:
            self._abortingCall = self.callLater(CLOSING_SECONDS, self.forceAbortClient)
        super().loseConnection()

    def timeoutConnection(self) -> None:
        """The client has been silent for too long."""
        self.loseConnection()

    def forceAbortClient(self) -> None:
        """It doesn't go by itself."""
        self._abortingCall = None
        self.hangUp()

    def linger(self) -> None:
        """Everything is said: throw away what comes, and close. Once: what follows is thrown away already."""
        if self._lingering:
            return
        self._lingering = True
        self._cancelDeadline()
        self.setTimeout(None)
        self.persistent = 0
        self.dataReceived = self._discard  # type: ignore[method-assign]
        self._expect(CLOSING_SECONDS)
        end = None if self.isSecure() else getattr(self.transport, "loseWriteConnection", None)
        self._networkProducer.resumeProducing()
        self._networkProducer.unregisterProducer()
        if end is not None:
            end()

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > CLOSING_BYTES:
            self.hangUp()

    # --- time

    def _expect(self, seconds: float) -> None:
        """What is going on has to be over by then."""
        self._cancelDeadline()
        self._deadline = self.shared.clock.callLater(seconds, self._tooSlow)

    def _cancelDeadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _tooSlow(self) -> None:
        self._deadline = None
        self.hangUp()

    # --- requests

    def dataReceived(self, data: bytes) -> None:
        """See L{HTTPChannel}."""
        if self._successor is not None:
            self._successor.dataReceived(data)
            return
        if self._deadline is None and not self._handlingRequest:
            self._expect(HEAD_SECONDS)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        """See L{HTTPChannel}: the body isn't asked for before somebody wants it."""
        request = self.requests[-1]
        self.persistent = self.checkPersistence(request, self._version)
        self._cancelDeadline()
        if self.length != 0:
            self._expect(BODY_SECONDS + (self.length or 0) / SLOWEST)
        request.begun(self._command, self._path, self._version, self.length)
        expected = request.requestHeaders.getRawHeaders(b"Expect", [b""])[0].lower()
        if expected == b"100-continue" and self._version == b"HTTP/1.1" and self.length != 0 and not request.answered:
            self._send100Continue()

    def allContentReceived(self) -> None:
        """See L{HTTPChannel}."""
        if not self.requests[-1].answered:
            self._cancelDeadline()
        super().allContentReceived()

    def lineLengthExceeded(self, line: bytes) -> None:
        """See L{HTTPChannel}: a head without end."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """What Twisted calls for a request that is none; more than once, if the rest of what came is none either."""
        if self._lingering:
            return
        body = b"400 Bad Request\n"
        headers = Headers({b"Connection": [b"close"], b"Content-Length": [b"%d" % len(body)]})
        for name, value in PROTECTION.items():
            headers.setRawHeaders(name.encode("ascii"), [value.encode("ascii")])
        self.writeHeaders(b"HTTP/1.1", b"400", b"Bad Request", headers)
        self.write(body)
        log.info("bad request: address={address}", address=self.address)
        self.linger()
        self.lineReceived = self.rawDataReceived = lambda data: None


class WebFactory(Factory):
    """
    What the connections of one listener share.

    @ivar connections: those that are open.
    @ivar proxies: the reverse proxies that may stand in front: their connections aren't counted by address, and they
        tell the client's in X-Forwarded-For.
    @ivar strictSeconds: how long browsers are told to use nothing but HTTPS for our names (RFC 6797); 0: not at all.
    """

    noisy = False

    def __init__(
        self,
        site: WebSite,
        clock: IClock,
        admission: Admission,
        connections: set[WebChannel] | None = None,
        proxies: Networks = Networks(),
        strictSeconds: int = 0,
    ) -> None:
        self.site = site
        self.clock = clock
        self.admission = admission
        self.connections: set[WebChannel] = set() if connections is None else connections
        self.proxies = proxies
        self.strictSeconds = strictSeconds

    def buildProtocol(self, addr: IAddress | None) -> WebChannel:
        """See L{Factory}."""
        channel = WebChannel(self)
        channel.factory = self
        return channel
