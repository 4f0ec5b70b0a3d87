"""
Which services and users of this server a guest may reach: those the administrator has named, and of the users those
who don't refuse guests themselves.

A user who refuses guests is to a guest as somebody who doesn't exist, for whatever a guest could find out by asking is
what the user doesn't want known. Answers to what such a user has asked a guest get through.
"""

from __future__ import annotations

from typing import Final

from zope.interface import implementer

from xmppd.ixmppd import ISendRestriction, ISession
from xmppd.restrict.nobody import Nobody
from xmppd.restrict.places import Kind, Place, Places
from xmppd.restrict.visits import Visits
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

SERVICE: Final = StanzaError(StanzaCondition.POLICY_VIOLATION, "This service is not for guests.")
PASSING: Final = {
    "iq": frozenset({"result", "error"}),
    "presence": frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed"}),
}
"""
Types of stanzas that get through to users who refuse guests: answers; and subscriptions, which change the guest's own
roster first, and which the host of the user treats as for nobody.
"""

USER: Final = StanzaError(StanzaCondition.POLICY_VIOLATION, "Guests may not write to this user.")


@implementer(ISendRestriction)
class Reach:
    """One for all guests of a host."""

    def __init__(self, visits: Visits, places: Places, nobody: Nobody) -> None:
        self._visits = visits
        self._places = places
        self._nobody = nobody

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{ISendRestriction}."""
        to = stanza.attrs.get("to")
        if to is None:
            return None
        place = self._places.get(to) or self._places.of(to)
        if place.host is not None:
            return self._user(session, stanza, place)
        if place.kind is Kind.SERVICE:
            services = self._visits.allowed.services
            if "*" not in services and place.domain not in services:
                return SERVICE
        return None

    def _user(self, session: ISession, stanza: Stanza, place: Place) -> StanzaError | None:
        bare = place.bare
        assert place.host is not None
        if bare in place.host.guestless:
            if stanza.attrs.get("type") in PASSING.get(stanza.kind, ()):
                return None
            return self._nobody.take(place.host, stanza)
        users = self._visits.allowed.users
        if "*" in users or bare in users or bare == session.bare:
            return None
        return USER
