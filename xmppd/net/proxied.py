"""
Connections that a load balancer passes on, and that begin with the PROXY protocol.

A L{ProxiedFactory} stands before any other factory. A connection from a listed address has to begin with a header, and
only when that is complete does the other factory make a protocol, whose transport names the told peer. Connections
from elsewhere go to the other factory directly: who isn't listed can't tell a story, and costs nothing.

Twisted has a wrapper of its own; it makes the protocol before it knows whose it is, takes no header that comes in small
pieces, and lets some malformed ones fail with errors of all kinds.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from xmppd.ixmppd import IClock
from xmppd.wire.proxies import UNIX, Networks, isLoopback
from xmppd.wire.proxyheader import BadHeader, ProxyHeader

log = Logger(namespace="xmppd.net")

HEADER_SECONDS: Final = 10.0
"""How long a load balancer may take to say whom it speaks for."""


class ToldTransport:
    """
    A transport whose peer is somebody else than the socket's; otherwise the transport that it is given.
    """

    def __init__(self, transport: Any, peer: IAddress) -> None:
        self._transport = transport
        self._peer = peer
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def getPeer(self) -> IAddress:
        """Whom the load balancer has named."""
        return self._peer


class Introduction(Protocol):
    """
    The beginning of a connection from a load balancer; passes everything on once it is over.
    """

    def __init__(self, factory: Factory, clock: IClock) -> None:
        self._factory = factory
        self._header: ProxyHeader | None = ProxyHeader()
        self._inner: Any = None
        self._deadline: Any = clock.callLater(HEADER_SECONDS, self._tooSlow)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif self._header is not None:
            self._introduce(self._header, data)

    def _introduce(self, header: ProxyHeader, data: bytes) -> None:
        try:
            rest = header.feed(data)
        except BadHeader as error:
            self._refuse(str(error))
            return
        if not header.complete:
            return
        self._cancelDeadline()
        self._header = None
        transport: Any = self.transport
        if header.source is not None and self._isFromElsewhere(header.source[0]):
            address, port = header.source
            kind = IPv6Address if ":" in address else IPv4Address
            transport = ToldTransport(transport, kind("TCP", address, port))
        inner = self._factory.buildProtocol(transport.getPeer())
        if inner is None:
            self._abort()
            return
        self._inner = inner
        inner.makeConnection(transport)
        if rest:
            inner.dataReceived(rest)

    def _isFromElsewhere(self, told: str) -> bool:
        """
        Whether the connection is another's than the balancer's: on another machine its loopback isn't ours, which is
        trusted in other places.
        """
        peer: Any = self.transport and self.transport.getPeer()
        return not isLoopback(told) or isLoopback(getattr(peer, "host", UNIX))

    def _refuse(self, reason: str) -> None:
        peer: Any = self.transport and self.transport.getPeer()
        log.warn(
            "no PROXY header: address={address} reason={reason}", address=getattr(peer, "host", UNIX), reason=reason
        )
        self._header = None
        self._cancelDeadline()
        self._abort()

    def _tooSlow(self) -> None:
        self._refuse("it has not come")

    def _abort(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    def _cancelDeadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._cancelDeadline()
        self._header = None
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connectionLost(reason)


class ProxiedFactory(Factory):
    """
    Stands before another factory.
    """

    noisy = False

    def __init__(self, factory: Factory, balancers: Networks, clock: IClock) -> None:
        """
        @param balancers: from where connections have to begin with a header.
        """
        self._factory = factory
        self._balancers = balancers
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """See L{Factory}."""
        if (getattr(addr, "host", None) or UNIX) in self._balancers:
            return Introduction(self._factory, self._clock)
        return self._factory.buildProtocol(addr)

    def doStart(self) -> None:
        """See L{Factory}."""
        self._factory.doStart()

    def doStop(self) -> None:
        """See L{Factory}."""
        self._factory.doStop()


def proxied(factory: Any, balancers: Networks, clock: IClock) -> Any:
    """A factory behind load balancers, if there are any."""
    return ProxiedFactory(factory, balancers, clock) if balancers else factory
