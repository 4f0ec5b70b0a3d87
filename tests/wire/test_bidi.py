"""
The order of display: the Unicode Bidirectional Algorithm.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import bidi
from xmppd.wire.bidi import Direction

BASES = {"0": Direction.LTR, "1": Direction.RTL, "2": Direction.FIRST_STRONG}
TURNING = "ab1(א[ב]ג)٣ب\u0301$,.\t \u2029\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class ConformanceTests(SynchronousTestCase):
    """What UAX #9 says; C{tools/update_unicode.py --verify} holds it to all 950,000 cases of Unicode's own tests."""

    @spec("UTS #39", "4")
    def test_cases(self) -> None:
        """A sample of Unicode's own test, evenly spread."""
        lines = Path(__file__).with_name("bidicases.txt").read_text(encoding="utf-8").splitlines()
        cases = [line.split(";") for line in lines if not line.startswith("#")]
        self.assertGreater(len(cases), 600)
        for points, base, _, levels, order in cases:
            text = "".join(chr(int(point, 16)) for point in points.split())
            wanted = (levels.split(), [int(index) for index in order.split()])
            self.assertEqual(bidi.expectation(text, BASES[base]), wanted, points)

    def test_deep(self) -> None:
        """Embeddings and isolates deeper than the algorithm has levels are passed over (BD2)."""
        for opening, closing in (("\u202b", "\u202c"), ("\u2067", "\u2069")):
            text = opening * 300 + "אב" + closing * 300 + "a"
            self.assertTrue(bidi.display(text, Direction.LTR).endswith("a"))

    def test_brackets(self) -> None:
        """More open brackets than are remembered are no pairs (BD16)."""
        self.assertEqual(len(bidi.display("א" + "(" * 64 + "a" + ")" * 64, Direction.LTR)), 130)


class DisplayTests(SynchronousTestCase):
    """L{bidi.display}."""

    def test_order(self) -> None:
        """Right-to-left letters are turned, brackets between them mirrored, and marks follow their letters."""
        self.assertEqual(bidi.display("אב(ג)", Direction.RTL), "(ג)בא")
        self.assertEqual(bidi.display("אש\u05c2ב", Direction.LTR), "בש\u05c2א")

    def test_override(self) -> None:
        """An override turns any letters."""
        self.assertEqual(bidi.display("a\u202ecb\u202c", Direction.LTR).replace("\u202e", "").replace("\u202c", ""), "abc")

    def test_paragraphs(self) -> None:
        """Each paragraph is turned by itself."""
        self.assertEqual(bidi.display("אב\u2029גד", Direction.LTR), "בא\u2029דג")

    def test_empty(self) -> None:
        """Of nothing comes nothing."""
        self.assertEqual(bidi.display("", Direction.FIRST_STRONG), "")

    @given(st.text(TURNING, max_size=40), st.sampled_from(Direction))
    def test_nothingLost(self, text: str, direction: Direction) -> None:
        """All characters are displayed, once, but for mirroring."""
        mirrored = str.maketrans("([", ")]")
        shown = bidi.display(text, direction)
        self.assertEqual(sorted(shown.translate(mirrored)), sorted(text.translate(mirrored)))

    @given(st.text(TURNING, max_size=40))
    def test_turns(self, text: str) -> None:
        """What doesn't turn is displayed as it is."""
        if not bidi.turns(text):
            self.assertEqual(bidi.display(text, Direction.LTR), text)
