"""
When to warn that a certificate of ours is about to end.

There are thresholds, in days before the end, and the end itself. A certificate reaches one after the other, and each is
worth one warning. A threshold counts only for certificates of which that is less than a third of their life, with a day
to spare: automatic renewal begins with a third of it left (L{xmppd.trust.history.DUE}), so before that has failed
there is nothing to worry about, and for a certificate that lives for six days the fourteenth before its end means
nothing.

A certificate ends when the first in its chain does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xmppd.trust.certificatefacts import shownNames, shownTime, timestamp
from xmppd.trust.certificates import Certificate
from xmppd.trust.history import DUE

DAY: Final = 86_400.0

WARNING_DAYS: Final = (30, 14, 7, 3, 1)
"""The thresholds, unless the configuration has others."""

OVER: Final = 0
"""The stage of a certificate that has ended."""


def endOf(certificate: Certificate) -> float:
    """When a certificate, or one in its chain, ends; seconds since the epoch."""
    return min(timestamp(each.not_valid_after_utc) for each in certificate.chain)


def stage(start: float, end: float, now: float, days: Sequence[int] = WARNING_DAYS) -> int | None:
    """
    The last threshold, in days, that a certificate has reached; L{OVER} if it has ended; None before the first.

    @param start: when its life began, seconds since the epoch; C{end} and C{now} likewise.
    """
    if now >= end:
        return OVER
    counting = (each for each in days if (each + 1) * DAY <= (end - start) * DUE)
    return min((each for each in counting if now >= end - each * DAY), default=None)


def isNews(reached: int | None, told: int | None) -> bool:
    """
    Whether there is something to tell.

    @param told: the last threshold that was told of; None: none was.
    """
    return reached is not None and (told is None or reached < told)


def warning(certificate: Certificate, now: float) -> str:
    """What to tell, as a sentence without a full stop."""
    end = endOf(certificate)
    which = f"the certificate for {shownNames(certificate.names)} ({certificate.path.name})"
    if certificate.notAfter > end:
        which = f"an issuer's certificate in the chain of {certificate.path.name}"
    when = shownTime(end)
    if now >= end:
        return f"{which} has expired on {when}: clients and other servers refuse it"
    left = int((end - now) // DAY)
    return f"{which} expires in {left} {'day' if left == 1 else 'days'}, on {when}"
