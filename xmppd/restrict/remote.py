"""
Guests and users of other servers don't talk to each other, in either direction (XEP-0175 section 3, item 2).

What a guest sends to another server is answered with C{policy-violation}. What another server sends to a guest is
answered as if there were no such user: so is every way in covered, the guest's sessions, and what the server does or
keeps on the guest's behalf. Each is logged, but no more than so many a second, and never with what was said.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger
from zope.interface import implementer

from xmppd.ixmppd import IHost, IReceiveRestriction, ISendRestriction, ISession, Request, VetoPredicate
from xmppd.restrict.nobody import SILENT, Nobody
from xmppd.restrict.places import Kind, Places
from xmppd.restrict.visits import Visits
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.guests")

LINES_PER_SECOND: Final = 10
"""How many lines a second are logged of what was refused."""

REFUSED: Final = StanzaError(StanzaCondition.POLICY_VIOLATION, "Guests may not talk to users of other servers.")


class Journal:
    """Notes what was refused, but for too much."""

    def __init__(self, host: IHost) -> None:
        self._clock = host.clock
        self._second = 0
        self._lines = 0
        self._unnoted = 0

    def note(self, direction: str, stanza: Stanza) -> None:
        """Write a line about a stanza."""
        second = int(self._clock.seconds())
        if second != self._second:
            if self._unnoted:
                log.info("guests refused: {count} more stanzas", count=self._unnoted)
            self._second, self._lines, self._unnoted = second, 0, 0
        if self._lines >= LINES_PER_SECOND:
            self._unnoted += 1
            return
        self._lines += 1
        log.info(
            "guest refused: reason=remote direction={direction} kind={kind} from={sender!r} to={to!r}",
            direction=direction,
            kind=stanza.kind,
            sender=stanza.attrs.get("from", ""),
            to=stanza.attrs.get("to", "")[:3071],
        )


@implementer(ISendRestriction)
class RemoteOut:
    """What a guest sends. One for all guests of a host."""

    def __init__(self, visits: Visits, places: Places, journal: Journal) -> None:
        self._visits = visits
        self._places = places
        self._journal = journal

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{ISendRestriction}."""
        to = stanza.attrs.get("to")
        if to is None:
            return None
        place = self._places.get(to) or self._places.of(to)
        if place.kind is not Kind.REMOTE or self._visits.allowed.remote:
            return None
        self._journal.note("out", stanza)
        return REFUSED


@implementer(IReceiveRestriction)
class RemoteIn:
    """What comes for a guest. One for all guests of a host."""

    def __init__(self, host: IHost, visits: Visits, places: Places, journal: Journal, nobody: Nobody) -> None:
        self._host = host
        self._visits = visits
        self._places = places
        self._journal = journal
        self._nobody = nobody
        self._refused: Stanza | None = None

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{IReceiveRestriction}. A stanza that is delivered to several resources is answered once."""
        sender = stanza.attrs.get("from")
        if sender is None:
            return None
        place = self._places.get(sender) or self._places.of(sender)
        if place.kind is not Kind.REMOTE or self._visits.allowed.remote:
            return None
        if stanza is self._refused:
            return SILENT
        self._refused = stanza
        self._journal.note("in", stanza)
        return self._nobody.take(self._host, stanza)

    def join(self) -> None:
        """Stand in the other ways to a guest, too."""
        hooks = self._host.hooks
        hooks.arriving.addRefusal(self.arriving, first=True)  # nobody shall have seen, kept or looked up anything
        hooks.asked.addRefusal(self.asked)
        if self._host.presence is not None:
            self._host.presence.addVeto(self.veto)

    def arriving(self, stanza: Stanza) -> StanzaError | None:
        """A stanza comes from another server. See C{hooks.arriving}."""
        try:
            bare = parse(stanza.attrs.get("to", "")).bare
        except JIDMalformed:
            return None
        if not self._isGuest(bare) or self._visits.allowed.remote:
            return None
        self._journal.note("in", stanza)
        return self._nobody.take(self._host, stanza)

    def asked(self, request: Request) -> StanzaError | None:
        """Somebody asks for what the server knows of a guest. See C{hooks.asked}."""
        if request.session is not None or self._visits.allowed.remote or not self._isGuest(request.target.bare):
            return None
        if not self._places.isRemote(request.sender.full):
            return None
        self._journal.note("in", request.stanza)
        return StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    def veto(self, account: str) -> VetoPredicate | None:
        """Between whom no presence may pass. See L{xmppd.ixmppd.IPresence.addVeto}."""
        if self._visits.allowed.remote or not self._isGuest(account):
            return None
        return self._places.isRemote

    def _isGuest(self, bare: str) -> bool:
        sessions: Any = self._host.sessions.get(bare)
        return bool(sessions) and next(iter(sessions.values())).account.anonymous
