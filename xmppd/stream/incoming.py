"""
A stream that another server has begun, without I/O (RFC 6120 sections 4 to 6, XEP-0178, XEP-0220).

The header names our domain and should name the peer's. After STARTTLS, or with direct TLS, it is found out what the
peer's certificate proves of that name; if that is enough, SASL EXTERNAL is offered. Dialback may come at any time after
TLS, as often as there are pairs of domains. What the peer may send from then on stands in C{heard}.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from xmppd.stream.acks import NAMES
from xmppd.stream.dialback import RESULT, VERIFY
from xmppd.stream.s2s import BIDI, ERROR, Premises, ServerStream, Verdict
from xmppd.wire import ns
from xmppd.wire.errors import SASLCondition, SASLError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, parse, prepareDomain
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, StreamEnd, StreamHeader

if TYPE_CHECKING:
    from xmppd.ixmppd import IStreamTransport, TLSFacts

log = Logger(namespace="xmppd.s2s")

STARTTLS: Final = ns.TLS + " starttls"
AUTH: Final = ns.SASL + " auth"
RESPONSE: Final = ns.SASL + " response"
ABORT: Final = ns.SASL + " abort"

VERSION: Final = (1, 0)


class IncomingStream(ServerStream):
    """
    One stream of another server.

    @ivar authenticated: whether SASL has succeeded.
    """

    direction = "in"

    def __init__(self, transport: IStreamTransport, premises: Premises) -> None:
        super().__init__(transport, premises)
        self.authenticated = False
        self._challenged = False
        self._tries = 0
        self.receive = self._awaitHeader

    def mayHear(self) -> bool:
        """The peer always may ask for pairs here."""
        return True

    def _givenId(self) -> str:
        return self.id or self.premises.entropy.token()

    # --- header and features

    def _awaitHeader(self, event: Event) -> None:
        if not isinstance(event, StreamHeader):
            raise StreamError(StreamCondition.BAD_FORMAT, "A stream header was due.")
        self.id = self.premises.entropy.token()
        local, remote = self._addressed(event)
        self.local, self.remote = local, remote
        self._sendHeader()
        if event.version < VERSION:
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION, "XMPP 1.0 is spoken here.")
        self.receive = self._negotiate
        if self.authenticated and self.bidi:
            self.waitFor(self.premises.mayAnswer(self, remote).addCallback(self._answers))
        elif self.authenticated:
            self._advertise()
        elif self.tls is not None and remote:
            self.waitFor(self.premises.prove(self, remote).addCallback(self._judged))
        else:
            self._advertise()

    def _addressed(self, header: StreamHeader) -> tuple[str, str]:
        """
        Our domain and the peer's, as the header has them (RFC 6120 sections 4.7.1 and 4.7.2).

        @raise StreamError: this can't be.
        """
        if not header.to:
            raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "The stream header has to say to which domain.")
        try:
            local = prepareDomain(header.to)
        except JIDMalformed:
            raise StreamError(StreamCondition.HOST_UNKNOWN) from None
        if not self.premises.isOurs(local):
            raise StreamError(StreamCondition.HOST_UNKNOWN)
        try:
            remote = prepareDomain(header.sender) if header.sender else ""
        except JIDMalformed:
            raise StreamError(StreamCondition.INVALID_FROM) from None
        if self.authenticated and (local, remote or self.remote) != (self.local, self.remote):
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "That was proved for other domains.")
        if self.authenticated:
            return local, self.remote
        if remote and self.premises.isOurs(remote):
            raise StreamError(StreamCondition.INVALID_FROM, "That domain is served here.")
        refusal = self.premises.refusal(remote) if remote else None
        if refusal is not None:
            log.info("s2s refused: remote={remote} reason={reason}", remote=remote, reason=refusal, stream=self.id)
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Nothing is exchanged with that domain.")
        return local, remote

    def _judged(self, verdict: Verdict) -> None:
        """It is known what the certificate proves."""
        if not self.closed:
            self.verdict = verdict
            self._advertise()

    def _answers(self, may: bool) -> None:
        """It is known whether the stream may be used in both directions, as the peer wants."""
        if self.closed:
            return
        self.bidi = may
        self._advertise()
        if may:
            self.nowSpeaks(self.local, self.remote)

    def _advertise(self) -> None:
        """Send what can be negotiated now (RFC 6120 section 4.3.2)."""
        features = ""
        if self._mayStartTLS():
            required = "<required/>" if self._lacksTLS() else ""
            features += f"<starttls xmlns='{ns.TLS}'>{required}</starttls>"
        if self._offersExternal():
            features += f"<mechanisms xmlns='{ns.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
        if self.premises.bidi and not self.bidi:
            features += f"<bidi xmlns='{ns.BIDI_FEATURE}'/>"
        if self.authenticated:
            features += f"<sm xmlns='{ns.STREAM_MANAGEMENT}'/>"
        if not self._lacksTLS():
            features += f"<dialback xmlns='{ns.DIALBACK_FEATURE}'><errors/></dialback>"
        self.write(f"<stream:features>{features}</stream:features>".encode())

    def _mayStartTLS(self) -> bool:
        return self.tls is None and self.transport.canStartTLS(self.local)

    def _lacksTLS(self) -> bool:
        """Whether TLS has to come first."""
        return self.tls is None and self.premises.requiresTLS(self.remote)

    def _offersExternal(self) -> bool:
        """Whether the certificate proves who the peer says it is (XEP-0178 section 3)."""
        if self.authenticated or self.tls is None or self.verdict is None:
            return False
        return self.verdict.authenticated

    # --- what comes

    def _negotiate(self, event: Event) -> None:
        """Anything behind the header; from here on nothing ends the negotiation, and stanzas may come in between."""
        if isinstance(event, StreamEnd):
            self.close()
        elif not isinstance(event, Stanza):
            raise StreamError(StreamCondition.BAD_FORMAT)
        elif event.kind:
            self._stanza(event)
        else:
            act = self._acts.get(event.name)
            if act is None:
                raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)
            act(self, event)

    def _startTLS(self, stanza: Stanza) -> None:
        """The peer wants TLS (RFC 6120 section 5.4.2)."""
        if not self._mayStartTLS():
            self.write(f"<failure xmlns='{ns.TLS}'/>".encode())
            self.close()
            return
        self.write(f"<proceed xmlns='{ns.TLS}'/>".encode())
        self._agreedOnTLS()

    def secured(self, tls: TLSFacts) -> None:
        """See L{ServerStream}."""
        super().secured(tls)
        self.verdict = None
        self.receive = self._awaitHeader

    def _over(self) -> None:
        """See L{ServerStream}. A peer that has no TLS leaves without a word; whoever runs this server should know."""
        if self.local and not self.closed and self._lacksTLS():
            log.info(
                "s2s left: local={local} remote={remote}: it has gone without TLS, which is asked for:"
                " address={address} stream={id}",
                local=self.local,
                remote=self.remote,
                address=self.address,
                id=self.id,
            )
        super()._over()

    def _agreeOnBidi(self, stanza: Stanza) -> None:
        """The peer takes stanzas on this stream too (XEP-0288 section 2.2). Before TLS that is nothing."""
        if self.premises.bidi and not self._lacksTLS():
            self.bidi = True

    # --- SASL

    def _auth(self, stanza: Stanza) -> None:
        """SASL EXTERNAL: the certificate has been looked at already (XEP-0178 section 3)."""
        if self.authenticated:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "You have proved who you are already.")
        self._challenged = False
        if self.tls is None:
            raise SASLError(SASLCondition.ENCRYPTION_REQUIRED)
        if stanza.attrs.get("mechanism") != "EXTERNAL" or not self._offersExternal():
            self._refused("it has proved nothing by a certificate")
            raise SASLError(SASLCondition.INVALID_MECHANISM)
        if not self.premises.mayAuthenticate(self.address):
            raise SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE)
        text = stanza.element().text.strip()
        if text:
            self._identify(text)
        else:
            self._challenged = True
            self.write(f"<challenge xmlns='{ns.SASL}'/>".encode())

    def _respond(self, stanza: Stanza) -> None:
        """The identity, from a peer that didn't send it at once (RFC 6120 section 6.4.2)."""
        if not self._challenged:
            raise SASLError(SASLCondition.MALFORMED_REQUEST)
        self._challenged = False
        self._identify(stanza.element().text.strip() or "=")

    def _abort(self, stanza: Stanza) -> None:
        self._challenged = False
        raise SASLError(SASLCondition.ABORTED)

    def _identify(self, text: str) -> None:
        """
        The authorization identity has to be empty or the domain that was proved.

        @raise SASLError: it is something else.
        """
        try:
            identity = b"" if text == "=" else b64decode(text, validate=True)
        except ValueError:
            raise SASLError(SASLCondition.INCORRECT_ENCODING) from None
        if identity and not isDomain(identity, self.remote):
            self._refused("it wants to be another domain than it has proved")
            raise SASLError(SASLCondition.INVALID_AUTHZID)
        verdict = self.verdict
        assert verdict is not None
        self.authenticated = True
        self.mechanism = "EXTERNAL"
        self.write(f"<success xmlns='{ns.SASL}'/>".encode())
        self.nowHears(self.local, self.remote, verdict)
        self._restart()
        self.receive = self._awaitHeader

    def _refused(self, reason: str) -> None:
        """Count and log a failed login; too many close the stream."""
        self._tries += 1
        self.premises.authenticationFailed(self.address)
        log.warn(
            "authentication failed: address={address} domain={domain} mechanism=EXTERNAL user={remote!r}"
            " reason={reason}",
            address=self.address,
            domain=self.local,
            remote=self.remote,
            reason=reason,
            stream=self.id,
        )
        if self._tries >= self.premises.limits.saslTries:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Too many failed logins.")

    _acts: dict[str, Callable[[IncomingStream, Stanza], None]] = {
        STARTTLS: _startTLS,
        AUTH: _auth,
        RESPONSE: _respond,
        ABORT: _abort,
        BIDI: _agreeOnBidi,
        RESULT: ServerStream._element,
        VERIFY: ServerStream._element,
        **dict.fromkeys(NAMES, ServerStream._element),
        ERROR: ServerStream._peerError,
    }


def isDomain(identity: bytes, domain: str) -> bool:
    """Whether an authorization identity is a domain."""
    try:
        return parse(identity.decode()).full == domain
    except (JIDMalformed, UnicodeDecodeError):
        return False
