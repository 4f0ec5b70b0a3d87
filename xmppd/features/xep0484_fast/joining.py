"""
Giving tokens out along with logins, and taking them (XEP-0484 sections 3 and 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.features.xep0484_fast.accounts import AccountTokens, readKey
from xmppd.features.xep0484_fast.guests import GRACE, GuestTokens
from xmppd.features.xep0484_fast.slots import Match, Slots, Token
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, ILogin, ILoginFeature, ITokens, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import escapeAttribute
from xmppd.wire.errors import SASLCondition, SASLError

NAME: Final = "xep0484_fast"
TOKEN_OCTETS: Final = 32
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


@implementer(ITokens, ILoginFeature)
class Tokens:
    """The tokens of one host. As a feature of logins it acts first: what a session does can depend on the token."""

    rank = 10

    def __init__(self, host: IHost) -> None:
        self._host = host
        self.guests = GuestTokens(host)
        self.accounts = AccountTokens(host, b"", host.option(NAME, "clients"))

    def start(self) -> None:
        """The hook C{starting}: read the key."""
        self.accounts = AccountTokens(self._host, readKey(self._host.folder), self._host.option(NAME, "clients"))

    def rekeyed(self, bare: str) -> None:
        """The hook C{rekeyed}."""
        Deferred.fromCoroutine(self.accounts.forget(bare))

    # --- taking

    def advertise(self, mechanisms: Sequence[str]) -> bytes:
        """See L{ITokens} (section 3.1)."""
        names = "".join(f"<mechanism>{name}</mechanism>" for name in mechanisms)
        return f"<fast xmlns='{ns.FAST}'>{names}</fast>".encode() if names else b""

    def verify(self, bare: str, agent: str, mechanism: str, proves: Callable[[bytes], bool]) -> Deferred[Any]:
        """See L{ITokens}."""
        return Deferred.fromCoroutine(self._verify(bare, agent, mechanism, proves))

    async def _verify(self, bare: str, agent: str, mechanism: str, proves: Callable[[bytes], bool]) -> Match:
        if self.guests.isHere(bare):
            return self.guests.verify(bare, agent, mechanism, proves)
        return await self.accounts.verify(bare, agent, mechanism, proves)

    # --- giving

    def offer(self) -> bytes:
        """See L{ILoginFeature}; what is offered is in L{advertise}."""
        return b""

    async def negotiate(self, login: ILogin) -> bytes:
        """See L{ILoginFeature}."""
        match: Match | None = login.token
        wanted = login.request.find("request-token", ns.FAST)
        if login.agent.id is None or (match is None and wanted is None):
            return b""
        mechanism = None if wanted is None else wanted.get("mechanism")
        if mechanism not in login.tokenMechanisms:
            mechanism = None
        if login.account.anonymous:
            return self._forGuest(login, login.agent.id, match, mechanism)
        return await self._forAccount(login, login.agent.id, match, mechanism)

    def _invalidates(self, login: ILogin) -> bool:
        """
        Whether the client wants its token to be good for nothing any more (section 3.6); one that it was given and has
        not used goes with it.
        """
        shown = login.request.find("fast", ns.FAST)
        return shown is not None and shown.get("invalidate") in ("true", "1")

    def _forGuest(self, login: ILogin, agent: str, match: Match | None, mechanism: str | None) -> bytes:
        """A guest's token is changed at each use."""
        now, bare = self._host.clock.seconds(), login.account.jid.bare
        slots = Slots()
        if match is not None and not self._invalidates(login):
            slots = match.slots.used(match.token, now + GRACE)
            mechanism = mechanism or match.token.mechanism
        answer = b""
        if mechanism is not None:
            lifetime = self._host.option(NAME, "guest_hours") * HOUR
            token = Token(mechanism, self._host.entropy.token(TOKEN_OCTETS), now, now + lifetime)
            slots = slots.given(token)
            answer = told(token.secret, token)
        self.guests.keep(login.stream, bare, agent, slots)
        return answer

    async def _forAccount(self, login: ILogin, agent: str, match: Match | None, mechanism: str | None) -> bytes:
        """An account's token is changed when it is due, and when the client asks for that."""
        bare = login.account.jid.bare
        before = after = Slots()
        if match is not None:
            before = match.slots
            gone = self._invalidates(login)
            after = Slots() if gone else before.used(match.token)
            if not gone and mechanism is None and self._isDue(match.token):
                mechanism = match.token.mechanism
        try:
            if mechanism is None:
                if after != before:
                    await self.accounts.write(bare, agent, after)
                return b""
            return await self._given(bare, agent, match, after, mechanism)
        except StoreUnavailable:
            if after == before:
                return b""  # just no token
            raise SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE) from None

    async def _given(self, bare: str, agent: str, match: Match | None, after: Slots, mechanism: str) -> bytes:
        """Give out another token. Raises L{StoreUnavailable}."""
        accounts, now = self.accounts, self._host.clock.seconds()
        if match is None:
            after = await accounts.read(bare, agent)
            await accounts.makeRoom(bare, agent)
        token = Token(mechanism, self._host.entropy.token(), now, now + self._host.option(NAME, "days") * DAY)
        record, fingerprint = await accounts.fingerprint(bare)
        if record is None:
            return b""
        await accounts.write(bare, agent, after.given(token))
        return told(accounts.tokenOf(bare, agent, fingerprint, token).decode(), token)

    def _isDue(self, token: Token) -> bool:
        hours: int = self._host.option(NAME, "rotation_hours")
        return self._host.clock.seconds() - token.issued >= hours * HOUR


def told(secret: str, token: Token) -> bytes:
    """What tells a client its token (section 3.3)."""
    expiry = dateTime(token.expires)
    return f"<token xmlns='{ns.FAST}' expiry='{expiry}' token='{escapeAttribute(secret)}'/>".encode()


def join(host: IHost) -> None:
    """Give and take tokens."""
    tokens = Tokens(host)
    host.inline.tokens = tokens
    host.inline.add(tokens)
    host.hooks.starting.addObserver(tokens.start)
    host.hooks.rekeyed.addObserver(tokens.rekeyed)
    host.hooks.bound.addObserver(tokens.guests.bound)


def _days(value: int) -> str | None:
    return None if 1 <= value <= 365 else "it has to be between 1 and 365"


def _hours(value: int) -> str | None:
    return None if 1 <= value <= 8760 else "it has to be between 1 and 8760"


def _clients(value: int) -> str | None:
    return None if 1 <= value <= 1000 else "it has to be between 1 and 1000"


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0484", "0.2.0"),),
    options={
        "days": Option(21, "After how many days a token of an account expires.", _days),
        "rotation_hours": Option(24, "How old a token is when its next use gives out another.", _hours),
        "clients": Option(20, "How many clients of an account can have tokens.", _clients),
        "guest_hours": Option(24, "After how many hours a guest's token expires, if its guest stays as long.", _hours),
    },
    join=join,
)
