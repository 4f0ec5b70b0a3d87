"""
To how many different addresses a guest, and all guests of an address together, may write in a minute (XEP-0205 section
4.6): what spreads spam is not how much somebody says, but to how many.

An address counts from the first stanza to it for a minute, and then anew. A room counts once; an occupant who is
written to in private counts like a user. Answers to others' requests don't count.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from xmppd.ixmppd import ISendRestriction, ISession
from xmppd.restrict.errors import TOO_MANY_RECIPIENTS
from xmppd.restrict.places import Places
from xmppd.restrict.visits import MINUTE, SLOT, Visit, Visits
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza


@implementer(ISendRestriction)
class Recipients:
    """One for all guests of a host."""

    def __init__(self, visits: Visits, places: Places, seconds: Callable[[], float]) -> None:
        self._visits = visits
        self._places = places
        self._seconds = seconds

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{ISendRestriction}."""
        to = stanza.attrs.get("to")
        if to is None:
            return None
        place = self._places.get(to) or self._places.of(to)
        key = place.recipient
        if key is None or place.bare == session.bare:
            return None
        if stanza.kind != "message":
            key = place.bare
        visit: Visit = session.slots[SLOT]
        now = self._seconds()
        known = visit.recipients
        if known is not None and key in known and now - known[key] < MINUTE:
            return None
        if stanza.kind == "iq" and stanza.attrs.get("type") in ("result", "error"):
            return None
        return self._new(visit, key, now)

    def _new(self, visit: Visit, key: str, now: float) -> StanzaError | None:
        """Somebody this guest hasn't written to in the last minute."""
        allowed, crowd = self._visits.allowed, visit.crowd
        most, together = allowed.recipientsPerMinute, allowed.addressRecipientsPerMinute
        if most:
            if visit.recipients is None:
                visit.recipients = {}
            if not hasRoom(visit.recipients, key, now, most):
                return TOO_MANY_RECIPIENTS
        if together:
            if crowd.recipients is None:
                crowd.recipients = {}
            if not hasRoom(crowd.recipients, key, now, together):
                return TOO_MANY_RECIPIENTS
            crowd.recipients.setdefault(key, now)
        if visit.recipients is not None:
            visit.recipients[key] = now
        return None


def hasRoom(recipients: dict[str, float], key: str, now: float, most: int) -> bool:
    """Whether there is room for one more recipient; those that don't count any more leave, the oldest first."""
    since = recipients.get(key)
    if since is not None:
        if now - since < MINUTE:
            return True
        del recipients[key]
    while len(recipients) >= most:
        oldest = next(iter(recipients))
        if now - recipients[oldest] < MINUTE:
            return False
        del recipients[oldest]
    return True
