"""
The measured rates of hits and misses that C{docs/names.rst} gives.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire import rates

PAGE = Path(__file__).parents[2] / "docs" / "names.rst"


class RatesTests(SynchronousTestCase):
    """L{rates}."""

    @spec("mission", "M2")
    def test_page(self) -> None:
        """What the page says is what is measured now; tools/measure_names.py prints what to write otherwise."""
        page = " ".join(PAGE.read_text("utf-8").split())
        for sentence in rates.sentences():
            self.assertTrue(sentence in page, f"not in docs/names.rst: {sentence}")

    @spec("mission", "M2")
    def test_missed(self) -> None:
        """Whatever isn't found is explained: nothing is missed that an address is drawn like."""
        none, mimics = rates.ordinaryRates()
        reasons = {rates.FOUND, rates.TAKEN_APART, rates.TURNED}
        self.assertLessEqual(set(rates.rowRates()), reasons)
        self.assertLessEqual(set(mimics.typed), reasons)
        self.assertLessEqual(set(mimics.prepared), {rates.FOUND, rates.SEEN, rates.IMPOSSIBLE})
        self.assertLess(mimics.typed[rates.TURNED] + mimics.typed[rates.TAKEN_APART], 0.01 * mimics.typed.total())
        self.assertEqual(none + mimics.typed.total(), rates.rowRates().total())

    def test_words(self) -> None:
        """Words are counted once, and so are those that resemble several."""
        self.assertEqual(rates.wordRate(["burn", "Burn", "bum", "modern", "juliet"]), (4, 2))

    @spec("mission", "M2")
    def test_alarms(self) -> None:
        """No ordinary name is odd, and whichever two are alike UTS #39 finds alike."""
        found = rates.alarms()
        self.assertEqual((found.odd, found.unexplained), (0, 0))
        self.assertGreaterEqual(found.scripts, 20)
