"""Tests of L{xmppd.wire.dates}."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import dates


class DateTests(SynchronousTestCase):
    """Moments to text and back."""

    @spec("XEP-0082", "3.2")
    def test_dateTime(self) -> None:
        """UTC is written with a Z."""
        self.assertEqual(dates.dateTime(1_000_000_000), "2001-09-09T01:46:40Z")
        self.assertEqual(dates.dateTime(1_000_000_000.25, fraction=True), "2001-09-09T01:46:40.250Z")

    @spec("XEP-0082", "3.1")
    def test_zone(self) -> None:
        """Offsets have sign, hours and minutes."""
        self.assertEqual(dates.zone(timedelta(0)), "Z")
        self.assertEqual(dates.zone(timedelta(hours=1)), "+01:00")
        self.assertEqual(dates.zone(-timedelta(hours=3, minutes=30)), "-03:30")

    def test_fromDateTime(self) -> None:
        """Any zone is read; a moment without one, or a day, is refused."""
        self.assertEqual(dates.fromDateTime("2001-09-09T01:46:40Z"), 1_000_000_000)
        self.assertEqual(dates.fromDateTime("2001-09-09T03:46:40+02:00"), 1_000_000_000)
        for wrong in ("2001-09-09T01:46:40", "2001-09-09", "yesterday"):
            self.assertRaises(ValueError, dates.fromDateTime, wrong)
