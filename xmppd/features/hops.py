"""
How the hops to a contact are secured, told to the user who asks (RFC 7590 section 3.6 wants people to be able to know):

    <iq type='get' id='1'><hops xmlns='urn:xmppd:hops:0' to='juliet@example.net'/></iq>

The protocol is in C{docs/hops.rst}. Nothing is looked up and nobody is connected to for it: what is told is what there
is. That there is a stream with another server says that somebody here talks with somebody there, so users are told of
domains only with which they are known to have to do themselves: those of contacts with a subscription, and those to or
from which the session has sent or got something since it first asked. About all others everybody gets the same answer.

What a session sends is looked at from its first question on, so others cost nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IClientStream, IHops, IHost, ISession, PeerHop, PeerSeen, Request
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.proxies import isLoopback
from xmppd.wire.stanza import Stanza

NAME: Final = "hops"
NAMESPACE: Final = "urn:xmppd:hops:0"
HOPS: Final = f"{NAMESPACE} hops"

MOST_DOMAINS: Final = 100
"""How many domains are remembered for a session; the latest."""

MINUTE: Final = 60.0

UNKNOWN: Final = StanzaError(
    StanzaCondition.ITEM_NOT_FOUND, "You have no contact there, and have written to nobody there since you first asked."
)
"""The one answer about domains with which a user has nothing to do."""


class Acquaintance:
    """
    With which domains one session has had to do since it first asked, and how often it has asked lately.

    @ivar domains: the domains; the latest last.
    """

    __slots__ = ("_asked", "_since", "domains")

    def __init__(self, now: float) -> None:
        self.domains: OrderedDict[str, None] = OrderedDict()
        self._asked = 0
        self._since = now

    def mayAsk(self, now: float, most: int) -> bool:
        """Count a question, unless there were too many within a minute."""
        if now - self._since >= MINUTE:
            self._asked, self._since = 0, now
        self._asked += 1
        return not most or self._asked <= most

    def sent(self, session: ISession, stanza: Stanza) -> None:
        """The client has sent something that was let pass. Per stanza."""
        self._note(stanza.attrs.get("to"))

    def delivered(self, session: ISession, stanza: Stanza) -> None:
        """The client gets something. Per stanza."""
        if stanza.attrs.get("type") != "error":
            self._note(stanza.attrs.get("from"))

    def _note(self, address: str | None) -> None:
        if not address:
            return
        try:
            domain = parse(address).domain
        except JIDMalformed:
            return
        self.domains[domain] = None
        self.domains.move_to_end(domain)
        if len(self.domains) > MOST_DOMAINS:
            self.domains.popitem(last=False)


class HopSecurity:
    """Answers users of one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._most: int = host.option(NAME, "questions_per_minute")
        self._tellsHistory: bool = host.option(NAME, "history")

    def ofHost(self, request: Request) -> object:
        """The domain is asked."""
        session = request.session
        if session is None or session.host is not self._host:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return self._answer(request, session)

    def ofAccount(self, request: Request) -> object:
        """An account is asked, its own; of others nothing is told, nor whether they are there."""
        if request.session is None or not request.own:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        return self._answer(request, request.session)

    async def _answer(self, request: Request, session: ISession) -> Element:
        known = self._acquaintance(session)
        if not known.mayAsk(self._host.clock.seconds(), self._most):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "You ask too often; wait a minute.")
        own = Element("client", NAMESPACE, clientAttributes(session.stream))
        raw = request.payload.get("to")
        if raw is None:
            return Element("hops", NAMESPACE, {}, (own,))
        to = parse(raw).toBare()
        return Element("hops", NAMESPACE, {"to": to.full}, (own, *await self._behind(session, known, to)))

    def _acquaintance(self, session: ISession) -> Acquaintance:
        """What is remembered for a session; its first question begins it."""
        known: Acquaintance | None = session.slots.get(NAME)
        if known is None:
            known = session.slots[NAME] = Acquaintance(self._host.clock.seconds())
            session.addObservers(known.sent, known.delivered)
        return known

    async def _behind(self, session: ISession, known: Acquaintance, to: JID) -> tuple[Element, Element]:
        """
        What is behind this server.

        @raise StanzaError: that is not for this user to know.
        """
        hops = self._host.hops
        route = hops.route(to.domain) if hops is not None else "remote"
        if hops is None or (route == "remote" and not await self._concerns(session, known, to)):
            raise UNKNOWN
        if route == "remote":
            return await self._remote(hops, to.domain), Element("contact", NAMESPACE, {"security": "unknown"})
        security = await self._contact(hops, session, to) if route == "same" else "unknown"
        return Element("server", NAMESPACE, {"route": route}), Element("contact", NAMESPACE, {"security": security})

    async def _concerns(self, session: ISession, known: Acquaintance, to: JID) -> bool:
        """Whether a user has to do with a domain elsewhere."""
        if to.domain in known.domains:
            return True
        subscription: str = await self._host.presence.subscription(session.bare, to.full)
        return subscription != "none"

    async def _remote(self, hops: IHops, domain: str) -> Element:
        """The streams with another server; without any, what it has shown last."""
        live = hops.live(self._host.domain, domain)
        if live:
            streams = tuple(map(streamElement, live))
            return Element("server", NAMESPACE, {"route": "remote", "state": "connected"}, streams)
        seen: Iterable[PeerSeen] = await hops.seen(domain) if self._tellsHistory else ()
        attrs = {"route": "remote", "state": "not-connected"}
        return Element("server", NAMESPACE, attrs, tuple(map(seenElement, seen)))

    async def _contact(self, hops: IHops, session: ISession, to: JID) -> str:
        """
        How a user of this server is connected: encrypted if all have to be; else by what the sessions are, for those
        who see them.
        """
        home = hops.home(to.domain)
        stream = session.stream
        if home is None or to.local is None:
            return "unknown"
        if stream is not None and stream.reception.requireTLS:
            return "encrypted"
        if to.full != session.bare and not await self._isSeen(home, to.full, session.bare):
            return "unknown"
        streams = [each.stream for each in home.sessions.get(to.full, {}).values() if each.presence is not None]
        secured = [securityOf(each) != "none" for each in streams if each is not None]
        return "unknown" if not secured else "encrypted" if all(secured) else "not-encrypted"

    async def _isSeen(self, home: IHost, owner: str, watcher: str) -> bool:
        """Whether somebody sees the presence of a user."""
        if await home.presence.subscription(owner, watcher) not in ("from", "both"):
            return False
        veto = await home.presence.vetoOf(owner)
        return veto is None or not veto(watcher)


# --- what is told


def securityOf(stream: IClientStream) -> str:
    """
    What protects a client's stream: "tls" of this server's; "local", it never leaves the machine; "proxy", a reverse
    proxy says that it has TLS; or "none".
    """
    if stream.tls is not None:
        return "tls"
    if isLoopback(stream.address):
        return "local"
    return "proxy" if "tls" in stream.facts else "none"


def clientAttributes(stream: IClientStream | None) -> dict[str, str]:
    """The hop from the client to this server."""
    if stream is None:
        return {"security": "unknown"}
    attrs = {"security": securityOf(stream)}
    if stream.tls is not None:
        attrs.update(version=stream.tls.version, cipher=stream.tls.cipher)
    if stream.mechanism is not None:
        attrs.update(mechanism=stream.mechanism, binding=stream.channelBinding or "none")
    return attrs


def streamElement(hop: PeerHop) -> Element:
    """A stream between servers, in one direction."""
    attrs = {"direction": "out" if hop.outgoing else "in", "security": "none" if hop.version is None else "tls"}
    if hop.version is not None and hop.cipher is not None:
        attrs.update(version=hop.version, cipher=hop.cipher)
    attrs.update(proof=hop.prooftype, authenticated=flag(hop.authenticated), bidi=flag(hop.bidi))
    if hop.mechanism is not None:
        attrs["mechanism"] = hop.mechanism
    if hop.until is not None:
        attrs["until"] = datetime.fromtimestamp(hop.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Element("stream", NAMESPACE, attrs)


def seenElement(seen: PeerSeen) -> Element:
    """What another server has shown; of the moment only the day is told."""
    attrs = {"direction": "out" if seen.outgoing else "in", "proof": seen.prooftype}
    attrs["authenticated"] = flag(seen.authenticated)
    attrs["on"] = datetime.fromtimestamp(seen.last, UTC).strftime("%Y-%m-%d")
    if seen.sha256:
        attrs["sha-256"] = seen.sha256
    if seen.authority:
        attrs["authority"] = seen.authority[:200]
    return Element("seen", NAMESPACE, attrs)


def flag(value: bool) -> str:
    """A value of the type xs:boolean."""
    return "true" if value else "false"


def _atLeastNothing(value: int) -> str | None:
    return None if 0 <= value <= 100_000 else "has to be a number from 0 to 100000"


def join(host: IHost) -> None:
    """Answer."""
    security = HopSecurity(host)
    host.respond("host", "get", HOPS, security.ofHost)
    host.respond("account", "get", HOPS, security.ofAccount)


feature = Feature(
    name=NAME,
    specs=(Spec("RFC 7590"),),
    namespaces=(NAMESPACE,),
    options={
        "questions_per_minute": Option(60, "Questions of a session in a minute; 0 for no limit.", _atLeastNothing),
        "history": Option(True, "Whether users are told what a server that isn't connected has shown last."),
    },
    join=join,
)
