"""
TLS for listeners and streams: which certificate, which protocol, and the layer between a socket and a stream.

Theory of operation
===================

One L{ServerTLS} serves a whole process. It holds the certificates and makes OpenSSL contexts from them; a reload
replaces both in one step, so that a connection sees either all old or all new, and connections that are there already
keep what they have. It answers I{creators} (providers of C{IOpenSSLServerConnectionCreator}), which stay valid for
ever and always use the certificates of the moment. There are two kinds.

Direct TLS (XEP-0368): the client's first octets are TLS, so only SNI can tell which domain it wants. A name without a
certificate ends the handshake with the alert unrecognized_name (RFC 9325 section 3.7), ALPN without a protocol of ours
with no_application_protocol (3.8). A client without SNI gets the first certificate and judges for itself; one without
ALPN is accepted.

STARTTLS: the stream's C{to} has said which domain, and its certificate is shown whatever SNI says. RFC 9325 wants
unrecognized names refused so that nobody can lead a client to another service than it means; here C{to} says what the
client means, in a protocol no other service understands, and the client checks the certificate against it. SNI adds
nothing to that, and several clients put there the name of the machine that DNS led them to (RFC 7590 section 3.5 calls
SNI unnecessary here). ALPN isn't looked at.

Only clients that speak XMPP at once are asked for a certificate, where the policy asks: one that browsers would show
to whatever page asks for it is no login, and they would have their users choose one before the first page.

Contexts are made anew every C{TLSPolicy.contextLife} seconds, when the next connection comes, since the keys of
session tickets live as long as a context does (RFC 9325 section 3.4). A session is resumed under the name only that it
was made under (RFC 6066 section 3), by the same certificate, and for the same use.

Clients that ask for the answer of a certificate's authority (OCSP) get what L{xmppd.trust.staples} has.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from xmppd.ixmppd import IClock
from xmppd.trust.certificates import Certificate, CertificateError, Problem, findCertificate, loadCertificates
from xmppd.trust.openssl import decrypt, encrypt, renewBuffers, setServerNameCallback, takeOutgoing
from xmppd.trust.servername import HelloReader
from xmppd.trust.staples import Staples, stapleProblem
from xmppd.trust.tlspolicy import TLSPolicy, alpnSelector, serverContext

log = Logger(namespace="xmppd.tls")

CLIENT_PROTOCOL = b"xmpp-client"
SERVER_PROTOCOL = b"xmpp-server"

XMPP = frozenset({CLIENT_PROTOCOL, SERVER_PROTOCOL})
"""The ALPN protocols over which a certificate can be a login."""


class NoCertificate(LookupError):
    """There is no certificate for a domain."""


class _Contexts:
    """
    The contexts of one set of certificates: one for each certificate, name and kind of use.

    @ivar certificates: the set.
    @ivar made: when, in the clock's seconds.
    """

    # So many contexts are kept for names that were asked for; those that were not asked for the longest go first. A
    # wildcard certificate has any number of names.
    most = 256

    def __init__(self, certificates: Mapping[str, Certificate], policy: TLSPolicy, clock: IClock) -> None:
        self.certificates = certificates
        self.made = clock.seconds()
        self.staples = Staples(clock.seconds)
        self._policy = policy
        self._listeners: dict[tuple[bytes, ...], SSL.Context] = {}
        self._named: OrderedDict[tuple[str, tuple[bytes, ...]], SSL.Context] = OrderedDict()
        for certificate in certificates.values():
            # Also to find out now whether OpenSSL takes it.
            self._contextFor(certificate, certificate.domain, ())

    def forDomain(self, domain: str) -> SSL.Context:
        """
        For STARTTLS.

        @raise NoCertificate: there is none.
        """
        certificate = findCertificate(self.certificates, domain)
        if certificate is None:
            raise NoCertificate(domain)
        return self._contextFor(certificate, domain, ())

    def forListener(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        """
        For direct TLS: the first certificate's, which moves to another when SNI says so. Its keys encrypt the tickets
        of all of the listener's connections, so it stays.

        @raise NoCertificate: there are no certificates at all.
        """
        found = self._listeners.get(protocols)
        if found is not None:
            return found
        for certificate in self.certificates.values():
            made = self._listeners[protocols] = self._make(certificate, "", protocols)
            return made
        raise NoCertificate("there are no certificates")

    def forName(self, name: str, protocols: tuple[bytes, ...]) -> SSL.Context | None:
        """
        For direct TLS with a server name; None if there is no certificate for it.

        @param name: empty for none.
        """
        if not name:
            return self.forListener(protocols)
        certificate = findCertificate(self.certificates, name)
        return None if certificate is None else self._contextFor(certificate, name, protocols)

    def _contextFor(self, certificate: Certificate, name: str, protocols: tuple[bytes, ...]) -> SSL.Context:
        """The context of a name, made if need be."""
        key = (name, protocols)
        context = self._named.get(key)
        if context is None:
            context = self._named[key] = self._make(certificate, name, protocols)
            if len(self._named) > self.most:
                self._named.popitem(last=False)
        self._named.move_to_end(key)
        return context

    def _make(self, certificate: Certificate, name: str, protocols: tuple[bytes, ...]) -> SSL.Context:
        """A context; without C{protocols} for STARTTLS, that is without SNI and ALPN."""
        asks = not protocols or not XMPP.isdisjoint(protocols)
        policy = self._policy if asks else replace(self._policy, clientAuthorities=None)
        context = _checkedContext(certificate, policy)
        self.staples.into(context, certificate)
        # What is asked for in one name isn't resumed in another, nor what was once asked for with another purpose.
        purpose = b"\0".join((name.encode(), certificate.sha256.encode(), *protocols))
        context.set_session_id(hashlib.sha256(purpose).digest())
        if protocols:
            context.set_alpn_select_callback(alpnSelector(protocols))
            setServerNameCallback(context, _isServed)
        return context


class NamedConnection(SSL.Connection):
    """
    The server's side of direct TLS. Reads the server name before OpenSSL does, and changes to the context for it: what
    is to be resumed then has to be that context's.

    @ivar served: whether there is a certificate for the name, or no name.
    """

    def __init__(self, contexts: _Contexts, protocols: tuple[bytes, ...]) -> None:
        """
        @raise NoCertificate: there are no certificates at all.
        """
        SSL.Connection.__init__(self, contexts.forListener(protocols))
        self.served = True
        self._hello: HelloReader | None = HelloReader()
        self._contexts: _Contexts | None = contexts
        self._protocols = protocols

    def bio_write(self, buf: bytes | bytearray | memoryview) -> int:
        """Take octets from the peer; the first ones are kept until the name is known."""
        if self._hello is None or self._contexts is None:
            return SSL.Connection.bio_write(self, buf)
        context = None
        try:
            name = self._hello.feed(bytes(buf))
            if name is None:
                return len(buf)
            context = self._contexts.forName(name, self._protocols)
        except ValueError:
            pass  # OpenSSL may say what is wrong with it
        self.served = context is not None
        if context is not None and context is not self.get_context():
            self.set_context(context)
        # A connection may live for weeks, and must not keep all the contexts of its day.
        octets, self._hello, self._contexts = bytes(self._hello.octets), None, None
        SSL.Connection.bio_write(self, octets)
        return len(buf)


def _isServed(connection: SSL.Connection) -> bool:
    """Whether the name that a client asked for on direct TLS is served."""
    return isinstance(connection, NamedConnection) and connection.served


def _checkedContext(certificate: Certificate, policy: TLSPolicy) -> SSL.Context:
    """A context, or a L{CertificateError} when OpenSSL won't serve with the certificate."""
    try:
        return serverContext(certificate, policy)
    except SSL.Error as error:
        reason = error.args[0][-1][2] if error.args and error.args[0] else "for no stated reason"
        problem = Problem(certificate.path, f"is refused by OpenSSL ({reason})", "have a new certificate issued")
        raise CertificateError([problem]) from None


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """
    The process's certificates and what to serve with them. As a creator itself: direct TLS for clients.

    @ivar policy: the policy.
    """

    def __init__(self, certificates: Mapping[str, Certificate], clock: IClock, policy: TLSPolicy | None = None) -> None:
        """
        @param certificates: what L{loadCertificates} answered.
        @param clock: tells when contexts are due to be made anew; its seconds are those of the certificates.
        @raise CertificateError: OpenSSL won't serve with a certificate.
        """
        self.policy = policy or TLSPolicy()
        self._clock = clock
        self._contexts = _Contexts(dict(certificates), self.policy, clock)

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """The certificates of the moment, by domain."""
        return self._contexts.certificates

    def certificateFor(self, domain: str) -> Certificate | None:
        """The certificate a stream to C{domain} is shown, or None: then STARTTLS can't be offered."""
        return findCertificate(self.certificates, domain)

    def replace(self, certificates: Mapping[str, Certificate]) -> None:
        """
        Use other certificates from now on; connections that are there keep theirs.

        @raise CertificateError: OpenSSL won't serve with one of them; nothing has changed.
        """
        self._contexts = _Contexts(dict(certificates), self.policy, self._clock)

    def reload(self, folder: Path) -> Sequence[Problem]:
        """
        Load the certificates of a folder again. If anything makes one of them unusable, or none is left, all stays as
        it was. Reads files, so don't call it more often than an administrator would.

        @return: what is wrong with the new ones; warnings if they are in use now.
        """
        try:
            certificates = loadCertificates(folder, self._clock.seconds())
            if not certificates:
                raise CertificateError([Problem(folder, "has no certificates", "put DOMAIN.pem files there")])
            self.replace(certificates)
        except CertificateError as error:
            return error.problems
        now = self._clock.seconds()
        staples = [stapleProblem(each, now) for each in certificates.values()]
        warnings = [problem for each in certificates.values() for problem in each.warnings]
        return (*warnings, *(problem for problem in staples if problem is not None))

    def staple(self, context: SSL.Context, certificate: Certificate) -> None:
        """Have a context of somebody else's making staple as ours do."""
        Staples(self._clock.seconds).into(context, certificate)

    def forStream(self, domain: str) -> StreamTLS:
        """
        The creator for STARTTLS on streams to a domain; to be given to C{transport.startTLS}. May be kept.
        """
        return StreamTLS(self, domain)

    def forDirect(self, *protocols: bytes) -> DirectTLS:
        """
        The creator for a listener of direct TLS.

        @param protocols: the ALPN protocols it speaks, the preferred one first. If none of them is one of XMPP's,
            clients aren't asked for certificates.
        """
        return DirectTLS(self, protocols)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A connection that does direct TLS for clients."""
        return self.directConnection((CLIENT_PROTOCOL,))

    def streamConnection(self, domain: str) -> SSL.Connection:
        """
        A connection that shows the certificate of a domain.

        @raise NoCertificate: there is none (any more).
        """
        return SSL.Connection(self._fresh().forDomain(domain))

    def directConnection(self, protocols: tuple[bytes, ...]) -> SSL.Connection:
        """
        A connection that does SNI and ALPN.

        @raise NoCertificate: there are no certificates at all.
        """
        return NamedConnection(self._fresh(), protocols)

    def _fresh(self) -> _Contexts:
        """The contexts, new ones if they have served their time; the old ones for once more if none can be made."""
        now = self._clock.seconds()
        if now - self._contexts.made >= self.policy.contextLife:
            try:
                self._contexts = _Contexts(self.certificates, self.policy, self._clock)
            except CertificateError as error:
                log.warn("TLS goes on as it was: {problem}", problem=str(error.problems[0]))
                self._contexts.made = now
        return self._contexts


@implementer(IOpenSSLServerConnectionCreator)
class StreamTLS:
    """Makes connections for STARTTLS on streams to one domain."""

    __slots__ = ("__provides__", "_domain", "_serverTLS")

    def __init__(self, serverTLS: ServerTLS, domain: str) -> None:
        self._serverTLS = serverTLS
        self._domain = domain

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A connection with the domain's certificate; see L{ServerTLS.streamConnection}."""
        return self._serverTLS.streamConnection(self._domain)


@implementer(IOpenSSLServerConnectionCreator)
class DirectTLS:
    """Makes connections for direct TLS with given ALPN protocols."""

    __slots__ = ("__provides__", "_protocols", "_serverTLS")

    def __init__(self, serverTLS: ServerTLS, protocols: tuple[bytes, ...]) -> None:
        self._serverTLS = serverTLS
        self._protocols = protocols

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """A connection with SNI and ALPN; see L{ServerTLS.directConnection}."""
        return self._serverTLS.directConnection(self._protocols)


def wrapDirect(factory: Factory, creator: Any, clock: Any = None) -> TLSMemoryBIOFactory:
    """
    A factory whose connections begin with TLS.

    Its protocols' C{handshakeCompleted} is called if they provide C{IHandshakeListener}; their transport's
    C{getHandle()} is the L{SSL.Connection} that L{xmppd.trust.tlspolicy.tlsFacts} asks.

    @param creator: a L{ServerTLS} or L{DirectTLS}.
    @param clock: what joins the writes of one turn; the reactor if None.
    """
    return TLSMemoryBIOFactory(creator, False, factory, clock)


class TLSLayer:
    """
    The server's side of TLS on one connection, without a socket: octets in, octets out.

    A protocol that owns its socket puts this between the two in place of Twisted's TLS transport: what it received goes
    through L{received}, what it writes through L{sending}, and both leave something to write to the socket. Compared
    with C{transport.startTLS} this needs no wrapper objects, doesn't schedule writes (the caller joins its writes
    itself), and doesn't hold on to large buffers.

    @ivar connection: for L{xmppd.trust.tlspolicy.tlsFacts}, once C{established}.
    @ivar established: whether the handshake is complete.
    @ivar ended: whether the peer has ended its side properly (close_notify).
    @ivar large: whether so much has passed that L{outgoing} will give memory back.
    """

    __slots__ = ("connection", "ended", "established", "large")

    # Above this many octets in one call the memory that they passed through is given back. A handshake's flight is
    # always smaller, and so is nearly every stanza.
    largeTraffic = 4096

    def __init__(self, creator: Any) -> None:
        """
        @param creator: a L{ServerTLS}, L{StreamTLS} or L{DirectTLS}.
        """
        self.connection: SSL.Connection = creator.serverConnectionForTLS(None)
        self.connection.set_accept_state()
        self.established = False
        self.ended = False
        self.large = False

    def received(self, data: bytes) -> bytes:
        """
        Take octets from the socket and answer the plaintext. Afterwards write L{outgoing} to the socket.

        @raise OpenSSL.SSL.Error: TLS has failed. L{outgoing} then has the alert; write it and close.
        """
        plain = b""
        if self.established:
            plain, self.ended = decrypt(self.connection, data)
        elif self._handshake(data):
            plain, self.ended = decrypt(self.connection, b"")
        if len(data) > self.largeTraffic:
            self.large = True
        return plain

    def _handshake(self, data: bytes) -> bool:
        """Go on with the handshake; whether it is complete now."""
        self.connection.bio_write(data)
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        self.established = True
        self.large = True
        return True

    def sending(self, data: bytes) -> bytes:
        """
        Encrypt what is to be sent, and answer what to write to the socket.

        @raise OpenSSL.SSL.Error: TLS has ended.
        """
        cipher = encrypt(self.connection, data)
        if len(data) > self.largeTraffic:
            renewBuffers(self.connection)
        return cipher

    def outgoing(self) -> bytes:
        """What TLS itself has to say: flights of the handshake, alerts, key updates. To be asked after L{received}."""
        cipher = takeOutgoing(self.connection)
        if self.large and self.established:
            self.large = False
            renewBuffers(self.connection)
        return cipher

    def close(self) -> bytes:
        """End our side; what to write to the socket before it is closed: close_notify."""
        try:
            self.connection.shutdown()
        except SSL.Error:
            # Before the end of the handshake there is nothing to end.
            return b""
        return takeOutgoing(self.connection)
