"""
How fast a guest, and all guests of an address together, may send (XEP-0205 sections 4.5 and 4.7).

A stanza over the pace is answered and goes no further. Answers cost something too, so whoever doesn't heed them is
disconnected.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from xmppd.hooks import Unanswered
from xmppd.ixmppd import ISendRestriction, ISession
from xmppd.restrict.errors import TOO_BIG, TOO_MANY, flooding
from xmppd.restrict.visits import MINUTE, SLOT, Visit, Visits
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.guests")

GONE = Unanswered(StanzaCondition.POLICY_VIOLATION)
"""There is nobody any more who could be answered."""


@implementer(ISendRestriction)
class Pace:
    """One for all guests of a host."""

    def __init__(self, visits: Visits, seconds: Callable[[], float]) -> None:
        self._visits = visits
        self._seconds = seconds

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{ISendRestriction}. Nothing is counted of what is refused."""
        visits = self._visits
        visit: Visit = session.slots[SLOT]
        crowd = visit.crowd
        now = self._seconds()
        size = len(stanza.raw)
        if size > visits.allowed.stanzaBytes:
            return self._refused(session, visit, now, TOO_BIG)
        paces = visits.paces
        stanzas = (visit.stanzas if visit.stanzas > now else now) + paces.secondsPerStanza
        octets = (visit.octets if visit.octets > now else now) + size * paces.secondsPerByte
        if stanzas - now > paces.stanzaRoom or octets - now > paces.byteRoom:
            return self._refused(session, visit, now, TOO_MANY)
        paces = visits.crowdPaces
        together = (crowd.stanzas if crowd.stanzas > now else now) + paces.secondsPerStanza
        octetsTogether = (crowd.octets if crowd.octets > now else now) + size * paces.secondsPerByte
        if together - now > paces.stanzaRoom or octetsTogether - now > paces.byteRoom:
            return self._refused(session, visit, now, TOO_MANY)
        visit.stanzas = stanzas
        visit.octets = octets
        crowd.stanzas = together
        crowd.octets = octetsTogether
        return None

    def _refused(self, session: ISession, visit: Visit, now: float, error: StanzaError) -> StanzaError:
        """Count a refusal, and end the session after too many."""
        if now - visit.refusedSince >= MINUTE:
            visit.refusedSince, visit.refused = now, 0
            log.info("guest refused: jid={jid} reason={reason}", jid=session.full, reason=error.condition)
        visit.refused += 1
        visit.crowd.countRefusal(now)
        most = self._visits.allowed.refusalsPerMinute
        if not most or visit.refused <= most:
            return error
        log.info("guest disconnected: jid={jid} reason=floods", jid=session.full)
        session.end(flooding())
        return GONE
