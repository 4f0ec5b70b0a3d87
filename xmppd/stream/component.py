"""
The stream of an external component, without I/O (XEP-0114).

The header's C{to} names the component; a digest over the stream id and a shared secret proves it. From then on the
component is the L{IDestination} of its domain and may send from every address there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.ixmppd import IDestination, IReception, IRouter, IStreamTransport
from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute
from xmppd.wire.errors import (
    ErrorType,
    PeerError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza, iqMistake
from xmppd.wire.xmlstream import Event, ParserLimits, StreamEnd, StreamHeader, XMLStreamParser

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.component")

HANDSHAKE = ns.COMPONENT_ACCEPT + " handshake"

FORGERIES = frozenset({f"{ns.NAMES} warning"})
"""By which only the server itself warns its users."""


def digest(streamId: str, secret: str) -> str:
    """What proves that a component knows the secret (XEP-0114 section 3)."""
    return hashlib.sha1((streamId + secret).encode(), usedforsecurity=False).hexdigest()


@implementer(IDestination)
class Component:
    """
    A configured component, connected or not: the door of its domain.

    @ivar stream: its stream, or None.
    """

    def __init__(self, domain: str, secret: str, router: IRouter) -> None:
        self.domain = domain
        self.secret = secret
        self.stream: ComponentStream | None = None
        self._router = router

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}. While the component is away, senders are told to try again later."""
        if self.stream is not None:
            self.stream.transmit(stanza)
        elif stanza.kind != "presence" or stanza.type in ("subscribe", "probe"):
            reason = "The component is not connected."
            self._router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, reason, ErrorType.WAIT))


class ComponentStream:
    """
    One connection of a component.

    @ivar component: the component, once the header has named it.
    @ivar established: whether it has proved who it is.
    """

    def __init__(
        self, transport: IStreamTransport, reception: IReception, components: Mapping[str, Component], router: IRouter
    ) -> None:
        self.transport = transport
        self.address = transport.address
        self.component: Component | None = None
        self.established = False
        self.closed = False
        self.id = reception.entropy.token()
        self.stanzasIn = 0
        self.bytesIn = 0
        self.tls = None
        self.session = None
        self._reception = reception
        self._components = components
        self._route = router.route
        self._router = router
        self._headerSent = False
        limits = reception.limits
        self._parser = XMLStreamParser(
            ParserLimits(stanzaBytes=limits.stanzaBytes, headBytes=limits.headBytes, depth=limits.depth),
            frozenset({ns.COMPONENT_ACCEPT}),
        )
        self.receive: Callable[[Event], None] = self._awaitHeader
        self._deadline: IDelayedCall | None = reception.clock.callLater(limits.unauthenticatedSeconds, self._tooSlow)

    # --- from the component

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the component."""
        if self.closed:
            return
        self.bytesIn += len(data)
        try:
            events = self._parser.feed(data)
            self.stanzasIn += len(events)
            for event in events:
                self.receive(event)
        except StreamError as error:
            self.close(error)
        except PeerError as error:
            self.close(StreamError(StreamCondition.UNDEFINED_CONDITION, str(error)))
        except Exception:
            log.failure("stream {id}: a mistake of the server", Failure(), id=self.id)
            self.close(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))
        else:
            if self._parser.error is not None:
                self.close(self._parser.error)

    def _ignore(self, event: Event) -> None:
        """The stream is closed."""

    def _awaitHeader(self, event: Event) -> None:
        if not isinstance(event, StreamHeader):
            raise StreamError(StreamCondition.BAD_FORMAT, "A stream header was due.")
        component = self._components.get(domainOf(event.to))
        self._sendHeader(event.to if component is None else component.domain)
        if component is None:
            raise StreamError(StreamCondition.HOST_UNKNOWN)
        self.component = component
        self.receive = self._awaitHandshake

    def _sendHeader(self, domain: str | None) -> None:
        self._headerSent = True
        source = f" from='{escapeAttribute(domain)}'" if domain else ""
        self.transport.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.COMPONENT_ACCEPT}' xmlns:stream='{ns.STREAMS}'"
            f" id='{self.id}'{source}>".encode()
        )

    def _awaitHandshake(self, event: Event) -> None:
        if isinstance(event, StreamEnd):
            self.close()
            return
        component = self.component
        assert component is not None
        if not isinstance(event, Stanza) or event.name != HANDSHAKE:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "The handshake was due.")
        if not self._proves(component, event):
            self._reception.authenticationFailed(self.address)
            log.warn(
                "authentication failed: address={address} domain={domain} mechanism=handshake user='' reason={reason}",
                address=self.address,
                domain=component.domain,
                reason="wrong secret",
            )
            raise StreamError(StreamCondition.NOT_AUTHORIZED)
        if component.stream is not None:
            raise StreamError(StreamCondition.CONFLICT, "The component is connected already.")
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        component.stream = self
        self.established = True
        self.receive = self._received
        self.transport.write(b"<handshake/>")
        log.info(
            "component connected: domain={domain} address={address}", domain=component.domain, address=self.address
        )

    def _proves(self, component: Component, handshake: Stanza) -> bool:
        """Whether the digest is right; with too many failures from an address nothing is."""
        if not component.secret or not self._reception.mayAuthenticate(self.address):
            return False
        given = handshake.element().text.strip().encode()
        return hmac.compare_digest(given, digest(self.id, component.secret).encode())

    def _received(self, event: Event) -> None:
        """A stanza of the connected component."""
        if isinstance(event, StreamEnd):
            self.close()
            return
        if not isinstance(event, Stanza) or not event.kind:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)
        component = self.component
        assert component is not None
        sender, to = event.attrs.get("from"), event.attrs.get("to")
        if not sender or not to:
            raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "A stanza here needs both from and to.")
        if domainOf(sender) != component.domain:
            raise StreamError(StreamCondition.INVALID_FROM)
        mistake = iqMistake(event) if event.kind == "iq" else None
        if mistake is not None:
            if event.type != "error":
                self.transmit(event.error(mistake))
            return
        event.strip(FORGERIES)
        self._route(event)

    # --- to the component

    def transmit(self, stanza: Stanza) -> None:
        """Send a stanza."""
        self.transport.write(stanza.forNamespace(ns.COMPONENT_ACCEPT))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def rest(self) -> None:
        """Components are few."""

    def secured(self, tls: Any) -> None:
        """Direct TLS is in place."""
        self.tls = tls

    # --- the end

    def _tooSlow(self) -> None:
        self.close(StreamError(StreamCondition.CONNECTION_TIMEOUT))

    def close(self, error: StreamError | None = None) -> None:
        """Send an error if there is one, end the stream, close the connection."""
        if self.closed:
            return
        if not self._headerSent:
            self._sendHeader(None)
        self.transport.write((b"" if error is None else error.toBytes()) + b"</stream:stream>")
        self._over()
        self.transport.loseConnection()

    def unread(self, waiting: bytes) -> None:
        """The component doesn't read, and too much waits for it."""
        self.transport.abortConnection()

    def connectionLost(self) -> None:
        """The connection is gone."""
        if not self.closed:
            self._over()

    def _over(self) -> None:
        self.closed = True
        self.receive = self._ignore
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self.component is not None and self.component.stream is self:
            self.component.stream = None
            log.info("component disconnected: domain={domain}", domain=self.component.domain)


def domainOf(address: str | None) -> str:
    """The domain of an address as canonical text; empty if it is none."""
    if not address:
        return ""
    try:
        return parse(address).domain
    except JIDMalformed:
        return ""
