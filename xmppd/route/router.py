"""
Where a stanza goes (hop 5): to a session by the raw C{to}, or through the one door of a domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from xmppd.ixmppd import IDestination, IHost, IRouter, ISession
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza

SUBSCRIPTION_TYPES = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"})
"""Types of presence that concern the account and never a resource (RFC 6121 section 3)."""


def privateRequest(host: IHost, stanza: Stanza) -> StanzaCondition | None:
    """With what strangers are answered if a stanza is a request that only those may make who see presence, or None."""
    if stanza.kind != "iq" or stanza.attrs.get("type") not in ("get", "set") or not stanza.childNames:
        return None
    return host.private.get(stanza.childNames[0])


@implementer(IRouter)
class Router:
    """
    One per process.

    @ivar table: sessions by full JID; the raw C{to} of a stanza is tried as a key before anything is parsed.
    @ivar destinations: doors by domain.
    @ivar remote: the door to all other domains, or None.
    """

    __slots__ = ("bounced", "destinations", "remote", "routed", "table")

    def __init__(self) -> None:
        self.table: dict[str | None, ISession] = {}
        self.destinations: dict[str, IDestination] = {}
        self.remote: IDestination | None = None
        self.routed = 0
        self.bounced = 0

    def route(self, stanza: Stanza) -> None:
        """See L{IRouter}."""
        self.routed += 1
        attrs = stanza.attrs
        session = self.table.get(attrs.get("to"))
        if session is None:
            self._routeByDomain(stanza)
        elif stanza.kind == "message":
            session.deliver(stanza)
        else:
            self.routeTo(session, stanza)

    def routeTo(self, session: ISession, stanza: Stanza) -> None:
        """
        Deliver what is for a session's full JID (RFC 6121 section 8.5.3.1): messages always, answers to IQs too,
        requests only if the user shows presence to the sender, and subscription stanzas and probes not at all.
        """
        kind, type = stanza.kind, stanza.attrs.get("type")
        if kind == "presence" and type in SUBSCRIPTION_TYPES:
            self._routeByDomain(stanza)
            return
        if (kind == "iq" and type not in ("result", "error")) or (kind == "presence" and type == "unavailable"):
            if not session.host.presence.passes(session, stanza):
                condition = privateRequest(session.host, stanza) or StanzaCondition.SERVICE_UNAVAILABLE
                self.bounce(stanza, StanzaError(condition))
                return
        session.deliver(stanza)

    def _routeByDomain(self, stanza: Stanza) -> None:
        """A bare JID, a resource that isn't there, an address written unusually, or another domain."""
        to = stanza.attrs.get("to")
        if to is None:
            to = self._ownBare(stanza)
        try:
            domain = parse(to).domain
        except JIDMalformed as error:
            self.bounce(stanza, error)
            return
        destination = self.destinations.get(domain, self.remote)
        if destination is None:
            self.bounce(stanza, StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND))
        else:
            destination.deliver(stanza)

    def _ownBare(self, stanza: Stanza) -> str:
        """Without C{to} a stanza is for the sender's own account (RFC 6120 section 10.3)."""
        return parse(stanza.attrs["from"]).bare

    def bounce(self, stanza: Stanza, error: StanzaError) -> None:
        """See L{IRouter}."""
        type = stanza.attrs.get("type")
        if type == "error" or (stanza.kind == "iq" and type == "result") or "from" not in stanza.attrs:
            return
        self.bounced += 1
        self.route(stanza.error(error))

    def addDestination(self, destination: IDestination) -> None:
        """See L{IRouter}."""
        if destination.domain in self.destinations:
            raise ValueError(f"{destination.domain} has an owner already")
        self.destinations[destination.domain] = destination

    def removeDestination(self, destination: IDestination) -> None:
        """See L{IRouter}."""
        if self.destinations.get(destination.domain) is destination:
            del self.destinations[destination.domain]

    def session(self, full: str) -> ISession | None:
        """See L{IRouter}."""
        return self.table.get(full)

    def sessionsOf(self, bare: str) -> Sequence[ISession]:
        """See L{IRouter}."""
        destination = self.destinations.get(bare.rpartition("@")[2])
        found: Mapping[str, ISession] = getattr(destination, "sessions", {}).get(bare, {})
        return tuple(found.values())
