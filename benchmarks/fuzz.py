"""
Fuzz the XML stream parser and everything that changes stanzas, for a while.

Each input has a number, from which it is made: a stream that nobody would write by hand, or one of the corpus, damaged
in a few places. It is fed to parsers in several cuts, under ordinary and under tight limits, and what is taken out of
it is read by libxml2, see C{tests/wire/properties.py}. The first input that breaks a property is written to the current
directory and ends the run.

    python benchmarks/fuzz.py --seconds 3600 --start 1000000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.wire.properties import check, fuzzed
from tests.wire.test_fuzz import CORPUS, corpus


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the XML stream parser.")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--start", type=int, default=0, help="number of the first input (0)")
    parser.add_argument("--keep", action="store_true", help="add short inputs to the corpus that lead somewhere new")
    return parser.parse_args()


def places(data: bytes) -> frozenset[tuple[str, int, int]]:
    """Which lines of the parser follow one another for an input: file, line before, line."""
    seen: set[tuple[str, int, int]] = set()
    last = 0

    def trace(frame, event, argument):  # type: ignore[no-untyped-def]
        nonlocal last
        if "xmppd/wire" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen.add((frame.f_code.co_name, last, frame.f_lineno))
            last = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return frozenset(seen)


def keep(data: bytes, known: set[tuple[str, int, int]], number: int) -> None:
    """Write an input to the corpus if it leads to a place no other has led to."""
    new = places(data) - known
    if new:
        known |= new
        (CORPUS / f"{number:08}.xml").write_bytes(data)


def run(options: argparse.Namespace) -> int:
    """Fuzz until the time is over; answer the exit status."""
    kept = corpus()
    known: set[tuple[str, int, int]] = set()
    if options.keep:
        for data in kept:
            known |= places(data)
    outcomes: Counter[str] = Counter()
    stanzas = 0
    begun = time.monotonic()
    number = options.start
    while time.monotonic() - begun < options.seconds:
        data = fuzzed(number, kept)
        try:
            condition, count = check(data, number)
        except BaseException:
            traceback.print_exc()
            found = Path(f"fuzz-{number}.xml")
            found.write_bytes(data)
            print(f"input {number} fails, see {found}")
            return 1
        outcomes[condition or "no error"] += 1
        stanzas += count
        if options.keep and len(data) <= 400 and number % 5 == 0:
            keep(data, known, number)
        number += 1
    print(f"{number - options.start} inputs in {options.seconds:.0f} s, {stanzas} stanzas passed on")
    for outcome, count in outcomes.most_common():
        print(f"{count:>8} {outcome}")
    return 0


if __name__ == "__main__":
    os.nice(15)
    sys.exit(run(arguments()))
