"""
TLS between servers, at both ends: each shows its certificate and asks for the other's.

No handshake fails for a certificate: what OpenSSL thinks of it is written down, and the verdict comes later, since
dialback may make up for it (RFC 7590 section 3.4). Sessions aren't resumed, as OpenSSL would not look at certificates
again.

As server, the certificate is that of the domain the stream or SNI names. One of our domains without any is shown
another's: encrypted is better than not, and dialback doesn't need it. As client, SNI names the domain (XEP-0368), and
ALPN is used with direct TLS. The server is asked for a stapled answer of its certificate's authority (OCSP); ours, if
there is one, is L{xmppd.trust.staples}'s.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from xmppd.net.tls import SERVER_PROTOCOL, NoCertificate, ServerTLS, TLSLayer
from xmppd.trust.certificates import Certificate, CertificateError, Problem, asciiDomain
from xmppd.trust.ocsp import OCSPStatus, StapleRecorder, stapledStatus
from xmppd.trust.openssl import setServerNameCallback, takeOutgoing
from xmppd.trust.pkix import VerificationRecorder
from xmppd.trust.tlspolicy import TLSPolicy, alpnSelector, clientContext, serverContext

KINDS: Final = ("accept", "accept direct", "connect", "connect direct")
"""What contexts are for."""


class PeerTLS:
    """
    The TLS of all streams between servers. Stands where L{xmppd.net.tls.ServerTLS} does for clients.

    @ivar recorder: what was found about the certificates of peers.
    @ivar staples: what they have stapled.
    """

    def __init__(
        self, serverTLS: ServerTLS | None, isOurs: Callable[[str], bool], authorities: Path | None = None
    ) -> None:
        """
        @param serverTLS: has the certificates of the moment; None if there are none.
        @param isOurs: whether a domain is served here.
        @param authorities: file of those who vouch for servers; the system's if None.
        @raise CertificateError: there are none in the file.
        """
        self.recorder = VerificationRecorder()
        self.staples = StapleRecorder()
        self.policy = TLSPolicy()
        self._serverTLS = serverTLS
        self._isOurs = isOurs
        self._authorities = authorities
        self._contexts: dict[tuple[Certificate | None, str], SSL.Context] = {}
        self._context(None, "connect")

    def certificateFor(self, domain: str) -> Certificate | None:
        """The certificate that is shown for a domain of ours: its own, or that of the nearest domain, or any."""
        serverTLS = self._serverTLS
        if serverTLS is None:
            return None
        own = serverTLS.certificateFor(domain)
        if own is not None or not self._isOurs(domain):
            return own
        parts = domain.split(".")
        for index in range(1, len(parts) - 1):
            found = serverTLS.certificateFor(".".join(parts[index:]))
            if found is not None:
                return found
        return next(iter(serverTLS.certificates.values()), None)

    def forStream(self, domain: str) -> Any:
        """The creator for STARTTLS on streams to a domain of ours."""
        return Accepting(self, domain)

    def forDirect(self) -> Any:
        """The creator for a listener of direct TLS."""
        return Accepting(self, None)

    def accepting(self, domain: str | None) -> SSL.Connection:
        """
        A connection for the server's side.

        @param domain: whose certificate to show; None: whom SNI names.
        @raise NoCertificate: there is none.
        """
        if domain is not None:
            certificate = self.certificateFor(domain)
            kind = "accept"
        else:
            serverTLS = self._serverTLS
            certificate = next(iter(serverTLS.certificates.values()), None) if serverTLS is not None else None
            kind = "accept direct"
        if certificate is None:
            raise NoCertificate(domain or "there are no certificates")
        return SSL.Connection(self._context(certificate, kind))

    def connecting(self, local: str, remote: str, direct: bool) -> SSL.Connection:
        """A connection for the client's side, that shows the certificate of C{local} to C{remote}."""
        own = self._serverTLS.certificateFor(local) if self._serverTLS is not None else None
        connection = SSL.Connection(self._context(own, "connect direct" if direct else "connect"))
        connection.set_tlsext_host_name(asciiDomain(remote).encode("ascii"))
        connection.request_ocsp()
        return connection

    def stapled(self, connection: SSL.Connection, now: float) -> OCSPStatus | None:
        """
        What the answer says that a server has stapled, or None; only to be asked about the client's side.

        @param now: seconds since the epoch.
        """
        return stapledStatus(self.staples.of(connection), self.recorder.of(connection).chain, now)

    def _context(self, certificate: Certificate | None, kind: str) -> SSL.Context:
        """The context of a certificate; those of certificates that have been replaced are forgotten."""
        found = self._contexts.get((certificate, kind))
        if found is None:
            current = set(self._serverTLS.certificates.values()) if self._serverTLS is not None else set()
            self._contexts = {key: each for key, each in self._contexts.items() if key[0] is None or key[0] in current}
            found = self._contexts[certificate, kind] = self._make(certificate, kind)
        return found

    def _make(self, certificate: Certificate | None, kind: str) -> SSL.Context:
        """
        @raise CertificateError: OpenSSL won't use the certificate, or there are no authorities.
        """
        if kind.startswith("connect"):
            context = clientContext(certificate, self.policy)
            context.set_ocsp_client_callback(self.staples.note)
        else:
            assert certificate is not None and self._serverTLS is not None
            context = serverContext(certificate, self.policy)
            self._serverTLS.staple(context, certificate)
        self._trust(context)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_verify(SSL.VERIFY_PEER, self.recorder.note)
        if kind == "connect direct":
            context.set_alpn_protos([SERVER_PROTOCOL])
        elif kind == "accept direct":
            context.set_session_id(b"peers")
            context.set_alpn_select_callback(alpnSelector((SERVER_PROTOCOL,)))
            setServerNameCallback(context, self._choose)
        return context

    def _trust(self, context: SSL.Context) -> None:
        """Trust the authorities that are configured."""
        if self._authorities is None:
            context.set_default_verify_paths()
            return
        try:
            context.load_verify_locations(str(self._authorities))
        except SSL.Error:
            remedy = "write the certificates of those who vouch for servers there, in PEM"
            problem = Problem(self._authorities, "has no certificates, or can't be read", remedy)
            raise CertificateError([problem]) from None

    def _choose(self, connection: SSL.Connection) -> bool:
        """Give a connection the context for the server name it asked for; False if that isn't ours."""
        name = connection.get_servername()
        if name is None:
            return True
        certificate = self.certificateFor(name.decode("ascii", "replace"))
        if certificate is None:
            return False
        context = self._context(certificate, "accept direct")
        if connection.get_context() is not context:
            connection.set_context(context)
        return True


@implementer(IOpenSSLServerConnectionCreator)
class Accepting:
    """Makes connections of the server's side."""

    def __init__(self, peerTLS: PeerTLS, domain: str | None) -> None:
        self._peerTLS = peerTLS
        self._domain = domain

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See L{PeerTLS.accepting}."""
        return self._peerTLS.accepting(self._domain)


class ConnectingLayer(TLSLayer):
    """The client's side of TLS on one connection; see L{TLSLayer}."""

    __slots__ = ()

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        self.connection.set_connect_state()
        self.established = False
        self.ended = False
        self.large = False

    def begin(self) -> bytes:
        """What to write to the socket first."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            pass
        return takeOutgoing(self.connection)
