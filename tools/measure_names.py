"""
Measure how many look-alikes are found, and how many names are taken for some that aren't.

    python tools/measure_names.py

What it prints stands in C{docs/names.rst} under "How good it is", to which a test holds it; write it there when the
data of Unicode change. It takes some seconds.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.wire.rates import sentences


def main() -> None:
    """Print the sentences, as they stand in the page."""
    for each in sentences():
        print(textwrap.fill(each, 120, break_long_words=False, break_on_hyphens=False), end="\n\n")


if __name__ == "__main__":
    main()
