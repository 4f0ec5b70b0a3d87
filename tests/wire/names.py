"""
Ordinary names for tests, made of the letters that CLDR says languages are written with.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

COUNT = 10_000


def exemplars() -> dict[str, list[str]]:
    """The letters of each language, some of several code points."""
    text = Path(__file__).with_name("exemplars.txt").read_text(encoding="utf-8")
    rows = (line.split(";", 1) for line in text.splitlines() if not line.startswith("#"))
    return {language: [each for each in letters.split(" ") if not each.isdecimal()] for language, letters in rows}


def ordinary() -> Iterator[tuple[str, str]]:
    """
    Languages and names, always the same: three to eight letters, a mark only after a letter; some have a capital, some are
    two words, some end in a digit.
    """
    source = random.Random(39)
    letters = exemplars()
    languages = sorted(letters)
    for number in range(COUNT):
        language = languages[number % len(languages)]
        words = [_word(source, letters[language]) for _ in range(1 + (number % 7 == 0))]
        if number % 3 == 0:
            words = [word[0].upper() + word[1:] for word in words]
        yield language, unicodedata.normalize("NFC", " ".join(words) + ("7" if number % 11 == 0 else ""))


def _word(source: random.Random, letters: list[str]) -> str:
    """Some letters, of which none begins with a mark where another ended with one."""
    word = ""
    for _ in range(source.randrange(3, 9)):
        each = source.choice(letters)
        while _mark(each[0]) and (not word or _mark(word[-1])):
            each = source.choice(letters)
        word += each
    return word


def _mark(character: str) -> bool:
    """Whether a character sits on the one before."""
    return unicodedata.category(character).startswith("M")
