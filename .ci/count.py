#!/usr/bin/env python3
"""
Reads what trial printed and says it in one line: "N passed, N failed, N skipped".

    count.py FILE

The last line that begins with PASSED or FAILED counts. A run that ended without one, or ran nothing, is one failure.
The exit code is 0 only if nothing failed.
"""

from __future__ import annotations

import re
import sys

PASSED = ("successes", "expectedFailures")
FAILED = ("failures", "errors", "unexpectedSuccesses")
SKIPPED = ("skips",)


def count(output: str) -> tuple[int, int, int]:
    """How many tests passed, failed and were skipped, by trial's own summary."""
    summaries = re.findall(r"^(PASSED|FAILED)(?: \((.*)\))?\s*$", output, re.MULTILINE)
    if not summaries:
        return 0, 1, 0
    verdict, details = summaries[-1]
    numbers = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", details)}
    passed, failed, skipped = (sum(numbers.get(n, 0) for n in names) for names in (PASSED, FAILED, SKIPPED))
    if (verdict == "FAILED" and not failed) or not passed + failed + skipped:
        failed += 1
    return passed, failed, skipped


if __name__ == "__main__":
    with open(sys.argv[1], errors="replace") as file:
        passed, failed, skipped = count(file.read())
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)
