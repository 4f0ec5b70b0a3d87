"""
Clients with WebSockets (RFC 7395): the adapter between a connection that was HTTP and a framed stream.

Theory of operation
===================

L{WebSockets} answers the request with which a WebSocket begins (RFC 6455 section 4.2) and refuses what isn't one, or
comes from a page that may not connect. A L{WebSocketConnection} then has the connection. It is a L{ClientConnection}
whose octets go through L{Frames} on their way to the stream, which gets whole messages, and whose writes become a
message each; queues, paces, counts and times are those of every client. Compression isn't offered: what one party
chooses and another's secret would share one dictionary.

What has come is acted on in slices, and only while the stream reads: a client that sends ten thousand frames at once,
or goes on before the answer that it needs, waits for its turn with what is left of one read.

A client that is silent is asked with a ping whether it is there, often enough to keep reverse proxies from ending the
connection; one that doesn't answer until the next is given up.

Encryption is what the listener or a listed reverse proxy vouches for (L{WebRequest.secure}). Data for channel binding
is told to the stream only where the client can know the same: the TLS connection is ours and no proxy's, and the client
is no browser, which lets no script see it. A browser's certificate is no login either: a browser shows it to whatever
page asks it to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Final

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from zope.interface import implementer

from xmppd.ixmppd import IWebResource, TLSFacts, WebRequest, WebResponse
from xmppd.net.c2s import CLOSING_BYTES, CLOSING_SECONDS, ClientConnection, ClientFactory, kernelQueue, transportQueue
from xmppd.net.frames import Frames
from xmppd.net.http import WebChannel
from xmppd.net.rest import STIRRED
from xmppd.net.site import Upgrade, plain
from xmppd.stream.c2s import SLICE, SLICE_SECONDS
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.framing import standalone, textFrame
from xmppd.wire.origins import Origins

log = Logger(namespace="xmppd.web")

PATH: Final = "/xmpp-websocket"

SUBPROTOCOL: Final = "xmpp"

PING_SECONDS: Final = 45.0
"""How long a connection is silent before it is pinged; reverse proxies commonly wait for a minute."""

_KEY: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def tokens(value: str) -> set[str]:
    """The members of a header that is a list, in small letters."""
    return {token.strip().lower() for token in value.split(",")}


def acceptance(key: str) -> str | None:
    """The answer to C{Sec-WebSocket-Key} (RFC 6455 section 4.2.2); None if it is no key."""
    try:
        nonce = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(nonce) != 16:
        return None
    return base64.b64encode(hashlib.sha1((key + _KEY).encode(), usedforsecurity=False).digest()).decode()


@implementer(IWebResource)
class WebSockets:
    """
    The beginning of WebSockets.
    """

    def __init__(self, clients: ClientFactory, origins: Origins) -> None:
        """
        @param clients: what the connections share; makes framed streams.
        """
        self._clients = clients
        self._origins = origins

    def respond(self, request: WebRequest) -> Any:
        """See L{IWebResource}; the answer to a good request is an L{Upgrade}."""
        if request.path != PATH:
            return None
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        accept = acceptance(request.headers.get("sec-websocket-key", ""))
        if accept is None:
            return plain(400)
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Accept": accept, "Sec-WebSocket-Protocol": SUBPROTOCOL}
        return Upgrade(headers, self._connection)

    def _refusal(self, request: WebRequest) -> WebResponse | None:
        """What to say to a request that doesn't begin a WebSocket for XMPP (RFC 6455 section 4.2.2)."""
        headers = request.headers
        if request.method != "GET":
            return plain(405, {"Allow": "GET"})
        if request.length != 0:
            return plain(400)
        if "websocket" not in tokens(headers.get("upgrade", "")) or "upgrade" not in tokens(
            headers.get("connection", "")
        ):
            return plain(426, {"Upgrade": "websocket"})
        if headers.get("sec-websocket-version") != "13":
            return plain(426, {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
        if SUBPROTOCOL not in tokens(headers.get("sec-websocket-protocol", "")):
            return plain(400)
        origin = headers.get("origin")
        if not self._origins.allow(origin):
            log.info("refused: address={address} origin={origin!r}", address=request.address, origin=origin)
            return plain(403)
        return None

    def _connection(self, request: WebRequest, channel: WebChannel) -> WebSocketConnection:
        return WebSocketConnection(self._clients, request, channel.tlsFacts())


def usableFacts(facts: TLSFacts, headers: Mapping[str, str]) -> TLSFacts:
    """The facts of a TLS connection that a login may rest upon: not all of them in a browser."""
    if "origin" not in headers:
        return facts
    return replace(facts, channelBindings={}, peerCertificate=None, peerVerified=False)


class WebSocketConnection(ClientConnection):
    """
    One connection of a client that began as HTTP.
    """

    def __init__(self, shared: ClientFactory, request: WebRequest, facts: TLSFacts | None) -> None:
        """
        @param facts: those of the TLS connection with the client itself, or None.
        """
        super().__init__(shared)
        self.address = request.address
        self._secure = request.secure
        self._facts = None if facts is None else usableFacts(facts, request.headers)
        self._wire = Frames()
        self._message = bytearray()
        self._code = CloseReason.NORMAL_CLOSURE
        self._working = False
        self._frames = 0
        self._pinged = False
        self._sooner: Any = None
        self._pinger: Any = None

    # --- from the reactor

    def connectionMade(self) -> None:
        """The connection is ours now, and has been counted already."""
        shared = self._shared
        peer: Any = self.transport.getPeer()
        self.port = getattr(peer, "port", None) or 0
        self.since = shared.reception.clock.seconds()
        self._sendNow = None  # the socket may have TLS above it
        self._below = getattr(self.transport, "transport", None) or self.transport
        stream = self.stream = shared.makeStream(self, shared.reception)
        if self._facts is not None:
            stream.secured(self._facts)
        elif self._secure:
            stream.encrypted()
        self._counted = True
        shared.connections.add(self)
        self.transport.registerProducer(self, True)
        self._pinger = shared.reception.clock.callLater(PING_SECONDS, self._keepAlive)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.silent = 0.0
        self._pinged = False
        if self.awake != STIRRED:
            self._shared.rests.stirred(self)
        if self._closing is not None:
            self._unread += len(data)
            if self._unread > CLOSING_BYTES:
                self.abortConnection()
                return
        if self._wire.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            self._wire.received(data)
            self._work()
        limits = self._shared.reception.limits
        if limits.bytesPerSecond or limits.stanzasPerSecond:
            frames, self._frames = self._frames, 0
            self._paced(limits, len(data), frames)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        for call in (self._pinger, self._sooner):
            if call is not None and call.active():
                call.cancel()
        super().connectionLost(reason)

    # --- frames in

    def _work(self) -> None:
        """Act on what has come, as long as the stream wants to read and it doesn't take too long."""
        if self._working or self._gone:
            return
        self._working = True
        turns = self._shared.turns
        turns.reading = True
        try:
            self._actOnFrames()
        finally:
            self._working = False
            turns.endOfRead()

    def _actOnFrames(self) -> None:
        begun, acted = monotonic(), 0
        take = self._wire.take
        while (event := take()) is not None:
            if isinstance(event, bytes):
                self._whole(event)
            else:
                self._act(event)
                if not getattr(event, "frame_finished", True):
                    self._frames -= 1
            self._frames += 1
            acted += 1
            if self._gone or (self._pauses and self._closing is None):
                return
            if acted % SLICE == 0 and monotonic() - begun > SLICE_SECONDS:
                self._pauseForOthers()
                return

    def _pauseForOthers(self) -> None:
        """Go on in another turn of the reactor."""
        if self._sooner is None:
            self.pauseReading()
            self._sooner = self._shared.reception.clock.callLater(0, self._resumeSooner)

    def _resumeSooner(self) -> None:
        self._sooner = None
        self.resumeReading()

    def resumeReading(self) -> None:
        """See L{IStreamTransport}."""
        super().resumeReading()
        if not self._pauses:
            self._work()

    def _act(self, event: Event) -> None:
        """One frame, or a part of one."""
        if isinstance(event, CloseConnection):
            self._closed(event)
        elif self.stream.closed:
            return
        elif isinstance(event, TextMessage):
            self._text(event.data.encode(), event.message_finished)
        elif isinstance(event, Ping):
            super().write(self._wire.send(event.response()))
        elif isinstance(event, BytesMessage):
            self._fail(CloseReason.UNSUPPORTED_DATA, StreamCondition.BAD_FORMAT, "Messages have to be text.")

    def _whole(self, message: bytes) -> None:
        """A message that came whole."""
        stream = self.stream
        if stream.closed:
            return
        if len(message) > self._longest():
            self._text(message, True)
        else:
            stream.dataReceived(message)

    def _text(self, part: bytes, finished: bool) -> None:
        """A part of a message."""
        message = self._message
        if len(message) + len(part) > self._longest():
            self._fail(CloseReason.MESSAGE_TOO_BIG, StreamCondition.POLICY_VIOLATION, "The message is too big.")
        elif not finished:
            message += part
        elif message:
            self._message = bytearray()
            self.stream.dataReceived(bytes(message + part))
        else:
            self.stream.dataReceived(part)

    def _longest(self) -> int:
        """How many octets a message may have; fewer before the login."""
        limits = self._shared.reception.limits
        longest: int = limits.stanzaBytes
        return longest if self.stream.account is not None else min(longest, limits.unauthenticatedBytes)

    def _fail(self, code: CloseReason, condition: StreamCondition, text: str) -> None:
        """What came can't be taken: end the stream, and the WebSocket with the reason."""
        self._code = code
        self._message = bytearray()
        self.stream.close(StreamError(condition, text))

    def _closed(self, event: CloseConnection) -> None:
        """The client ends the WebSocket or has agreed to its end; or what came is none (RFC 6455 section 7)."""
        state = self._wire.state
        if state is ConnectionState.CLOSED:
            self._over()
        elif state is ConnectionState.REMOTE_CLOSING:
            super().write(self._wire.send(event.response()))
            self.stream.connectionLost()  # it may be resumed (RFC 7395 section 3.6)
            self._release()
            self.flush()
            self._over()
        elif self.stream.closed:
            self.abortConnection()
        else:
            code = CloseReason(event.code)
            self._fail(code, StreamCondition.NOT_WELL_FORMED, "That breaks the rules of WebSockets.")

    def _over(self) -> None:
        """Both sides have ended the WebSocket: the server closes the connection (RFC 6455 section 7.1.1)."""
        if self._closing is None:
            self._closing = self._shared.reception.clock.callLater(CLOSING_SECONDS, self.abortConnection)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # --- IStreamTransport

    def write(self, data: bytes) -> None:
        """See L{IStreamTransport}; one element is one message."""
        super().write(textFrame(standalone(data)))

    def loseConnection(self) -> None:
        """See L{IStreamTransport}; the client has a moment to agree."""
        if self._gone or self._closing is not None:
            return
        self._release()
        if self._wire.state is ConnectionState.OPEN:
            super().write(self._wire.send(CloseConnection(code=self._code)))
        self.flush()
        if self._gone:
            return
        if self._code is CloseReason.NORMAL_CLOSURE:
            self._closing = self._shared.reception.clock.callLater(CLOSING_SECONDS, self.abortConnection)
            if self._pauses:
                self.transport.resumeProducing()  # or the client's answer would not be seen
        elif self._below is self.transport:
            self._hangUp()  # nothing it sends can be understood any more (RFC 6455 section 7.1.7)
        else:
            self._over()

    def unsent(self) -> int:
        """See L{IStreamTransport}."""
        if self._gone:
            return 1
        waiting = sum(map(len, self._out)) + self._waitingBytes + transportQueue(self._below)
        waiting += sum(map(len, getattr(self.transport, "_appSendBuffer", ())))
        waiting += sum(map(len, getattr(getattr(self.transport, "_aggregator", None), "_buffer", ())))
        return waiting or kernelQueue(self._below)

    # --- whether the client is there

    def _keepAlive(self) -> None:
        """Ping a client that is silent; give one up that hasn't answered the last ping."""
        clock = self._shared.reception.clock
        if self._pinged:
            log.info("connection given up: address={address} reason=silent", address=self.address)
            self.abortConnection()
            return
        self._pinger = clock.callLater(PING_SECONDS, self._keepAlive)
        if self._wire.state is ConnectionState.OPEN and not self._pauses:
            self._pinged = True
            super().write(self._wire.send(Ping()))


