"""
Entity time (XEP-0202): the server's clock and time zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from xmppd.hooks import EVERYWHERE, Feature, Spec
from xmppd.ixmppd import IClock, IHost, Request
from xmppd.wire import ns
from xmppd.wire.dates import dateTime, zone
from xmppd.wire.element import Element


def localOffset(seconds: float) -> timedelta:
    """The offset of this machine's time zone from UTC at that moment."""
    return datetime.fromtimestamp(seconds).astimezone().utcoffset() or timedelta(0)


class Time:
    """Tells the time."""

    def __init__(self, clock: IClock, offset: Callable[[float], timedelta] = localOffset) -> None:
        self._clock = clock
        self._offset = offset

    def respond(self, request: Request) -> Element:
        """The zone and the moment in UTC (section 2)."""
        now = self._clock.seconds()
        zoned = Element("tzo", ns.TIME, {}, (zone(self._offset(now)),))
        return Element("time", ns.TIME, {}, (zoned, Element("utc", ns.TIME, {}, (dateTime(now),))))


def join(host: IHost) -> None:
    """Answer for the domain."""
    host.respond("host", "get", ns.TIME + " time", Time(host.clock).respond)


feature = Feature(
    name="xep0202_time", specs=(Spec("XEP-0202", "2.0"),), namespaces=(ns.TIME,), join=join, joins=EVERYWHERE
)
