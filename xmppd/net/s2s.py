"""
Connections between servers: those that come (L{PeerConnection}) and those that we make (L{DialledConnection}).

Both are what a client's connection is (L{xmppd.net.c2s}), with the streams of L{xmppd.stream.incoming} and
L{xmppd.stream.outgoing}: writes joined per turn, pace, back-pressure, a patient close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory as DiallingFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.net.c2s import ClientConnection, ClientFactory, reasonOf
from xmppd.net.peertls import ConnectingLayer, PeerTLS
from xmppd.net.resolver import Place
from xmppd.stream.outgoing import OutgoingStream
from xmppd.stream.s2s import Premises, ServerStream
from xmppd.trust.dane import Endpoint
from xmppd.trust.pkix import presentedChain
from xmppd.wire.errors import StanzaCondition, StanzaError

log = Logger(namespace="xmppd.s2s")


class PeerConnection(ClientConnection):
    """
    A connection that another server has made.

    @ivar endpoint: what the DNS says of the other end; None, since nobody knows which end that is.
    """

    endpoint: Endpoint | None = None
    place: Place | None = None

    def connectionMade(self) -> None:
        """See L{ClientConnection}."""
        keepAlive(self.transport)
        super().connectionMade()


class PeerFactory(ClientFactory):
    """What the connections of a listener for servers share."""

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """See L{ClientFactory}."""
        return PeerConnection(self)


class DialledConnection(PeerConnection):
    """
    A connection that we have made to another server.

    @ivar endpoint: what the DNS says of the place it was made to.
    @ivar place: that place.
    @ivar ready: fires with the stream when the connection is there; fails with what the reactor says.
    @ivar socketOptions: see L{xmppd.ixmppd.IHost}.
    """

    def __init__(
        self,
        shared: ClientFactory,
        premises: Premises,
        peerTLS: PeerTLS,
        local: str,
        remote: str,
        place: Place,
        endpoint: Endpoint | None,
        tryTLS: bool = True,
    ) -> None:
        super().__init__(shared)
        self.endpoint = endpoint
        self.place = place
        self.ready: Deferred[OutgoingStream] = Deferred()
        self.socketOptions: Sequence[tuple[int, int, int]] = ()
        self._premises = premises
        self._peerTLS = peerTLS
        self._local = local
        self._remote = remote
        self._tryTLS = tryTLS

    def connectionMade(self) -> None:
        """See L{ClientConnection}; nobody has to be admitted."""
        peer: Any = self.transport.getPeer()
        self.address = getattr(peer, "host", None) or "unix"
        self.port = getattr(peer, "port", None) or 0
        shared = self._shared
        self.since = shared.reception.clock.seconds()
        self.transport.setTcpNoDelay(True)
        keepAlive(self.transport)
        for option in self.socketOptions:
            self.transport.getHandle().setsockopt(*option)
        self._sendNow = getattr(getattr(self.transport, "socket", None), "send", None)
        stream = OutgoingStream(self, self._premises, self._local, self._remote, self._tryTLS)
        self.stream: Any = stream
        shared.connections.add(self)
        self.transport.registerProducer(self, True)
        assert self.place is not None
        if self.place.target.direct:
            self.startTLS(self._local)
        else:
            stream.begin()
        self.ready.callback(stream)

    def startTLS(self, domain: str) -> None:
        """Begin the client's side of a TLS handshake, with the certificate of that domain of ours."""
        self._release()
        self.flush()
        assert self.place is not None
        layer = ConnectingLayer(self._peerTLS.connecting(domain, self._remote, self.place.target.direct))
        self._tls = layer
        self.transport.write(layer.begin())

    def canStartTLS(self, domain: str) -> bool:
        """Whether the other side could ask for TLS: no."""
        return False

    def _tlsFailed(self, error: SSL.Error) -> None:
        if self.stream.failure is None:
            reason = f"TLS with the other server has failed: {reasonOf(error)}."
            self.stream.failure = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, reason)
        super()._tlsFailed(error)

    def connectionLost(self, reason: Any = None) -> None:
        """See L{ClientConnection}."""
        self._shared.connections.discard(self)
        super().connectionLost()


def keepAlive(transport: Any) -> None:
    """Have the kernel notice peers that are gone without a word."""
    setKeepAlive = getattr(transport, "setTcpKeepAlive", None)
    if setKeepAlive is not None:
        setKeepAlive(True)


class Dialling(DiallingFactory):
    """One attempt to connect."""

    noisy = False

    def __init__(self, connection: DialledConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """See L{DiallingFactory}."""
        return self._connection

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See L{DiallingFactory}."""
        self._connection.ready.errback(reason)


def isCalled(stream: ServerStream, remote: str) -> bool:
    """Whether we have opened a stream, and for that domain."""
    return stream.direction == "out" and stream.remote == remote


def certificateOn(stream: ServerStream) -> bytes | None:
    """DER of the certificate that the peer has shown, or None. It can't change on a stream: nobody renegotiates."""
    return stream.tls.peerCertificate if stream.tls is not None else None


def shownOn(stream: ServerStream) -> tuple[bytes, ...]:
    """DER of the certificates that the peer has shown, its own first."""
    connection = cast(PeerConnection, stream.transport).tlsConnection
    return () if connection is None else presentedChain(connection)
