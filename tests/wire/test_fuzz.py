"""
A short, deterministic run of the fuzzer (C{benchmarks/fuzz.py} is the long one), and every input it found worth keeping.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.properties import check, fuzzed

CORPUS = Path(__file__).parent.parent / "corpus" / "xmlstream"


def corpus() -> list[bytes]:
    """All inputs kept, in a fixed order."""
    return [path.read_bytes() for path in sorted(CORPUS.glob("*.xml"))]


class FuzzTests(SynchronousTestCase):
    """
    Whatever comes: nothing is raised, it doesn't matter how it was cut, and what is passed on means what it meant.
    """

    def test_corpus(self) -> None:
        """Each kept input."""
        kept = corpus()
        self.assertGreater(len(kept), 10)
        for data in kept:
            check(data)

    def test_mutations(self) -> None:
        """Made-up and damaged inputs, always the same ones."""
        kept = corpus()
        for seed in range(400):
            check(fuzzed(seed, kept), seed)
