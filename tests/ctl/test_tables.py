"""
Tables for people.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd.ctl.tables import cell, day, octets, span, table


class TableTests(SynchronousTestCase):
    """Columns and cells."""

    def test_columns(self) -> None:
        """Columns are as wide as they have to be, and no line ends with blanks."""
        self.assertEqual(table(("A", "LONG"), [("bcd", 1), ("e", None)]), "A    LONG\nbcd  1\ne    -")

    def test_empty(self) -> None:
        """No rows, no table."""
        self.assertEqual(table(("A",), []), "")

    def test_cell(self) -> None:
        """Nothing is a dash; what disturbs a terminal is escaped."""
        self.assertEqual([cell(each) for each in (None, "", True, False, 0, "a\x1b")], ["-", "-", "yes", "no", "0", "a\\x1b"])

    def test_span(self) -> None:
        """The two largest units."""
        self.assertEqual(
            [span(each) for each in (None, 0, 59.9, 60, 3725, 90_061)], ["-", "0s", "59s", "1m", "1h 2m", "1d 1h"]
        )

    def test_octets(self) -> None:
        """With a decimal unit."""
        self.assertEqual([octets(each) for each in (None, 0, 999, 1000, 2_500_000, 10**13)], ["-", "0", "999", "1.0k", "2.5M", "10000.0G"])

    def test_day(self) -> None:
        """To the minute, in UTC."""
        self.assertEqual((day(None), day(1_700_000_000)), ("-", "2023-11-14 22:13"))
