"""
SASL on a client's stream (RFC 6120 section 6): offers mechanisms, drives the one the client picks, logs in.

Theory of operation: the mechanism says step by step what it needs (L{xmppd.sasl.steps}). One attempt is an
L{Attempt}; the stream has at most one. Whatever is looked up or verified is waited for by the stream, so nothing else
of the client acts meanwhile.
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
from xmppd.sasl.credentials import AnonymousTrace, ExternalIdentity, IAnonymousTrace, IPlainPassword
from xmppd.sasl.encoding import decode, encode
from xmppd.sasl.offer import Facts, create, offered, offeredBindings
from xmppd.sasl.steps import Challenge, Lookup, Mechanism, Step, Verify
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

AUTH = ns.SASL + " auth"
RESPONSE = ns.SASL + " response"
ABORT = ns.SASL + " abort"


@implementer(IStreamFeature)
class SASLNegotiation:
    """The stream feature of one host."""

    names = (AUTH, RESPONSE, ABORT)
    forbids = frozenset({"authenticated"})
    rank = 20

    def __init__(self, host: IHost, portal: Portal, passwords: Passwords, certified: Any, requireTLS: bool) -> None:
        """
        @param certified: answers the JIDs a DER certificate names.
        @param requireTLS: whether logging in needs TLS.
        """
        self._host = host
        self._portal = portal
        self._passwords = passwords
        self._certified = certified
        # Where TLS is required and missing, negotiate answers itself: with encryption-required (RFC 6120 section 6.5.4)
        self.requires: frozenset[str] = frozenset()
        self._requireTLS = requireTLS

    # --- offering

    def _factsOf(self, stream: IClientStream) -> Facts:
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
                accounts=self._host.config.accounts and IPlainPassword in self._portal.checkers,
                guests=self._host.config.guests != "off" and IAnonymousTrace in self._portal.checkers,
                clientCertificate=certifiesOneOf(self._host.domain, self._addresses(stream)),
                plainWithoutTLS=self._host.config.plainWithoutTls,
            )
        return facts

    def _addresses(self, stream: IClientStream) -> tuple[str, ...]:
        """The JIDs of the client's certificate, if that was verified."""
        tls = stream.tls
        if tls is None or tls.peerCertificate is None or not tls.peerVerified:
            return ()
        return tuple(self._certified(tls.peerCertificate))

    def _allowed(self, stream: IClientStream) -> bool:
        return "tls" in stream.facts or not self._requireTLS

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        if not self._allowed(stream):
            return b""
        facts = self._factsOf(stream)
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
            self._failed(stream, stream.slots.get(ATTEMPT), error)

    def _begin(self, stream: IClientStream, stanza: Stanza) -> None:
        """A mechanism was chosen."""
        if not self._allowed(stream):
            raise SASLError(SASLCondition.ENCRYPTION_REQUIRED)
        name = stanza.attrs.get("mechanism", "")
        if not stream.reception.mayAuthenticate(stream.address):
            raise SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE, "Too many failed logins from this address.")
        mechanism = create(name, self._factsOf(stream))
        attempt = stream.slots[ATTEMPT] = Attempt(self, stream, mechanism)
        attempt.step(mechanism.start(decode(stanza.element().text)))

    def _failed(self, stream: IClientStream, attempt: Attempt | None, error: SASLError) -> None:
        """Answer a failure; the stream lives on for another try (RFC 6120 section 6.4.5)."""
        stream.slots.pop(ATTEMPT, None)
        if stream.closed:
            return
        stream.write(error.toBytes())
        stream.authenticationFailed(
            attempt.mechanism.name if attempt is not None else "",
            attempt.name if attempt is not None else None,
            str(error),
            error.condition in GUESSES and not (attempt is not None and attempt.mechanism.name == "ANONYMOUS"),
        )


class Attempt:
    """
    One attempt at one mechanism.

    @ivar name: the user name the client gave, for the log.
    """

    def __init__(self, negotiation: SASLNegotiation, stream: IClientStream, mechanism: Mechanism) -> None:
        self._negotiation = negotiation
        self._stream = stream
        self.mechanism = mechanism
        self.name: str | None = None

    def step(self, step: Step) -> None:
        """Do what the mechanism asks for."""
        if isinstance(step, Challenge):
            data = escapeText(encode(step.data) if step.data else "")
            self._stream.write(f"<challenge xmlns='{ns.SASL}'>{data}</challenge>".encode())
            return
        wait = Deferred.fromCoroutine(self._look(step) if isinstance(step, Lookup) else self._verify(step))
        wait.addErrback(self._refused)
        self._stream.waitFor(wait)

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, LoginFailed):
            error = SASLError(SASLCondition.NOT_AUTHORIZED)
        elif isinstance(error, StoreUnavailable):
            error = SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE)
        if not isinstance(error, SASLError):
            failure.raiseException()
        self._negotiation._failed(self._stream, self, error)

    async def _look(self, step: Lookup) -> None:
        """Fetch keys, or make some up: the client must not see which."""
        self.name = step.username
        passwords, host = self._negotiation._passwords, self._negotiation._host
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
        mind: str | None = None
        wanted: Any = IAccount
        if isinstance(credentials, AnonymousTrace):
            self._admitGuest()
            wanted, mind = IAnonymousAccount, credentials.trace
        elif isinstance(credentials, ExternalIdentity):
            credentials = replace(credentials, certified=self._negotiation._addresses(self._stream))
        _, avatar, logout = await self._negotiation._portal.login(credentials, mind, wanted)
        account = cast(IAccount, avatar)
        if self._stream.closed:
            logout()
            return
        data = self.mechanism.verified()
        self._stream.slots.pop(ATTEMPT, None)
        text = encode(data) if data is not None else ""
        self._stream.write(f"<success xmlns='{ns.SASL}'>{text}</success>".encode())
        self._stream.authenticated(account, self.mechanism.name)
        log.info(
            "authenticated: address={address} jid={jid} mechanism={mechanism}",
            address=self._stream.address,
            jid=account.jid.bare,
            mechanism=self.mechanism.name,
            stream=self._stream.id,
        )
        if mind is not None:
            traced(account, self._stream, mind)

    def _admitGuest(self) -> None:
        """
        May guests come from there? Asked before anything that costs.

        @raise SASLError: not from there.
        """
        guests = self._negotiation._host.guests
        refusal = guests.refusal(self._stream.address) if guests is not None else None
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
