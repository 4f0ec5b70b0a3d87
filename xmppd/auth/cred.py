"""
Login through L{twisted.cred}: the realm of one host, its checkers, its avatars.

A checker turns credentials (L{xmppd.sasl.credentials}) into an avatar id, which is a bare JID; the realm turns that
into an L{IAccount}. All failures are L{SASLError}s, and say the same for an unknown user as for a wrong password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from xmppd.auth.names import GuestNames
from xmppd.auth.passwords import Passwords
from xmppd.ixmppd import IAccount, IAnonymousAccount, IHost, IReturningGuest
from xmppd.sasl.credentials import (
    HashedToken,
    IAnonymousTrace,
    IExternalIdentity,
    IHashedToken,
    IPlainPassword,
    IScramProof,
)
from xmppd.wire.errors import SASLCondition, SASLError
from xmppd.wire.jid import JID, JIDMalformed, fromParts, parse

Logout = Callable[[], None]


@implementer(IAccount)
class Account:
    """The avatar of a registered user, for one session."""

    __slots__ = ("__provides__", "_logout", "jid")

    anonymous = False

    def __init__(self, jid: JID, logout: Logout | None = None) -> None:
        self.jid = jid
        self._logout = logout

    def logout(self) -> None:
        """See L{IAccount}."""
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()


@implementer(IAnonymousAccount)
class Guest:
    """The avatar of a guest, for one session (XEP-0175)."""

    __slots__ = ("__provides__", "_logout", "fresh", "jid", "trace")

    anonymous = True

    def __init__(self, jid: JID, trace: str | None = None, logout: Logout | None = None, fresh: bool = True) -> None:
        self.jid = jid
        self.trace = trace
        self.fresh = fresh
        self._logout = logout

    def logout(self) -> None:
        """See L{IAnonymousAccount}."""
        logout, self._logout = self._logout, None
        if logout is not None:
            logout()


@implementer(IReturningGuest)
class ReturningGuest:
    """The avatar of somebody who has shown a guest's token; the guest's own avatar is with its session."""

    __slots__ = ("__provides__", "jid")

    anonymous = True
    fresh = False
    trace: str | None = None

    def __init__(self, jid: JID) -> None:
        self.jid = jid

    def logout(self) -> None:
        """See L{IAnonymousAccount}: what the guest has lasts as long as its sessions."""


def localpart(username: str, domain: str) -> JID:
    """
    The bare JID of a user name (RFC 6120 section 6.3.8). A client may give its bare JID in place of the localpart.

    @raise SASLError: not-authorized, for a name that can't be one.
    """
    try:
        if "@" in username:
            jid = parse(username)
            if jid.domain != domain or jid.resource is not None or jid.local is None:
                raise SASLError(SASLCondition.NOT_AUTHORIZED)
            return jid
        return fromParts(username, domain, None)
    except JIDMalformed:
        raise SASLError(SASLCondition.NOT_AUTHORIZED) from None


def checkAuthzid(authzid: str | None, jid: JID) -> None:
    """
    A user acts as nobody else: the authorization identity is absent or the user's own bare JID.

    @raise SASLError: invalid-authzid.
    """
    if not authzid:
        return
    try:
        if parse(authzid) == jid:
            return
    except JIDMalformed:
        pass
    raise SASLError(SASLCondition.INVALID_AUTHZID)


@implementer(ICredentialsChecker)
class ScramChecker:
    """Checks proofs of possession of a password's keys."""

    credentialInterfaces = (IScramProof,)

    def __init__(self, host: IHost) -> None:
        self._host = host

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes | tuple[()]:
        proven = credentials.proves()
        jid = localpart(credentials.username, self._host.domain)
        record = await self._host.accounts.get(jid.bare)
        if not proven or record is None:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        checkAuthzid(credentials.authzid, jid)
        if record.disabled:
            raise SASLError(SASLCondition.ACCOUNT_DISABLED)
        return jid.bare.encode()


@implementer(ICredentialsChecker)
class PlainChecker:
    """Checks passwords."""

    credentialInterfaces = (IPlainPassword,)

    def __init__(self, host: IHost, passwords: Passwords) -> None:
        self._host = host
        self._passwords = passwords

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes | tuple[()]:
        jid = localpart(credentials.username, self._host.domain)
        right, disabled = await self._passwords.verdict(jid.bare, credentials.password)
        if not right:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        checkAuthzid(credentials.authzid, jid)
        if disabled:
            raise SASLError(SASLCondition.ACCOUNT_DISABLED)
        return jid.bare.encode()


@implementer(ICredentialsChecker)
class AnonymousChecker:
    """
    Makes up a name for a guest: a UUID nobody has (mission A2). The store is asked only where there are accounts.
    """

    credentialInterfaces = (IAnonymousTrace,)

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._names = GuestNames(host)

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        return Deferred.fromCoroutine(self._name())

    async def _name(self) -> bytes | tuple[()]:
        host = self._host
        while True:
            bare = f"{host.entropy.uuid()}@{host.domain}"
            if bare in host.sessions or host.ledger.knows(bare) or host.ledger.isGone(bare):
                continue
            if self._names.apart or await host.accounts.get(bare) is None:
                return bare.encode()


@implementer(ICredentialsChecker)
class ExternalChecker:
    """
    Takes the identity that a client's verified certificate names (XEP-0178 section 2).
    """

    credentialInterfaces = (IExternalIdentity,)

    def __init__(self, host: IHost) -> None:
        self._host = host

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}; C{credentials.certified} are the certificate's JIDs."""
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes | tuple[()]:
        jid = self._chosen(credentials.authzid, credentials.certified)
        record = await self._host.accounts.get(jid.bare)
        if record is None:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        if record.disabled:
            raise SASLError(SASLCondition.ACCOUNT_DISABLED)
        return jid.bare.encode()

    def _chosen(self, authzid: str | None, certified: tuple[str, ...]) -> JID:
        """Which of the certificate's addresses is meant."""
        own = addressesAt(self._host.domain, certified)
        if not authzid:
            if len(own) != 1:
                raise SASLError(SASLCondition.INVALID_AUTHZID if own else SASLCondition.NOT_AUTHORIZED)
            return own.pop()
        wanted = parsed(authzid)
        if wanted is None or wanted not in own:
            raise SASLError(SASLCondition.INVALID_AUTHZID)
        return wanted


def parsed(text: str) -> JID | None:
    """The bare JID with a localpart that a text is, or None."""
    try:
        jid = parse(text)
    except JIDMalformed:
        return None
    return jid.toBare() if jid.local is not None else None


def addressesAt(domain: str, certified: Iterable[str]) -> set[JID]:
    """Those of a certificate's addresses that are of users of a domain."""
    return {jid for jid in map(parsed, certified) if jid is not None and jid.domain == domain}


def certifiesOneOf(domain: str, certified: Iterable[str]) -> bool:
    """Whether a certificate can log anybody in at a domain: EXTERNAL is for nobody else (RFC 6120 section 6.3.4)."""
    return bool(addressesAt(domain, certified))


@implementer(ICredentialsChecker)
class TokenChecker:
    """Checks proofs of possession of a token (XEP-0484)."""

    credentialInterfaces = (IHashedToken,)

    def __init__(self, host: IHost) -> None:
        self._host = host

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See L{ICredentialsChecker}."""
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes | tuple[()]:
        jid = localpart(credentials.username, self._host.domain)
        proves, mechanism = credentials.proves, credentials.mechanism
        credentials.match = await self._host.inline.tokens.verify(jid.bare, credentials.agent, mechanism, proves)
        return jid.bare.encode()


@implementer(IRealm)
class Realm:
    """The realm of one host: bare JIDs to avatars."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Logout]:
        """
        See L{IRealm}; C{mind} is the credentials' trace for a guest, the credentials that were checked for a token, or
        None.

        @raise NotImplementedError: something other than an account is asked for.
        """
        if not isinstance(avatarId, bytes):
            raise NotImplementedError("nobody logs in without credentials")
        jid = parse(avatarId.decode())
        if isinstance(mind, HashedToken) and mind.match.guest:
            returning = ReturningGuest(jid)
            return IAccount, returning, returning.logout
        for interface in interfaces:
            if interface is IAnonymousAccount:
                guest = Guest(jid, mind if isinstance(mind, str) else None)
                return IAnonymousAccount, guest, guest.logout
            if interface is IAccount:
                account = Account(jid)
                return IAccount, account, account.logout
        raise NotImplementedError("accounts only")


def makePortal(host: IHost, passwords: Passwords) -> Portal:
    """The portal of a host: who may be an account is asked by type of credentials."""
    portal = Portal(Realm(host))
    if host.config.accounts:
        for checker in (ScramChecker(host), PlainChecker(host, passwords), ExternalChecker(host)):
            portal.registerChecker(checker)
    if host.config.guests != "off":
        portal.registerChecker(AnonymousChecker(host))
    if host.inline.tokens is not None:
        portal.registerChecker(TokenChecker(host))
    return portal
