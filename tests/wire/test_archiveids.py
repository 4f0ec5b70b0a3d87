"""
Ids of archived messages.
"""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire.archiveids import ArchiveIds, microseconds, prefixBehind, prefixOf

steady = settings(max_examples=200, deadline=None, database=None, derandomize=True)

NOW = 1_700_000_000.0
MOMENTS = st.floats(min_value=0, max_value=253402300800)  # until the end of the year 9999


class PrefixTests(SynchronousTestCase):
    """L{prefixOf} and L{prefixBehind}."""

    @steady
    @given(MOMENTS, MOMENTS)
    def test_sortsLikeTime(self, one, other):
        """Moments and what ids begin with sort alike, to the microsecond."""
        if microseconds(one) < microseconds(other):
            self.assertLess(prefixOf(one), prefixOf(other))
            self.assertLessEqual(prefixBehind(one), prefixOf(other))
        elif microseconds(one) == microseconds(other):
            self.assertEqual(prefixOf(one), prefixOf(other))

    @steady
    @given(MOMENTS)
    def test_embraces(self, moment):
        """An id of a moment lies between the two."""
        self.assertLess(prefixOf(moment), prefixOf(moment) + "\0")
        self.assertLess(prefixOf(moment) + "\U0010ffff", prefixBehind(moment))

    def test_extremes(self):
        """What lies outside of time is taken for its ends; what is no number is refused."""
        self.assertEqual(prefixOf(-5.0), prefixOf(0.0))
        self.assertEqual(prefixBehind(-5.0), "")
        self.assertEqual(prefixOf(float("inf")), prefixOf(1e300))
        self.assertEqual(len(prefixBehind(float("inf"))), len(prefixOf(0.0)))
        for call in (prefixOf, microseconds):
            self.assertRaises(ValueError, call, float("nan"))


class ArchiveIdsTests(SynchronousTestCase):
    """L{ArchiveIds}."""

    @spec("XEP-0313", "3.1")
    def test_rises(self):
        """Ids rise also while the clock stands or goes back, and each is made from the stamp that comes with it."""
        tails = count(1000, -1)
        ids = ArchiveIds(lambda: str(next(tails)))
        given = [ids.take(now) for now in (NOW, NOW, NOW, NOW + 1, NOW - 3600, NOW + 2, 0.0)]
        self.assertEqual(given, sorted(given))
        self.assertEqual(len({id for id, _ in given}), len(given))
        for id, stamp in given:
            self.assertTrue(id.startswith(prefixOf(stamp)))
        self.assertEqual([given[0][1], given[3][1], given[5][1]], [NOW, NOW + 1, NOW + 2])

    def test_unguessable(self):
        """The end of an id is what it was given."""
        id, _ = ArchiveIds(lambda: "sesame").take(NOW)
        self.assertEqual(id, prefixOf(NOW) + "sesame")
