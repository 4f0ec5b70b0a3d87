"""L{xmppd.counters}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd import counters
from xmppd.counters import Counters


class CountersTests(SynchronousTestCase):
    """What is counted."""

    def setUp(self) -> None:
        self.counters = Counters()

    def test_labels(self) -> None:
        """Each combination of labels has its number."""
        tally = self.counters.tally("evil_stanzas", "Refused.", "host", "direction")
        tally.add("example.org", "in")
        tally.add("example.org", "in", by=2)
        tally.add("example.org", "out")
        self.assertEqual(tally.values, {("example.org", "in"): 3, ("example.org", "out"): 1})
        self.assertEqual(tally.total, 4)

    def test_shared(self) -> None:
        """Several hosts that ask for one name count in the same place; other labels are a mistake."""
        tally = self.counters.tally("x", "X.", "host")
        self.assertIs(self.counters.tally("x", "X.", "host"), tally)
        self.assertRaises(ValueError, self.counters.tally, "x", "X.")
        self.assertIn(tally, list(self.counters))

    def test_zero(self) -> None:
        """What has no labels is there before anything was counted."""
        tally = self.counters.tally("x", "X.")
        self.assertEqual(tally.values, {(): 0})
        tally.add()
        self.assertEqual(tally.values, {(): 1})

    def test_wrong(self) -> None:
        """Names that Prometheus wouldn't take, and the wrong number of labels."""
        for name in ("", "Ab", "a-b", "a__b", "_a", "1a", "a\n"):
            self.assertRaises(ValueError, self.counters.tally, name, "X.")
        self.assertRaises(ValueError, self.counters.tally, "x", "X.", "to-be")
        self.assertRaises(ValueError, self.counters.tally("y", "Y.", "host").add)

    def test_bounded(self) -> None:
        """Labels that somebody can make up are one, beyond a bound."""
        self.patch(counters, "MOST", 2)
        tally = self.counters.tally("x", "X.", "who")
        for name in ("a", "b", "c", "d", "a"):
            tally.add(name)
        self.assertEqual(tally.values, {("a",): 2, ("b",): 1, ("other",): 2})
