"""
TLS with Python's own C{ssl} module as the client, over loopback: another OpenSSL, another programme's idea of TLS.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.marks import spec
from xmppd.ixmppd import TLSFacts
from xmppd.net.tls import CLIENT_PROTOCOL, ServerTLS, TLSLayer, wrapDirect
from xmppd.trust.certificates import loadCertificates
from xmppd.trust.selfsigned import makeCertificates
from xmppd.trust.tlspolicy import TLSPolicy, tlsFacts

TIMEOUT = 10


class Layered(Protocol):
    """Echoes, by a L{TLSLayer} between itself and the socket."""

    def __init__(self, creator: Any, seen: list[TLSFacts]) -> None:
        self.layer = TLSLayer(creator)
        self.seen = seen

    def dataReceived(self, data: bytes) -> None:
        """Decrypt, answer, encrypt."""
        assert self.transport is not None
        before = self.layer.established
        try:
            plain = self.layer.received(data)
        except SSL.Error:
            self.transport.write(self.layer.outgoing())
            self.transport.loseConnection()
            return
        self.transport.write(self.layer.outgoing())
        if self.layer.established and not before:
            self.seen.append(tlsFacts(self.layer.connection))
        if plain:
            self.transport.write(self.layer.sending(plain))
        if self.layer.ended:
            self.transport.write(self.layer.close())
            self.transport.loseConnection()


@implementer(IHandshakeListener)
class Wrapped(Protocol):
    """Echoes, by Twisted's TLS transport; begins STARTTLS at once if there is a creator."""

    def __init__(self, creator: Any, seen: list[TLSFacts]) -> None:
        self.creator = creator
        self.seen = seen

    def connectionMade(self) -> None:
        """Start TLS."""
        if self.creator is not None:
            self.transport.startTLS(self.creator)  # type: ignore[union-attr]

    def handshakeCompleted(self) -> None:
        """Note the facts."""
        self.seen.append(tlsFacts(self.transport.getHandle()))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(data)  # type: ignore[union-attr]


class PythonClientTests(TestCase):
    """Python's client against each way of serving TLS."""

    def setUp(self) -> None:
        """Certificates, a server, three listeners."""
        self.folder = Path(self.mktemp())
        now = time.time()
        self.files = makeCertificates(["a.example", "b.example"], self.folder, now)
        self.tls = ServerTLS(loadCertificates(self.folder, now), reactor)  # type: ignore[arg-type]
        self.seen: list[TLSFacts] = []
        direct = self.tls.forDirect(CLIENT_PROTOCOL)
        self.ports = {
            "layer": self.listen(lambda: Layered(direct, self.seen)),
            "stream": self.listen(lambda: Wrapped(self.tls.forStream("a.example"), self.seen)),
            "direct": self.listen(lambda: Wrapped(None, self.seen), lambda factory: wrapDirect(factory, direct)),
        }

    def listen(self, make: Callable[[], Protocol], wrap: Callable[[Factory], Any] = lambda factory: factory) -> int:
        """Listen on any port and answer it."""
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda address: make()  # type: ignore[method-assign]
        port = reactor.listenTCP(0, wrap(factory), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def context(self) -> ssl.SSLContext:
        """A client that trusts the two certificates and checks names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in self.files:
            context.load_verify_locations(str(file))
        return context

    def talk(self, kind: str, context: ssl.SSLContext, name: str, size: int = 40_000) -> Deferred[Any]:
        """Connect, have something echoed, and answer version, binding, ALPN and certificate; in a thread."""

        def blocking() -> Any:
            with socket.create_connection(("127.0.0.1", self.ports[kind]), TIMEOUT) as plain:
                with context.wrap_socket(plain, server_hostname=name) as client:
                    client.sendall(b"x" * size)
                    left = size
                    while left:
                        left -= len(client.recv(left))
                    unique = client.get_channel_binding("tls-unique")
                    return client.version(), unique, client.selected_alpn_protocol(), client.getpeercert(True)

        return deferToThread(blocking)

    @inlineCallbacks
    def test_verified(self) -> Any:
        """A client that verifies chain and name is content, and both sides agree on what was shown."""
        for kind in self.ports:
            version, _, _, shown = yield self.talk(kind, self.context(), "a.example")
            facts = self.seen.pop()
            self.assertEqual((version, facts.version, facts.serverName), ("TLSv1.3", "TLSv1.3", "a.example"))
            self.assertEqual(facts.channelBindings["tls-server-end-point"], hashlib.sha256(shown).digest())

    @inlineCallbacks
    def test_names(self) -> Any:
        """Direct TLS serves each name with its certificate."""
        for kind in ("layer", "direct"):
            yield self.talk(kind, self.context(), "b.example")
            self.assertEqual(self.seen.pop().serverName, "b.example")

    @spec("RFC 5929", "3")
    @inlineCallbacks
    def test_unique(self) -> Any:
        """Under TLS 1.2 the client has the same tls-unique, in full handshakes."""
        for kind in self.ports:
            context = self.context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            version, unique, _, _ = yield self.talk(kind, context, "a.example")
            self.assertEqual(version, "TLSv1.2")
            self.assertEqual(self.seen.pop().channelBindings["tls-unique"], unique)

    @spec("XEP-0368")
    @inlineCallbacks
    def test_protocol(self) -> Any:
        """ALPN is answered on direct TLS and not on STARTTLS."""
        for kind, answer in (("layer", "xmpp-client"), ("direct", "xmpp-client"), ("stream", None)):
            context = self.context()
            context.set_alpn_protocols(["xmpp-client"])
            _, _, protocol, _ = yield self.talk(kind, context, "a.example")
            self.assertEqual(protocol, answer)

    @spec("RFC 9325", "3.1.1", "3.7", "3.8")
    @inlineCallbacks
    def test_refused(self) -> Any:
        """Unknown names, other protocols and old versions are refused with an alert that says so."""
        other = self.context()
        other.set_alpn_protocols(["h2"])
        old = self.context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        static = self.context()
        static.set_ciphers("kRSA")
        static.maximum_version = ssl.TLSVersion.TLSv1_2
        for kind in ("layer", "direct"):
            for context, name, reason in (
                (self.context(), "c.example", "UNRECOGNIZED_NAME"),
                (other, "a.example", "NO_APPLICATION_PROTOCOL"),
                (old, "a.example", "PROTOCOL_VERSION"),
                (static, "a.example", "HANDSHAKE_FAILURE"),
            ):
                error = yield self.assertFailure(self.talk(kind, context, name), ssl.SSLError)
                self.assertIn(reason, str(error).upper().replace(" ", "_"))
        self.assertEqual(self.seen, [])

    @inlineCallbacks
    def test_reloaded(self) -> Any:
        """A certificate made anew is shown to the next client."""
        _, _, _, before = yield self.talk("layer", self.context(), "a.example")
        makeCertificates(["a.example"], self.folder, time.time())
        self.assertEqual(list(self.tls.reload(self.folder)), [])
        _, _, _, after = yield self.talk("layer", self.context(), "a.example")
        self.assertNotEqual(before, after)


class TicketTests(TestCase):
    """Resumption by tickets, as Python's client does it."""

    def setUp(self) -> None:
        """Certificates; a clock of our own for the keys, as OpenSSL has its own for the life of sessions."""
        self.folder = Path(self.mktemp())
        self.clock = Clock()
        self.clock.advance(time.time())
        self.files = makeCertificates(["a.example", "b.example"], self.folder, self.clock.seconds())

    def serve(self, **policy: Any) -> None:
        """Listen on direct TLS."""
        certificates = loadCertificates(self.folder, self.clock.seconds())
        tls = ServerTLS(certificates, self.clock, TLSPolicy(**policy))
        factory = Factory()
        factory.noisy = False
        direct = tls.forDirect(CLIENT_PROTOCOL)
        factory.buildProtocol = lambda address: Layered(direct, [])  # type: ignore[method-assign]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        self.port = int(port.getHost().port)

    def visit(self, context: ssl.SSLContext, name: str, session: Any = None) -> Deferred[tuple[Any, bool]]:
        """Connect, have something echoed, and answer the session, and whether it was one from before; in a thread."""

        def blocking() -> tuple[Any, bool]:
            with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as plain:
                with context.wrap_socket(plain, server_hostname=name, session=session) as client:
                    client.sendall(b"x")
                    client.recv(1)
                    return client.session, bool(client.session_reused)

        return deferToThread(blocking)

    def contexts(self) -> list[ssl.SSLContext]:
        """Clients of both versions."""
        made = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = context.maximum_version = version
            for file in self.files:
                context.load_verify_locations(str(file))
            made.append(context)
        return made

    @spec("RFC 9325", "3.4")
    @spec("mission", "T6")
    @inlineCallbacks
    def test_rotated(self) -> Any:
        """A ticket works until the keys are changed, and not after that; then new ones work."""
        self.serve()
        for context in self.contexts():
            session, reused = yield self.visit(context, "a.example")
            self.assertFalse(reused)
            self.assertTrue(session.has_ticket)
            self.assertLessEqual(session.ticket_lifetime_hint, TLSPolicy().ticketLife)
            self.clock.advance(TLSPolicy().contextLife - 60)
            self.assertTrue((yield self.visit(context, "a.example", session))[1])
            self.clock.advance(60)
            fresh, reused = yield self.visit(context, "a.example", session)
            self.assertFalse(reused)
            self.assertTrue((yield self.visit(context, "a.example", fresh))[1])
            self.clock.advance(TLSPolicy().contextLife)

    @spec("RFC 9325", "3.4")
    @spec("mission", "T6")
    @inlineCallbacks
    def test_over(self) -> Any:
        """A ticket's life ends though its key is still there."""
        self.serve(ticketLife=2)
        sessions = []
        for context in self.contexts():
            session, _ = yield self.visit(context, "a.example")
            self.assertTrue((yield self.visit(context, "a.example", session))[1])
            sessions.append((context, session))
        yield deferLater(reactor, 3.5, lambda: None)  # type: ignore[arg-type]
        for context, session in sessions:
            self.assertFalse((yield self.visit(context, "a.example", session))[1])

    @spec("RFC 6066", "3")
    @spec("mission", "T6")
    @inlineCallbacks
    def test_otherName(self) -> Any:
        """A session of one domain isn't resumed in the name of another, whose certificate is then shown."""
        self.serve()
        for context in self.contexts():
            session, _ = yield self.visit(context, "a.example")
            self.assertFalse((yield self.visit(context, "b.example", session))[1])
