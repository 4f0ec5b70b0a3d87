"""
Ids of archived messages (XEP-0313 section 3.1, XEP-0359).

An id begins with the time as a number of fixed width, in microseconds since the epoch, and ends in something that
nobody can guess. So the ids of one archive sort as the messages were archived, and a moment in time is a place among
the ids: a query by time needs no index but that of the ids.
"""

from __future__ import annotations

from collections.abc import Callable

DIGITS = 15
"""How many hexadecimal digits the time has; enough for thirty thousand years."""

_LATEST = 1e12  # seconds; beyond any date that can be written


def prefixOf(stamp: float) -> str:
    """
    What ids of that moment begin with. Ids of later moments sort after it, and so do those of this one; ids of earlier
    ones sort before it.

    @param stamp: seconds since the epoch. Whatever lies before the epoch counts as the epoch.
    @raise ValueError: it is not a number.
    """
    return _prefix(microseconds(stamp))


def prefixBehind(stamp: float) -> str:
    """What sorts after all ids of that moment and before those of later ones; empty if it lies before the epoch."""
    return _prefix(microseconds(stamp) + 1) if stamp >= 0 else ""


def microseconds(stamp: float) -> int:
    """
    A moment in the resolution of ids, which is that of archives.

    @raise ValueError: it is not a number.
    """
    if stamp != stamp:
        raise ValueError("not a moment")
    return round(min(max(stamp, 0.0), _LATEST) * 1e6)


def _prefix(moment: int) -> str:
    return f"{moment:0{DIGITS}x}"


class ArchiveIds:
    """
    Makes ids. They rise strictly, whatever the clock does; hence one is to be shared by all who write to the same
    archives.
    """

    def __init__(self, unguessable: Callable[[], str]) -> None:
        """
        @param unguessable: answers a new text that can't be guessed (L{xmppd.ixmppd.IEntropy.token}), of 1 to 85 ASCII
            characters.
        """
        self._unguessable = unguessable
        self._last = -1

    def take(self, now: float) -> tuple[str, float]:
        """
        A new id, and the stamp that goes with it: C{now}, or the microsecond after that of the last id if the clock
        hasn't gone on since.
        """
        moment = self._last = max(microseconds(now), self._last + 1)
        return _prefix(moment) + self._unguessable(), moment / 1e6
