"""
Invitations to register: made by administrators as an ad-hoc command (XEP-0401), shown by clients before they register
(XEP-0445).

Theory of operation: an invitation is a fact of the domain, its key a hash of the token; so nobody can read usable
tokens from the database. A client shows its token on the stream, where the invitation is kept; its time is looked at
only then. It is used up when a registration has succeeded with it; meanwhile it is claimed, so that it can't be used
twice at a time. A user name in an invitation is reserved for it until it expires.

Left out: invitations by users (C{urn:xmpp:invite#invite}) and the roster entries that go with them, landing pages of
our own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Option, Spec
from xmppd.ixmppd import IClientStream, IHost, IInvitations, Invitation, IStreamFeature, Request, StoreUnavailable
from xmppd.naming import REFUSE
from xmppd.wire import forms, ns
from xmppd.wire.dates import dateTime
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse
from xmppd.wire.lookalikes import firstAlike
from xmppd.wire.stanza import Stanza

NAME = "xep0445_preauth"
KIND = "invitation"
PREAUTH = ns.PRE_AUTH + " preauth"
TOKEN_FEATURE = b"<register xmlns='urn:xmpp:ibr-token:0'/>"
CREATE_ACCOUNT = ns.INVITE + "#create-account"
INVITATION_FORM = ns.INVITE + "#invitation"

LONGEST_TOKEN = 256
"""Longer tokens are nobody's."""

MOST_OPEN = 1000
"""How many invitations a host may have open."""

DAY = 86_400.0
"""Seconds. Expired invitations are kept for a day, for those who showed them in time and have not registered yet."""

ANYWAY = forms.field("anyway", type="boolean", label="Whatever other names it looks like")

log = Logger(namespace="xmppd.features.invitations")


def idOf(token: str) -> str:
    """The name of the invitation with that token; the token can't be found from it."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def registrationURI(domain: str, username: str | None, token: str) -> str:
    """What to hand out (XEP-0445 sections 2.1 and 2.2)."""
    local = "" if username is None else quote(username, safe="") + "@"
    return f"xmpp:{local}{quote(domain, safe='[]:')}?register;preauth={quote(token, safe='')}"


@implementer(IInvitations)
class Invitations:
    """See L{IInvitations}."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._claimed: set[str] = set()

    # --- made, listed, revoked

    def create(
        self, username: str | None = None, seconds: float | None = None, creator: str = "", anyway: bool = False
    ) -> Deferred[tuple[Invitation, str, str]]:
        """See L{IInvitations}."""
        return Deferred.fromCoroutine(self._create(username, seconds, creator, anyway))

    async def _create(
        self, username: str | None, seconds: float | None, creator: str, anyway: bool
    ) -> tuple[Invitation, str, str]:
        host = self._host
        kept = await self._kept()
        if sum(self._isOpen(each) for each in kept) >= MOST_OPEN:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many invitations are open.")
        if username is not None:
            username = await self._reservable(username, kept, creator or "an invitation", anyway)
        if seconds is None:
            seconds = host.option(NAME, "days") * DAY
        token = host.entropy.token(20)
        invitation = Invitation(idOf(token), username, host.clock.seconds() + seconds, creator, anyway)
        await host.facts.put(host.domain, KIND, invitation.id, _toBytes(invitation))
        return invitation, token, registrationURI(host.domain, username, token)

    async def _reservable(self, username: str, kept: Sequence[Invitation], by: str, anyway: bool) -> str:
        """The localpart to reserve, if nobody has it yet, or one that looks like it."""
        local = await self._host.registrar.check(username, by, anyway)
        if self._reserving(local, [each for each in kept if self._isOpen(each)], anyway) is not None:
            raise StanzaError(StanzaCondition.CONFLICT, "The name, or one that it looks like, is taken.")
        return local

    def _reserving(self, local: str, open: Sequence[Invitation], anyway: bool = False) -> Invitation | None:
        """The one of several that reserves a name: it is for it, or for one that it looks like (XEP-0165)."""
        names = {each.username: each for each in open if each.username is not None}
        if anyway or self._host.names.action("account") != REFUSE:
            return names.get(local)
        return names.get(firstAlike(local, names) or "")

    def _isOpen(self, invitation: Invitation) -> bool:
        return invitation.expires > self._host.clock.seconds()

    async def _kept(self) -> list[Invitation]:
        """All there are; those that expired long ago are removed."""
        facts: Mapping[str, bytes] = await self._host.facts.all(self._host.domain, KIND)
        kept = []
        for id, data in facts.items():
            invitation = _fromBytes(id, data)
            if invitation.expires + DAY < self._host.clock.seconds():
                await self._host.facts.delete(self._host.domain, KIND, id)
            else:
                kept.append(invitation)
        return kept

    def open(self) -> Deferred[Sequence[Invitation]]:
        """See L{IInvitations}."""

        async def sorting() -> Sequence[Invitation]:
            kept = await self._kept()
            return sorted((each for each in kept if self._isOpen(each)), key=lambda each: (each.expires, each.id))

        return Deferred.fromCoroutine(sorting())

    def revoke(self, id: str) -> Deferred[bool]:
        """See L{IInvitations}."""
        return self._host.facts.delete(self._host.domain, KIND, id)

    # --- shown, claimed, settled

    async def show(self, stream: IClientStream, token: str) -> None:
        """
        A client shows a token (XEP-0445 section 4); the only time its age matters.

        @raise StanzaError: C{item-not-found} for any token that can't be used.
        """
        id = idOf(token)
        data = await self._host.facts.get(self._host.domain, KIND, id) if len(token) <= LONGEST_TOKEN else None
        invitation = None if data is None else _fromBytes(id, data)
        if invitation is None or not self._isOpen(invitation):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "The provided token is invalid or expired.")
        stream.slots[NAME] = invitation

    def of(self, stream: IClientStream) -> Invitation | None:
        """See L{IInvitations}."""
        shown: Invitation | None = stream.slots.get(NAME)
        return shown

    def reservation(self, username: str) -> Deferred[Invitation | None]:
        """See L{IInvitations}."""

        return self.open().addCallback(lambda invitations: self._reserving(username, invitations))

    def claim(self, invitation: Invitation) -> Deferred[bool]:
        """See L{IInvitations}."""
        return Deferred.fromCoroutine(self._claim(invitation))

    async def _claim(self, invitation: Invitation) -> bool:
        if invitation.id in self._claimed:
            return False
        self._claimed.add(invitation.id)
        there = False
        try:
            there = await self._host.facts.get(self._host.domain, KIND, invitation.id) is not None
        finally:
            if not there:
                self._claimed.discard(invitation.id)
        return there

    def settle(self, invitation: Invitation, used: bool) -> Deferred[None]:
        """See L{IInvitations}."""
        return Deferred.fromCoroutine(self._settle(invitation, used))

    async def _settle(self, invitation: Invitation, used: bool) -> None:
        if used:
            await self.revoke(invitation.id)  # if this fails the claim stays, and nobody uses it before a restart
        self._claimed.discard(invitation.id)


def _toBytes(invitation: Invitation) -> bytes:
    kept = {"username": invitation.username, "expires": invitation.expires, "creator": invitation.creator}
    return json.dumps({**kept, "anyway": True} if invitation.anyway else kept).encode()


def _fromBytes(id: str, data: bytes) -> Invitation:
    kept = json.loads(data)
    return Invitation(id, kept["username"], kept["expires"], kept["creator"], kept.get("anyway", False))


def safeForPasswords(host: IHost, stream: IClientStream) -> bool:
    """Whether this stream may carry what is worth a password: under TLS, or where clients need none."""
    return "tls" in stream.facts or not stream.reception.requireTLS


@implementer(IStreamFeature)
class TokenNegotiation:
    """The stream feature by which a client shows its token."""

    names = (PREAUTH,)
    requires: frozenset[str] = frozenset()
    forbids = frozenset({"authenticated"})
    rank = 24

    def __init__(self, host: IHost, invitations: Invitations) -> None:
        self._host = host
        self._invitations = invitations

    def _possible(self, stream: IClientStream) -> bool:
        return self._host.config.registration != "closed" and safeForPasswords(self._host, stream)

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (XEP-0445 section 3)."""
        return TOKEN_FEATURE if self._possible(stream) else b""

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature} (XEP-0445 section 4)."""
        if not self._possible(stream):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if stanza.type != "set" or (stanza.to is not None and parse(stanza.to).full != self._host.domain):
            raise StanzaError(StanzaCondition.BAD_REQUEST)
        token = stanza.elements()[0].get("token") or ""
        shown = Deferred.fromCoroutine(self._invitations.show(stream, token))
        shown.addCallbacks(
            lambda _: stream.transmit(stanza.result(sender=self._host.domain)),
            lambda failure: stream.transmit(stanza.error(_errorOf(failure), self._host.domain)),
        )
        stream.waitFor(shown)


def _errorOf(failure: Failure) -> StanzaError:
    """What a client is told of a failure."""
    if isinstance(failure.value, StanzaError):
        return failure.value
    if failure.check(StoreUnavailable):
        return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
    log.failure("looking for an invitation failed", failure)
    return StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)


class CreateAccount:
    """The ad-hoc command that makes an invitation (XEP-0401 section 5.4)."""

    form = forms.form(
        "form",
        forms.field("username", type="text-single", label="User name; leave it empty to let them choose"),
        ANYWAY,
        title="Invite somebody to register",
    )

    def __init__(self, host: IHost, invitations: Invitations) -> None:
        self._host = host
        self._invitations = invitations

    async def execute(self, request: Request, values: Mapping[str, tuple[str, ...]] | None) -> CommandAnswer:
        """Ask for a name, then make the invitation."""
        if self._host.config.registration == "closed":
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Registration is closed.")
        if values is None:
            return CommandForm(self.form)
        username = forms.first(values, "username")
        anyway = forms.truth(forms.first(values, "anyway"))
        invitation, token, uri = await self._invitations.create(username, None, request.sender.bare, anyway)
        fields = [forms.field("uri", uri, type="text-single")]
        page = self._host.option(NAME, "landing_page")
        if page:
            fields.append(forms.field("landing-url", f"{page}#{token}", type="text-single"))
        fields.append(forms.field("expire", dateTime(invitation.expires), type="text-single"))
        return CommandResult(forms.form("result", *fields, formType=INVITATION_FORM))


def join(host: IHost) -> None:
    """Offer invitations to administrators, and take them from clients."""
    invitations = Invitations(host)
    host.invitations = invitations
    host.addStreamFeature(TokenNegotiation(host, invitations))
    host.addCommand(Command(CREATE_ACCOUNT, "Invite somebody to register", CreateAccount(host, invitations).execute))


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0445", "0.2.0"), Spec("XEP-0401", "0.6.0")),
    options={
        "days": Option(
            7, "For how many days an invitation can be used.", lambda days: None if days > 0 else "it is not positive"
        ),
        "landing_page": Option("", "A web page that explains invitations; it gets the token behind a #."),
    },
    join=join,
    needs="accounts",
)
