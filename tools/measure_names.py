"""
Measure how many look-alikes are found, and how many names are taken for some that aren't.

    python tools/measure_names.py [WORDS ...]

What it prints stands in C{docs/names.rst} under "How good it is", to which a test holds it; write it there when the
data of Unicode change. It takes some seconds. Files of words, one a line, are looked at besides;
those with an apostrophe are left out.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.wire.rates import sentences, wordRate


def main(files: list[str]) -> None:
    """Print the sentences, as they stand in the page."""
    for each in sentences():
        print(textwrap.fill(each, 120, break_long_words=False, break_on_hyphens=False), end="\n\n")
    for name in files:
        count, alike = wordRate(word for word in Path(name).read_text("utf-8").split("\n") if word and "'" not in word)
        print(f"{name}: of {count:,} words {alike:,} resemble another")


if __name__ == "__main__":
    main(sys.argv[1:])
