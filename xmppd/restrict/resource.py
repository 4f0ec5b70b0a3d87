"""
The resource of a guest: made by the server, if it is so configured (XEP-0175 section 3, item 1), and no more sessions
of one guest than there may be (XEP-0205 section 4.4).
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from xmppd.ixmppd import IAccount, IBindRestriction, IHost
from xmppd.restrict.errors import exceeded
from xmppd.restrict.visits import Visits, endWaiting


@implementer(IBindRestriction)
class Resource:
    """The restriction of one account that is about to have a session."""

    __slots__ = ("__provides__", "_account", "_host", "_visits")

    def __init__(self, host: IHost, visits: Visits, account: IAccount) -> None:
        self._host = host
        self._visits = visits
        self._account = account

    def resourceFor(self, requested: str | None) -> str | None:
        """See L{IBindRestriction}."""
        allowed = self._visits.allowed
        there = self._host.sessions.get(self._account.jid.bare)
        if there and len(there) >= allowed.resources and not endWaiting(tuple(there.values())):
            raise exceeded("You have too many sessions.")
        return None if allowed.serverResource else requested


def resources(host: IHost, visits: Visits) -> Callable[[IAccount], Resource]:
    """What makes the restriction of each guest."""
    return lambda account: Resource(host, visits, account)
