"""
Reporting account affiliations (XEP-0489): others can know that a guest is a guest.

The server marks what its guests send to those who don't know them: subscription requests, presence to rooms and other
strangers, messages. Whoever wants to know of an account asks its bare JID. That an address is a guest's is told to
everybody; what a registered account is, to itself and to those who see its presence, and to all others the same as if
there were no such account. Administrators are members like others are, but for themselves.

Clients can't say it of themselves: where the server marks, it first takes such marks out of what any client of the
domain sends, at the top level of the stanza, where alone they count. Only hosts with guests look at stanzas at all;
what isn't a guest's, and has no mark, passes on as it came.

Left out: C{trust}, since the date a registered account was made on is told in its place.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, ISession, Request
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza

RAA: Final = "urn:xmpp:raa:0"
INFO: Final = f"{RAA} info"
NAMES: Final = frozenset({INFO})
EMBEDDED: Final = (f"{RAA}#embed-message", f"{RAA}#embed-presence-directed", f"{RAA}#embed-presence-sub")
MARK: Final = f"<info xmlns='{RAA}' affiliation='anonymous'/>".encode()

DAY: Final = 86400
"""Seconds; when an account was made is told to the day (section 7.1)."""

RECENT: Final = 30 * DAY
"""How long the date on which an account was registered is told (section 5)."""

SEEING: Final = ("from", "both")
SEEN: Final = ("to", "both")


class Affiliations:
    """What one host tells of its accounts and guests."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    # --- asked (section 4.2)

    async def query(self, request: Request) -> Element:
        """What is an address?"""
        bare = request.target.bare
        sessions = self._host.router.sessionsOf(bare)
        if sessions and sessions[0].account.anonymous:
            return Element("info", RAA, {"affiliation": "anonymous"})
        if not request.own:
            seen = await self._host.presence.subscription(bare, request.sender.bare)
            if seen not in SEEING:
                raise StanzaError(StanzaCondition.FORBIDDEN)
        record = await self._host.accounts.get(bare)
        if record is None:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return Element("info", RAA, self._attributes(request, record.created))

    def _attributes(self, request: Request, created: float) -> dict[str, str]:
        if request.own and self._host.isAdmin(request.target):
            return {"affiliation": "admin"}
        if self._host.config.registration != "open":
            return {"affiliation": "member"}
        attrs = {"affiliation": "registered"}
        if self._host.clock.seconds() - created < RECENT:
            attrs["since"] = dateTime(created // DAY * DAY)
        return attrs

    # --- embedded (section 4.3)

    def outgoing(self, session: ISession, stanza: Stanza) -> Stanza:
        """Take out what a client says of itself, and say what is true of a guest. See C{hooks.outgoing}."""
        if stanza.kind == "iq":
            return stanza
        if INFO in stanza.childNames:
            stanza.strip(NAMES)
        if session.account.anonymous and self._isMarked(session, stanza):
            stanza.append(MARK, (INFO,))
        return stanza

    def _isMarked(self, session: ISession, stanza: Stanza) -> bool:
        """Whether a guest's stanza is marked: not presence for all, and nothing for who knows the guest (section 5)."""
        if stanza.to is None or (stanza.kind == "presence" and stanza.type not in (None, "unavailable", "subscribe")):
            return False
        try:
            to = parse(stanza.to).bare
        except JIDMalformed:
            return False
        known: list[str] = []
        subscription: Deferred[str] = self._host.presence.subscription(session.bare, to)
        subscription.addCallbacks(known.append, lambda failure: None)  # at once: the session's roster is in memory
        return not known or known[0] not in SEEN


def join(host: IHost) -> None:
    """Answer, and mark where there may be guests."""
    affiliations = Affiliations(host)
    host.respond("account", "get", f"{RAA} query", affiliations.query)
    if host.config.guests != "off":
        host.namespaces.update(EMBEDDED)
        host.hooks.outgoing.addChange(affiliations.outgoing)


feature = Feature(
    name="xep0489_raa",
    specs=(Spec("XEP-0489", "0.1.0"),),
    namespaces=(RAA,),
    accountNamespaces=(RAA,),
    join=join,
    after=("rfc6121_im",),
)
