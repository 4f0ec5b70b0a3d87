"""
In-band registration (XEP-0077): accounts are made before the login, changed and cancelled after it.

Who may make one is the host's C{registration}: "closed", "open", or "invite", that is with a token that the stream has
shown before (XEP-0445). Where a password would go in the clear, nothing is offered. From one address only so many
accounts can be made in an hour; attempts count, since each tells whether a name is taken.

Left out: CAPTCHAs, fields other than name and password, redirection, and registration by entities elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address, ip_network

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import (
    IClientStream,
    IClock,
    IHost,
    Invitation,
    ISession,
    IStreamFeature,
    Request,
    StoreUnavailable,
)
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import parse
from xmppd.wire.stanza import Stanza

NAME = "xep0077_register"
QUERY = ns.REGISTER + " query"
FEATURE = f"<register xmlns='{ns.REGISTER_FEATURE}'/>".encode()

LONGEST_PASSWORD = 1023
"""Octets."""

HOUR = 3600.0
"""Seconds."""

ADDRESSES = 10_000
"""How many addresses are remembered."""

log = Logger(namespace="xmppd.features.register")


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, a /64 of IPv6."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return address


class Pace:
    """How often something is done from each address in an hour."""

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, address: str, most: int) -> bool:
        """
        Count one more, unless there were C{most} within the last hour.

        @param most: 0 for no limit.
        """
        if not most:
            return True
        now, key = self._clock.seconds(), network(address)
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        while times and times[0] <= now - HOUR:
            times.popleft()
        if len(times) >= most:
            return False
        times.append(now)
        if len(self._times) > ADDRESSES:
            self._times.popitem(last=False)
        return True


def _names(username: str) -> tuple[Element, ...]:
    """The fields of old (section 3.1)."""
    name = Element("username", ns.REGISTER, {}, (username,) if username else ())
    return name, Element("password", ns.REGISTER)


def _form(username: str) -> Element:
    """The same fields as a form (section 4)."""
    return forms.form(
        "form",
        forms.field("username", *([username] if username else []), type="text-single", label="Name", required=True),
        forms.field("password", type="text-private", label="Password", required=True),
        formType=ns.REGISTER,
        title="Registration",
    )


def given(query: Element) -> tuple[str, str]:
    """User name and password as they were given; the form takes precedence (section 6)."""
    form = forms.formIn(query)
    if form is not None:
        values = forms.values(form)
        return forms.first(values, "username") or "", forms.first(values, "password") or ""
    return query.textOf("username") or "", query.textOf("password") or ""


def checkPassword(password: str) -> None:
    """Refuse no password (section 3.1), or one that is longer than any."""
    if not password:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "A password is needed.")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST_PASSWORD:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"A password has at most {LONGEST_PASSWORD} octets.")


def safeForPasswords(host: IHost, stream: IClientStream) -> bool:
    """
    Whether this stream may carry a password (section 11): under TLS, or where the administrator has said that clients
    need none (C{tls.require_c2s = false}).
    """
    return "tls" in stream.facts or not stream.reception.requireTLS


@implementer(IStreamFeature)
class Registration:
    """Makes accounts for clients that have not logged in."""

    names = (QUERY,)
    requires: frozenset[str] = frozenset()
    forbids = frozenset({"authenticated"})
    rank = 25

    def __init__(self, host: IHost, pace: Pace) -> None:
        self._host = host
        self._pace = pace

    def _possible(self, stream: IClientStream) -> bool:
        return self._host.config.registration != "closed" and safeForPasswords(self._host, stream)

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 8)."""
        return FEATURE if self._possible(stream) else b""

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature} (section 3.1.1)."""
        if stanza.type not in ("get", "set"):
            raise StreamError(StreamCondition.NOT_AUTHORIZED)
        if not self._possible(stream):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if not stanza.id or (stanza.to is not None and parse(stanza.to).full != self._host.domain):
            raise StanzaError(StanzaCondition.BAD_REQUEST)
        invitation = self._admission(stream)
        if stanza.type == "get":
            stream.transmit(stanza.result(self._fields(invitation), self._host.domain))
            return
        registered = Deferred.fromCoroutine(self._register(stream, stanza.elements()[0], invitation))
        registered.addCallbacks(
            lambda _: stream.transmit(stanza.result(sender=self._host.domain)),
            lambda failure: stream.transmit(stanza.error(_errorOf(failure), self._host.domain)),
        )
        stream.waitFor(registered)

    def _admission(self, stream: IClientStream) -> Invitation | None:
        """The invitation that admits the stream; None where none is needed."""
        invitations = self._host.invitations
        invitation = invitations.of(stream) if invitations is not None else None
        if invitation is None and self._host.config.registration != "open":
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "To register here one has to be invited.")
        return invitation

    def _fields(self, invitation: Invitation | None) -> Element:
        """What is wanted (section 3.1)."""
        username = invitation.username or "" if invitation is not None else ""
        text = f"Choose a name and a password for your account at {self._host.domain}."
        instructions = Element("instructions", ns.REGISTER, {}, (text,))
        return Element("query", ns.REGISTER, {}, (instructions, *_names(username), _form(username)))

    async def _register(self, stream: IClientStream, query: Element, invitation: Invitation | None) -> None:
        """Make the account."""
        if query.find("remove") is not None:
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST)
        if NAME in stream.slots:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "One account has been registered here already.")
        username, password = given(query)
        if not username:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "A name is needed.")
        checkPassword(password)
        local = self._host.registrar.prepare(username).rpartition("@")[0]
        if invitation is None:
            if not self._pace.allows(stream.address, self._host.limits.registrationsPerHour):
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many registrations from your address.")
            await self._checkReserved(local)
            making = self._host.registrar.create(username, password)
        else:
            making = Deferred.fromCoroutine(self._registerInvited(invitation, local, password))
        try:
            bare = await making
        except StanzaError as error:
            if error.application:  # the audit log has why (XEP-0165), but not where from
                log.info("refused {name} to {address}", name=ascii(local), address=stream.address, stream=stream.id)
            raise
        stream.slots[NAME] = bare
        log.info("registered {account} from {address}", account=bare, address=stream.address, stream=stream.id)

    async def _registerInvited(self, invitation: Invitation, local: str, password: str) -> str:
        """Use up an invitation, unless something fails (XEP-0445 section 4)."""
        invitations = self._host.invitations
        assert invitations is not None
        if invitation.username is None:
            await self._checkReserved(local)
        elif invitation.username != local:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"The invitation is for {invitation.username}.")
        if not await invitations.claim(invitation):
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "The invitation has been used.")
        try:
            chosen = invitation.username is not None  # by an administrator
            by = (invitation.creator or "an invitation") if chosen else ""
            bare = await self._host.registrar.create(local, password, None, by, chosen and invitation.anyway)
        except BaseException:
            await invitations.settle(invitation, False)
            raise
        try:
            await invitations.settle(invitation, True)
        except StoreUnavailable:
            log.warn("invitation {id} is used up, which could not be stored", id=invitation.id)
        return bare

    async def _checkReserved(self, local: str) -> None:
        """A name in an open invitation is kept for whoever has that (XEP-0445 section 5)."""
        invitations = self._host.invitations
        if invitations is not None and await invitations.reservation(local) is not None:
            raise StanzaError(StanzaCondition.CONFLICT, "There is an account by that name.")


def _errorOf(failure: Failure) -> StanzaError:
    """What a client is told of a failure."""
    if isinstance(failure.value, StanzaError):
        return failure.value
    if failure.check(StoreUnavailable):
        return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
    log.failure("registering an account failed", failure)
    return StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)


class OwnRegistration:
    """What users may do with the account they are logged in with."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    def _session(self, request: Request) -> ISession:
        """The session of a registered user who asks the server or the own account."""
        session = request.session
        if session is None or session.host is not self._host or not (request.own or request.target.isDomain):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if session.account.anonymous:
            raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED)
        return session

    def get(self, request: Request) -> Element:
        """What is on file (section 3.1): the name."""
        local = self._session(request).jid.local or ""
        return Element("query", ns.REGISTER, {}, (Element("registered", ns.REGISTER), *_names(local)))

    async def set(self, request: Request) -> None:
        """Cancel the account (section 3.2) or change its password (section 3.3)."""
        session = self._session(request)
        query = request.payload
        if query.find("remove") is not None:
            await self._remove(session, query)
        else:
            await self._changePassword(session, query)

    async def _remove(self, session: ISession, query: Element) -> None:
        if sum(isinstance(child, Element) for child in query.children) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST)
        if not self._host.option(NAME, "cancel"):
            raise StanzaError(StanzaCondition.NOT_ALLOWED)
        await self._host.registrar.remove(session.bare, session)
        log.info("{account} cancelled the account", account=session.bare)

    async def _changePassword(self, session: ISession, query: Element) -> None:
        username, password = given(query)
        if not self._host.option(NAME, "change_password"):
            raise StanzaError(StanzaCondition.NOT_ALLOWED)
        if session.stream is None or not safeForPasswords(self._host, session.stream):
            raise StanzaError(StanzaCondition.NOT_AUTHORIZED, "Passwords are not taken without TLS.")
        if not username:
            raise StanzaError(StanzaCondition.BAD_REQUEST)
        if username != session.bare and self._host.registrar.prepare(username) != session.bare:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "That is not your name.")
        checkPassword(password)
        await self._host.registrar.setPassword(session.bare, password)
        log.info("{account} changed the password", account=session.bare)


def join(host: IHost) -> None:
    """Offer registration before the login, and answer after it."""
    host.addStreamFeature(Registration(host, Pace(host.clock)))
    own = OwnRegistration(host)
    for target in ("host", "account"):
        host.respond(target, "get", QUERY, own.get)
        host.respond(target, "set", QUERY, own.set)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0077", "2.4"),),
    namespaces=(ns.REGISTER,),
    options={
        "cancel": Option(True, "Whether users may remove their own accounts."),
        "change_password": Option(True, "Whether users may change their own passwords."),
    },
    join=join,
    needs="accounts",
)
