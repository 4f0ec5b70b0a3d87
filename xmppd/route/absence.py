"""
Presence at a domain that has no users: there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from xmppd.ixmppd import Departure, IPresence, ISession, Veto, VetoPredicate
from xmppd.wire.jid import JID
from xmppd.wire.stanza import Stanza


@implementer(IPresence)
class Absence:
    """See L{IPresence}; of a service (rooms, publish-subscribe …), which takes presence by L{IHost.inbox} if at all."""

    def sent(self, session: ISession, stanza: Stanza) -> None:
        """There are no clients."""

    def arrived(self, stanza: Stanza, to: JID) -> None:
        """There is nobody it could be for."""

    def left(self, session: ISession) -> None:
        """There are no clients."""

    def dissolve(self, departure: Departure) -> None:
        """There are no rosters."""

    def subscription(self, owner: str, contact: str) -> Deferred[str]:
        """There are no rosters."""
        return succeed("none")

    def lists(self, owner: str, contact: str) -> bool | None:
        """There are no rosters."""
        return None

    def passes(self, session: ISession, stanza: Stanza) -> bool:
        """There are no sessions that something could be delivered to."""
        return False

    def vetoOf(self, account: str) -> Awaitable[VetoPredicate | None]:
        """There is nobody to keep apart."""
        return succeed(None)

    def addVeto(self, veto: Veto) -> None:
        """There is nothing to forbid."""

    def conceal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """There is nobody to hide."""

    def reveal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """There is nobody to show."""
