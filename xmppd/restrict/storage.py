"""
What a guest may store, and how much (XEP-0175 section 3, item 4).

All that a guest writes counts, also what is deleted or replaced later: so the disk's work is bounded, and not only its
space. A guest who comes back with another session goes on counting.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from xmppd.ixmppd import ISession, IStorageRestriction
from xmppd.restrict.errors import exceeded
from xmppd.restrict.visits import Stay, Visits, visitOf
from xmppd.wire.errors import StanzaCondition, StanzaError


@implementer(IStorageRestriction)
class Storage:
    """The restriction of one guest; made for each write."""

    __slots__ = ("__provides__", "_stay", "_visits")

    def __init__(self, visits: Visits, stay: Stay) -> None:
        self._visits = visits
        self._stay = stay

    def refuses(self, kind: str, size: int) -> StanzaError | None:
        """See L{IStorageRestriction}."""
        allowed = self._visits.allowed
        if "*" not in allowed.storage and kind not in allowed.storage:
            return StanzaError(StanzaCondition.NOT_ALLOWED, "Guests may not store this here.")
        if self._stay.stored + size > allowed.storageBytes:
            return exceeded("Guests may not store so much here.")
        self._stay.stored += size
        return None


def storages(visits: Visits) -> Callable[[ISession], Storage]:
    """What makes the restriction for each write."""
    return lambda session: Storage(visits, visitOf(session).stay)
