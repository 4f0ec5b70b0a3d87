"""
SASL on a client's stream (RFC 6120 section 6): offers mechanisms, drives the one the client picks, logs in.

Theory of operation: the mechanism says step by step what it needs (L{xmppd.sasl.steps}). One attempt is an
L{Attempt}; the stream has at most one, of this or of the other profile of SASL (L{xmppd.auth.sasl2}). Whatever is
looked up or verified is waited for by the stream, so nothing else of the client acts meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from twisted.cred.error import LoginFailed
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.auth.cred import certifiesOneOf, localpart
from xmppd.auth.passwords import Passwords
from xmppd.ixmppd import IAccount, IAnonymousAccount, IClientStream, IHost, IStreamFeature, StoredKeys, StoreUnavailable
from xmppd.sasl.credentials import AnonymousTrace, ExternalIdentity, HashedToken, IAnonymousTrace, IPlainPassword
from xmppd.sasl.encoding import decode, encode
from xmppd.sasl.offer import Facts, create, offered, offeredBindings
from xmppd.sasl.steps import Challenge, Lookup, Mechanism, Step, Verify
from xmppd.sasl.token import TOKEN_MECHANISMS
from xmppd.wire import ns
from xmppd.wire.element import escapeText
from xmppd.wire.errors import SASLCondition, SASLError
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.auth")
audit = Logger(namespace="xmppd.audit")

FACTS = "sasl facts"
ATTEMPT = "sasl attempt"

GUESSES = frozenset({
    SASLCondition.NOT_AUTHORIZED,
    SASLCondition.INVALID_AUTHZID,
    SASLCondition.ACCOUNT_DISABLED,
    SASLCondition.CREDENTIALS_EXPIRED,
})
"""Failures that count against an address; others say nothing about whether somebody is guessing passwords."""

UNGUESSABLE = frozenset({"ANONYMOUS", *TOKEN_MECHANISMS})
"""Mechanisms in which nothing is proved, or what nobody can guess: clients may well come with tokens that are over."""

AUTH = ns.SASL + " auth"
RESPONSE = ns.SASL + " response"
ABORT = ns.SASL + " abort"


@implementer(IStreamFeature)
class SASLNegotiation:
    """
    The stream feature of one host.

    @ivar host: the host.
    @ivar portal: its portal.
    @ivar passwords: its passwords.
    """

    names = (AUTH, RESPONSE, ABORT)
    forbids = frozenset({"authenticated"})
    rank = 20

    def __init__(self, host: IHost, portal: Portal, passwords: Passwords, certified: Any, requireTLS: bool) -> None:
        """
        @param certified: answers the JIDs a DER certificate names.
        @param requireTLS: whether logging in needs TLS.
        """
        self.host = host
        self.portal = portal
        self.passwords = passwords
        self._certified = certified
        # Where TLS is required and missing, negotiate answers itself: with encryption-required (RFC 6120 section 6.5.4)
        self.requires: frozenset[str] = frozenset()
        self._requireTLS = requireTLS

    # --- offering

    def factsOf(self, stream: IClientStream) -> Facts:
        """
        The same object from advertising to authentication. The portal was made at the start: a kind of login that a
        new configuration forbids is gone at once, one that it allows comes with the next start.
        """
        facts = stream.slots.get(FACTS)
        if facts is None or facts.secured != ("tls" in stream.facts):
            tls = stream.tls
            facts = stream.slots[FACTS] = Facts(
                secured="tls" in stream.facts,
                channelBindings=tls.channelBindings if tls is not None else {},
                accounts=self.host.config.accounts and IPlainPassword in self.portal.checkers,
                guests=self.host.config.guests != "off" and IAnonymousTrace in self.portal.checkers,
                clientCertificate=certifiesOneOf(self.host.domain, self.addresses(stream)),
                plainWithoutTLS=self.host.config.plainWithoutTls,
                tlsVersion=tls.version if tls is not None else "",
            )
        return facts

    def addresses(self, stream: IClientStream) -> tuple[str, ...]:
        """The JIDs of the client's certificate, if that was verified."""
        tls = stream.tls
        if tls is None or tls.peerCertificate is None or not tls.peerVerified:
            return ()
        return tuple(self._certified(tls.peerCertificate))

    def allowed(self, stream: IClientStream) -> bool:
        """Whether the stream is protected as much as the configuration wants."""
        return "tls" in stream.facts or not self._requireTLS

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        if not self.allowed(stream):
            return b""
        facts = self.factsOf(stream)
        names = "".join(f"<mechanism>{name}</mechanism>" for name in offered(facts))
        if not names:
            return b""
        types = "".join(f"<channel-binding type='{name}'/>" for name in offeredBindings(facts))
        bindings = f"<sasl-channel-binding xmlns='{ns.SASL_CHANNEL_BINDING}'>{types}</sasl-channel-binding>"
        return f"<mechanisms xmlns='{ns.SASL}'>{names}</mechanisms>{bindings if types else ''}".encode()

    # --- driving

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}."""
        attempt = stream.slots.get(ATTEMPT)
        try:
            if stanza.name == AUTH:
                if attempt is not None:
                    raise SASLError(SASLCondition.MALFORMED_REQUEST, "Another login is under way; abort it first.")
                self._begin(stream, stanza)
            elif attempt is None:
                raise SASLError(SASLCondition.MALFORMED_REQUEST, "No mechanism was chosen.")
            elif stanza.name == ABORT:
                raise SASLError(SASLCondition.ABORTED)
            else:
                attempt.step(attempt.mechanism.respond(decode(stanza.element().text) or b""))
        except SASLError as error:
            failed(stream, stream.slots.get(ATTEMPT), error, error.toBytes())

    def _begin(self, stream: IClientStream, stanza: Stanza) -> None:
        """A mechanism was chosen."""
        self.check(stream)
        mechanism = create(stanza.attrs.get("mechanism", ""), self.factsOf(stream))
        attempt = stream.slots[ATTEMPT] = Attempt(self, stream, mechanism)
        attempt.step(mechanism.start(decode(stanza.element().text)))

    def check(self, stream: IClientStream) -> None:
        """Whether a login may be tried now. Raises L{SASLError}."""
        if not self.allowed(stream):
            raise SASLError(SASLCondition.ENCRYPTION_REQUIRED)
        if not stream.reception.mayAuthenticate(stream.address):
            raise SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE, "Too many failed logins from this address.")


def failed(stream: IClientStream, attempt: Attempt | None, error: SASLError, answer: bytes) -> None:
    """Answer a failure; the stream lives on for another try (RFC 6120 section 6.4.5)."""
    stream.slots.pop(ATTEMPT, None)
    if stream.closed:
        return
    stream.write(answer)
    mechanism = attempt.mechanism.name if attempt is not None else ""
    stream.reception.counters.loginFailures.add(mechanism, str(error.condition))
    stream.authenticationFailed(
        mechanism,
        attempt.name if attempt is not None else None,
        str(error),
        error.condition in GUESSES and (attempt is None or attempt.guessable),
    )


class Attempt:
    """
    One attempt at one mechanism. Another profile of SASL says otherwise how it is told.

    @ivar name: the user name the client gave, for the log.
    @ivar credentials: what the mechanism has made of what the client sent, once it has.
    """

    def __init__(self, negotiation: SASLNegotiation, stream: IClientStream, mechanism: Mechanism) -> None:
        self._negotiation = negotiation
        self.stream = stream
        self.mechanism = mechanism
        self.name: str | None = None
        self.credentials: Any = None

    @property
    def guessable(self) -> bool:
        """Whether what the client proves could be guessed by trying."""
        return self.mechanism.name not in UNGUESSABLE

    def step(self, step: Step) -> None:
        """Do what the mechanism asks for."""
        if isinstance(step, Challenge):
            self.challenge(step.data)
            return
        self.wait(Deferred.fromCoroutine(self._look(step) if isinstance(step, Lookup) else self._verify(step)))

    def wait(self, wait: Deferred[None]) -> None:
        """Let the stream wait for something that may fail with L{SASLError}."""
        wait.addErrback(self._refused)
        self.stream.waitFor(wait)

    def challenge(self, data: bytes) -> None:
        """Send a challenge."""
        text = escapeText(encode(data) if data else "")
        self.stream.write(f"<challenge xmlns='{ns.SASL}'>{text}</challenge>".encode())

    def failed(self, error: SASLError) -> None:
        """The attempt has failed."""
        failed(self.stream, self, error, error.toBytes())

    def broken(self) -> None:
        """A mistake of ours is about to close the stream."""

    async def succeeded(self, account: IAccount, data: bytes | None) -> None:
        """
        The client is who it says.

        @param data: what the mechanism wants it to be told.
        """
        self.stream.slots.pop(ATTEMPT, None)
        text = encode(data) if data is not None else ""
        self.stream.write(f"<success xmlns='{ns.SASL}'>{text}</success>".encode())
        self.stream.authenticated(account, self.mechanism.name)
        self.tell(account)

    def tell(self, account: IAccount) -> None:
        """Log a login."""
        log.info(
            "authenticated: address={address} jid={jid} mechanism={mechanism}",
            address=self.stream.address,
            jid=account.jid.bare,
            mechanism=self.mechanism.name,
            stream=self.stream.id,
        )
        if isinstance(self.credentials, AnonymousTrace) and self.credentials.trace is not None:
            traced(account, self.stream, self.credentials.trace)

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, LoginFailed):
            error = SASLError(SASLCondition.NOT_AUTHORIZED)
        elif isinstance(error, StoreUnavailable):
            error = SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE)
        if not isinstance(error, SASLError):
            self.broken()
            failure.raiseException()
        self.failed(error)

    async def _look(self, step: Lookup) -> None:
        """Fetch keys, or make some up: the client must not see which."""
        self.name = step.username
        passwords, host = self._negotiation.passwords, self._negotiation.host
        keys: StoredKeys | None = None
        try:
            bare = localpart(step.username, host.domain).bare
        except SASLError:
            bare = step.username
        else:
            found = await host.accounts.keys(bare, step.hashName)
            keys = found[1] if found is not None else None
        madeUp = passwords.madeUp(bare, step.hashName)
        self.step(self.mechanism.found(keys or madeUp))

    async def _verify(self, step: Verify) -> None:
        """Log in."""
        credentials: Any = step.credentials
        self.name = getattr(credentials, "username", None)
        mind: object = None
        wanted: Any = IAccount
        if isinstance(credentials, AnonymousTrace):
            self._admitGuest()
            wanted, mind = IAnonymousAccount, credentials.trace
        elif isinstance(credentials, HashedToken):
            mind = credentials
        elif isinstance(credentials, ExternalIdentity):
            credentials = replace(credentials, certified=self._negotiation.addresses(self.stream))
        self.credentials = credentials
        _, avatar, logout = await self._negotiation.portal.login(credentials, mind, wanted)
        account = cast(IAccount, avatar)
        if self.stream.closed:
            logout()
            return
        if account.anonymous and wanted is IAccount:  # by a token
            try:
                self._admitGuest()
            except SASLError:
                logout()
                raise
        self.stream.channelBinding = self.mechanism.binding
        await self.succeeded(account, self.mechanism.verified())

    def _admitGuest(self) -> None:
        """
        May guests come from there? Asked before anything that costs.

        @raise SASLError: not from there.
        """
        guests = self._negotiation.host.guests
        refusal = guests.refusal(self.stream.address) if guests is not None else None
        if refusal is not None:
            raise refusal


def traced(account: IAccount, stream: IClientStream, trace: str) -> None:
    """Note what a guest says to be traced by: nobody else is told (XEP-0175 section 3, RFC 4505 section 2)."""
    audit.info(
        "guest: jid={jid} address={address} trace={trace}",
        jid=account.jid.bare,
        address=stream.address,
        trace=ascii(trace),
        stream=stream.id,
    )
