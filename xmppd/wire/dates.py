"""
Dates and times as XMPP writes them (XEP-0082).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def dateTime(seconds: float, fraction: bool = False) -> str:
    """
    The DateTime profile, in UTC (XEP-0082 section 3.2).

    @param seconds: since the epoch.
    @param fraction: whether milliseconds are told.
    """
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if fraction else "seconds") + "Z"


def zone(offset: timedelta) -> str:
    """An offset from UTC as time zone definition: "Z", "+01:00", "-03:30" (XEP-0082 section 3.1)."""
    minutes = round(offset.total_seconds() / 60)
    if minutes == 0:
        return "Z"
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def fromDateTime(text: str) -> float:
    """
    Seconds since the epoch of a DateTime with zone.

    @raise ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text:
        raise ValueError("no date and time with a zone")
    return moment.timestamp()
