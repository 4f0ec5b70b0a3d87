"""
Client connections: the adapter between the reactor and L{xmppd.stream.c2s.ClientStream} (hops 1 and 8).

A connection owns its socket's transport and, once there is TLS, a L{xmppd.net.tls.TLSLayer} between the two. Bytes of
the socket go through the layer into the stream; what the stream writes is held back until the end of the reactor's
turn, joined, encrypted and written at once.

A client that doesn't read is noticed by the transport's back-pressure: from then on its bytes wait here, where they
are counted, and over C{limits.sendQueueBytes} the connection is given up; what has waited then is for the stream to
judge. Reading pauses for a client that sends more
than its pace allows.

We end our side of a connection first and read on, throwing away what comes, until the client ends its own side or
L{CLOSING_SECONDS} have passed: a socket that is closed while there is input nobody has read resets the connection, and
the client might never see why.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.ixmppd import IReception, IStreamTransport
from xmppd.net.admission import Admission
from xmppd.net.rest import RESTING, STIRRED, Rests
from xmppd.net.tls import NoCertificate, ServerTLS, TLSLayer
from xmppd.net.turns import Turns
from xmppd.stream.c2s import ClientStream
from xmppd.trust.tlspolicy import tlsFacts
from xmppd.wire.errors import StreamCondition, StreamError

log = Logger(namespace="xmppd.net")

SIOCOUTQ = termios.TIOCOUTQ

CLOSING_SECONDS = 5.0
"""How long a peer may take to read our last words, and to end its side, before the connection is cut."""

CLOSING_BYTES = 1 << 20
"""How much a peer may send meanwhile."""


class Pace:
    """
    A token bucket for bytes and stanzas: how long reading has to pause after a chunk.
    """

    __slots__ = ("_bytes", "_last", "_stanzas")

    def __init__(self, now: float) -> None:
        self._last = now
        self._bytes = 0.0
        self._stanzas = 0.0

    def spent(self, limits: Any, now: float, octets: int, stanzas: int) -> float:
        """
        Count what has come; answer for how many seconds nothing more should be read.
        """
        elapsed = now - self._last
        self._last = now
        self._bytes = max(0.0, self._bytes - elapsed * limits.bytesPerSecond) + octets
        self._stanzas = max(0.0, self._stanzas - elapsed * limits.stanzasPerSecond) + stanzas
        pause = 0.0
        if limits.bytesPerSecond:
            pause = (self._bytes - limits.burstBytes) / limits.bytesPerSecond
        if limits.stanzasPerSecond:
            pause = max(pause, (self._stanzas - limits.burstStanzas) / limits.stanzasPerSecond)
        return pause


@implementer(IStreamTransport, IPushProducer)
class ClientConnection(Protocol):
    """
    One connection of a client.

    @ivar stream: its stream.
    @ivar silent: for how many seconds nothing has come, as far as the sweep over all connections has counted.
    @ivar asked: whether the client is being asked if it is there.
    @ivar awake: see L{Rests}.
    @ivar since: when it was made, in the clock's seconds.
    """

    __slots__ = (
        "__provides__",
        "_closing",
        "_counted",
        "_gone",
        "_held",
        "_out",
        "_pace",
        "_pauses",
        "_sendNow",
        "_shared",
        "_slowed",
        "_startTLS",
        "_tls",
        "_unread",
        "_waiting",
        "_waitingBytes",
        "address",
        "asked",
        "awake",
        "port",
        "silent",
        "since",
        "stream",
    )

    transport: Any

    def __init__(self, shared: ClientFactory) -> None:
        self._shared = shared
        self._out: list[bytes] = []
        self._waiting: list[bytes] = []
        self._waitingBytes = 0
        self._unread = 0
        self._tls: TLSLayer | None = None
        self._startTLS: str | None = None
        self._closing: Any = None
        self._gone = False
        self._held = False
        self._counted = False
        self._pauses = 0
        self._slowed: Any = None
        self._pace: Pace | None = None
        self.silent = 0.0
        self.asked = False
        self.awake = RESTING

    @property
    def tlsConnection(self) -> SSL.Connection | None:
        """The connection of OpenSSL, or None without TLS."""
        return self._tls.connection if self._tls is not None else None

    # --- from the reactor

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        peer: Any = self.transport.getPeer()
        self.address: str = getattr(peer, "host", None) or "unix"
        self.port: int = getattr(peer, "port", None) or 0
        shared = self._shared
        self.since = shared.reception.clock.seconds()
        refusal = shared.admission.connected(self.address)
        setNoDelay = getattr(self.transport, "setTcpNoDelay", None)
        if setNoDelay is not None:
            setNoDelay(True)
        self._sendNow = getattr(getattr(self.transport, "socket", None), "send", None)
        self.stream = shared.makeStream(self, shared.reception)
        if refusal is not None:
            log.info("connection refused: address={address} reason={reason}", address=self.address, reason=refusal)
            self._refuse(StreamError(StreamCondition.POLICY_VIOLATION, f"There are {refusal}."))
            return
        self._counted = True
        shared.connections.add(self)
        self.transport.registerProducer(self, True)
        if shared.direct is not None:
            self._tls = TLSLayer(shared.direct)

    def _refuse(self, error: StreamError) -> None:
        """Say why, and don't wait for anything: these connections aren't counted."""
        if self._shared.direct is None:
            self.stream.close(error)
            self.transport.loseConnection()
        else:
            self.stream.connectionLost()
            self.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self.silent = 0.0
        if self.awake != STIRRED:
            self._shared.rests.stirred(self)
        octets = len(data)
        if self._tls is not None:
            plain = self._decrypted(data)
            if plain is None:
                return
            data = plain
        stream = self.stream
        before = stream.stanzasIn
        if data:
            turns = self._shared.turns
            turns.reading = True
            stream.dataReceived(data)  # catches whatever goes wrong
            turns.endOfRead()
        limits = self._shared.reception.limits
        if limits.bytesPerSecond or limits.stanzasPerSecond:
            self._paced(limits, octets, stream.stanzasIn - before)
        if self._tls is not None and self._tls.ended:
            self.loseConnection()

    def _decrypted(self, data: bytes) -> bytes | None:
        """Plaintext of what came, or None if TLS has failed; lets TLS say what it has to say."""
        tls = self._tls
        assert tls is not None
        before = tls.established
        try:
            plain = tls.received(data)
        except SSL.Error as error:
            self._tlsFailed(error)
            return None
        if not plain or tls.large:
            # with plaintext there is nothing urgent: an answer to a key update goes with what is written next
            answer = tls.outgoing()
            if answer:
                self.transport.write(answer)
        if tls.established and not before:
            self.stream.secured(tlsFacts(tls.connection))
        return plain

    def _tlsFailed(self, error: SSL.Error) -> None:
        """Send TLS's alert and go."""
        log.info("TLS failed: address={address} reason={reason}", address=self.address, reason=reasonOf(error))
        tls, self._tls = self._tls, None
        self._forget()
        if tls is not None:
            alert = tls.outgoing()
            if alert:
                self.transport.write(alert)
        self._gone = True
        self.stream.connectionLost()
        self._hangUp()

    def _paced(self, limits: Any, octets: int, stanzas: int) -> None:
        """Pause reading if more has come than the pace allows."""
        now = self._shared.reception.clock.seconds()
        if self._pace is None:
            self._pace = Pace(now)
        pause = self._pace.spent(limits, now, octets, stanzas)
        if pause > 0 and self._slowed is None and self._closing is None and not self._gone:
            self.pauseReading()
            self._slowed = self._shared.reception.clock.callLater(pause, self._goOn)

    def _goOn(self) -> None:
        self._slowed = None
        self.resumeReading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._gone = True
        self._forget()
        self._shared.rests.gone(self)
        for call in (self._closing, self._slowed):
            if call is not None and call.active():
                call.cancel()
        self._closing = self._slowed = None
        if self._counted:
            self._counted = False
            self._shared.connections.discard(self)
            self._shared.admission.disconnected(self.address)
        self.stream.connectionLost()
        self._tls = None

    # --- IStreamTransport

    def write(self, data: bytes) -> None:
        """See L{IStreamTransport}."""
        out = self._out
        if not out:
            self._shared.turns.mark(self)
        out.append(data)

    def flush(self) -> None:
        """Write what was held back in this turn, unless the client doesn't read."""
        out = self._out
        if not out or self._gone:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self._held:
            self._wait(data)
            return
        if self._tls is not None:
            if not self._tls.established:
                return  # there is nobody who could read it
            try:
                data = self._tls.sending(data)
            except SSL.Error as error:
                self._tlsFailed(error)
                return
        self._send(data)

    def _send(self, data: bytes) -> None:
        """
        Write to the socket. If nothing is queued before it, at once: the reactor's own way takes two more of its turns
        and two more system calls.
        """
        transport = self.transport
        sendNow = self._sendNow
        if sendNow is None or not transport.connected or transport.disconnecting or transportQueue(transport):
            transport.write(data)
            return
        try:
            sent = sendNow(data)
        except OSError:
            sent = 0  # a full socket, or an error that the reactor will meet too, and knows what to do
        if sent < len(data):
            transport.write(data[sent:])

    def _wait(self, data: bytes) -> None:
        """The client doesn't read: keep it, if that is not too much."""
        self._waiting.append(data)
        self._waitingBytes += len(data)
        if self._waitingBytes > self._shared.reception.limits.sendQueueBytes:
            log.info("connection given up: address={address} reason=does not read", address=self.address)
            waiting = b"".join(self._waiting)
            self._forget()
            self.stream.unread(waiting)

    def _release(self) -> None:
        """What has waited is to be written with the next flush."""
        self._held = False
        if self._waiting:
            if not self._out:
                self._shared.turns.mark(self)
            self._out[:0] = self._waiting
            self._waiting = []
            self._waitingBytes = 0

    def _forget(self) -> None:
        """Nothing of what waits will be written."""
        self._out.clear()
        self._waiting.clear()
        self._waitingBytes = 0

    def startTLS(self, domain: str) -> None:
        """See L{IStreamTransport}."""
        self._release()
        self.flush()
        serverTLS = self._shared.serverTLS
        assert serverTLS is not None  # canStartTLS has said so
        try:
            self._tls = TLSLayer(serverTLS.forStream(domain))
        except NoCertificate:
            self.abortConnection()

    def canStartTLS(self, domain: str) -> bool:
        """See L{IStreamTransport}."""
        serverTLS = self._shared.serverTLS
        return self._tls is None and serverTLS is not None and serverTLS.certificateFor(domain) is not None

    def loseConnection(self) -> None:
        """See L{IStreamTransport}."""
        if self._gone or self._closing is not None:
            return
        self._release()
        self.flush()
        if self._gone:
            return
        if self._tls is not None:
            last = self._tls.close()
            if last:
                self.transport.write(last)
        self._hangUp()

    def _hangUp(self) -> None:
        """End our side of the connection, and wait a while for the client's."""
        self._closing = self._shared.reception.clock.callLater(CLOSING_SECONDS, self.abortConnection)
        self.dataReceived = self._discard  # type: ignore[method-assign]
        transport = self.transport
        transport.unregisterProducer()
        loseWriteConnection = getattr(transport, "loseWriteConnection", None)
        if loseWriteConnection is None:
            transport.loseConnection()
            return
        loseWriteConnection()
        if self._pauses:
            transport.resumeProducing()  # or the client's end would not be seen

    def _discard(self, data: bytes) -> None:
        """The client has not noticed yet that we have gone."""
        self._unread += len(data)
        if self._unread > CLOSING_BYTES:
            self.abortConnection()

    def abortConnection(self) -> None:
        """See L{IStreamTransport}."""
        self._forget()
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """
        Both the reactor's word that the client doesn't read (as L{IPushProducer}), and nothing else: a stream that
        wants to read no more says L{pauseReading}.
        """
        self._held = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._release()

    def stopProducing(self) -> None:
        """The reactor will write no more."""

    def pauseReading(self) -> None:
        """See L{IStreamTransport}."""
        self._pauses += 1
        if self._pauses == 1 and self._closing is None and not self._gone:
            self.transport.pauseProducing()

    def resumeReading(self) -> None:
        """See L{IStreamTransport}."""
        self._pauses -= 1
        if self._pauses == 0 and not self._gone:
            self.transport.resumeProducing()

    def unsent(self) -> int:
        """See L{IStreamTransport}."""
        if self._gone:
            return 1
        waiting = sum(map(len, self._out)) + self._waitingBytes + transportQueue(self.transport)
        return waiting or kernelQueue(self.transport)


def reasonOf(error: SSL.Error) -> str:
    """What OpenSSL says about a failure, in a few words."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue and isinstance(queue[-1], tuple):
        return str(queue[-1][-1])
    return "the connection ended"


def transportQueue(transport: Any) -> int:
    """How many bytes wait in Twisted's transport."""
    waiting = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return int(waiting + getattr(transport, "_tempDataLen", 0))


def kernelQueue(transport: Any) -> int:
    """How many bytes the peer's kernel has not acknowledged; 0 where the platform can't say."""
    getHandle = getattr(transport, "getHandle", None)
    if getHandle is None:
        return 0
    try:
        answer = fcntl.ioctl(getHandle().fileno(), SIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


class ClientFactory(Factory):
    """
    What the connections of one listener share.

    @ivar connections: those that are open.
    @ivar direct: the creator for direct TLS, or None for STARTTLS.
    @ivar rests: who of them is awake.
    @ivar makeStream: makes the stream of a connection.
    """

    noisy = False

    def __init__(
        self,
        reception: IReception,
        admission: Admission,
        turns: Turns,
        serverTLS: ServerTLS | None,
        direct: Any = None,
        connections: set[ClientConnection] | None = None,
        makeStream: Callable[[ClientConnection, IReception], Any] = ClientStream,
    ) -> None:
        self.makeStream = makeStream
        self.reception = reception
        self.admission = admission
        self.turns = turns
        self.serverTLS = serverTLS
        self.direct = direct
        self.rests = Rests(reception.clock)
        self.connections: set[ClientConnection] = set() if connections is None else connections

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """See L{Factory}."""
        return ClientConnection(self)


def eachStream(connections: set[ClientConnection]) -> list[ClientStream]:
    """The streams of these connections."""
    return [connection.stream for connection in connections]
