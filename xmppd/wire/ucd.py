"""
What the Unicode Consortium knows of characters, and CLDR of languages: the tables behind L{xmppd.wire.confusable}.

Python's own C{unicodedata} is as old as Python is, and has neither scripts nor anything of UTS #39. These tables are of
one version whatever Python runs, so that what was computed with one Python and stored is still right with the next.
They are read from C{xmppd/wire/data} when they are first asked for: some ten milliseconds, and nothing for those whose
names are plain ASCII. C{tools/update_unicode.py} makes them.

Sets of scripts are integers with a bit for each script: intersections, which are all that UTS #39 is made of, cost
nothing.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).with_name("data")
"""The folder with the tables."""

UNICODE: Final = "17.0.0"
"""Which version of Unicode the tables are of. A test compares it with what they say."""

CLDR: Final = "48"
"""Which version of CLDR the scripts of languages are of."""

JPAN: Final = "Jpan"
HANB: Final = "Hanb"
KORE: Final = "Kore"

COMBINED: Final = {JPAN: ("Hani", "Hira", "Kana"), HANB: ("Hani", "Bopo"), KORE: ("Hani", "Hang")}
"""The writing systems of several scripts that augment a set of scripts (UTS #39 section 5.1, table 1a)."""

WRITTEN: Final = {
    "Aran": ("Arab",), "Cyrs": ("Cyrl",), "Geok": ("Geor",), "Hanb": ("Hani", "Bopo"), "Hans": ("Hani",),
    "Hant": ("Hani", "Bopo"), "Hntl": ("Hani", "Latn"), "Hrkt": ("Hira", "Kana"), "Jamo": ("Hang",),
    "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hani", "Hang"), "Latf": ("Latn",), "Latg": ("Latn",),
    "Syre": ("Syrc",), "Syrj": ("Syrc",), "Syrn": ("Syrc",),
}
"""The scripts of the character database behind those codes of ISO 15924 that are none: variants and combinations."""

ALLOWED_TYPES: Final = frozenset({"Recommended", "Inclusion"})
"""Characters with these types only are allowed in identifiers (UTS #39 section 3.1)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    What is to be known of a character.

    @ivar script: the code of its Script, C{Zyyy} if many have it in common.
    @ivar scripts: its Script_Extensions, augmented by the writing systems of several scripts: a set of bits, all of
        them for what goes with any script (UTS #39 section 5.1).
    @ivar types: its Identifier_Type.
    @ivar allowed: whether its Identifier_Status is Allowed.
    @ivar bidi: its Bidi_Class.
    @ivar ignorable: whether it is normally not displayed (Default_Ignorable_Code_Point).
    @ivar pictographic: whether it is, or may become, an emoji.
    @ivar combining: whether it is a combining mark of any kind.
    @ivar mark: whether it is a nonspacing mark.
    @ivar virama: whether it joins consonants of an Indic script.
    @ivar space: whether it is white space.
    """

    script: str
    scripts: int
    types: frozenset[str]
    allowed: bool
    bidi: str
    ignorable: bool
    pictographic: bool
    combining: bool
    mark: bool
    virama: bool
    space: bool


@dataclass(frozen=True, slots=True)
class Characters:
    """
    The table of all code points, in runs of equal kinds.

    @ivar starts: the first code point of each run.
    @ivar runs: the kind of each run.
    @ivar bits: the bit of each script.
    @ivar names: the English name of each script by its code.
    @ivar recommended: the scripts that UAX #31 recommends for identifiers, as a set of bits.
    """

    starts: list[int]
    runs: list[Kind]
    bits: dict[str, int]
    names: dict[str, str]
    recommended: int


def lines(name: str) -> Iterator[list[str]]:
    """The fields of each line of a table."""
    for line in (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line.split(";")


def text(points: str) -> str:
    """The characters that a field names in hexadecimal."""
    return "".join([chr(int(point, 16)) for point in points.split()])


@cache
def characters() -> Characters:
    """The table of all code points."""
    found = Characters([], [], {name: 1 << number for number, name in enumerate(COMBINED)}, {}, 0)
    kinds: list[Kind] = []
    recommended = 0
    for row in lines("characters"):
        if len(row) == 2:
            found.starts.append(int(row[0], 16))
            found.runs.append(kinds[int(row[1])])
        elif row[0] == "kind":
            kinds.append(_kind(row, found.bits))
        else:
            found.bits[row[1]] = 1 << len(found.bits)
            found.names[row[1]] = row[2]
            recommended |= found.bits[row[1]] if row[3] else 0
    return Characters(found.starts, found.runs, found.bits, found.names, recommended)


def _kind(row: list[str], bits: dict[str, int]) -> Kind:
    """A kind from its line."""
    _, script, extensions, types, bidi, flags = row
    each = frozenset(types.split())
    return Kind(
        script, _augmented(extensions.split(), bits), each, each <= ALLOWED_TYPES, bidi,
        "d" in flags, "e" in flags, "c" in flags, "m" in flags, "v" in flags, "w" in flags,
    )


def _augmented(codes: list[str], bits: dict[str, int]) -> int:
    """The augmented script set of a character with these extensions (UTS #39 section 5.1)."""
    if "Zyyy" in codes or "Zinh" in codes:
        return -1
    found = 0
    for code in codes:
        found |= bits[code]
    for system, parts in COMBINED.items():
        if not set(parts).isdisjoint(codes):
            found |= bits[system]
    return found


@lru_cache(8192)
def kind(character: str) -> Kind:
    """What is to be known of C{character}, a string of one code point."""
    table = characters()
    return table.runs[bisect_right(table.starts, ord(character)) - 1]


def codes(scripts: int) -> frozenset[str]:
    """The codes of the scripts in a set of bits, without the writing systems of several scripts."""
    return frozenset(code for code, bit in characters().bits.items() if bit & scripts and code not in COMBINED)


def points(test: str) -> Iterator[range]:
    """The runs of code points for which an attribute of their kind is true."""
    table = characters()
    for number, each in enumerate(table.runs):
        if getattr(each, test):
            yield range(table.starts[number], table.starts[number + 1] if number + 1 < len(table.starts) else 0x110000)


@cache
def _late() -> tuple[frozenset[str], dict[str, str], dict[str, int]]:
    """What is younger than some Pythons that we run on: all such characters, decompositions, combining classes."""
    rows = [(text(point), int(order), text(parts)) for point, order, parts in lines("late")]
    decompositions = {point: parts for point, _, parts in rows if parts}
    return frozenset(point for point, _, _ in rows), decompositions, {point: order for point, order, _ in rows}


def decompose(name: str) -> str:
    """
    Normalisation Form D in the Unicode of the tables, whatever Python's own.

    Quadratic in a run of combining marks: bound the length first.
    """
    young, decompositions, classes = _late()
    if young.isdisjoint(name):
        return unicodedata.normalize("NFD", name)
    parts = unicodedata.normalize("NFD", name)
    while not decompositions.keys().isdisjoint(parts):
        parts = "".join([decompositions.get(each, each) for each in parts])
    return _ordered(parts, classes)


def _ordered(name: str, classes: dict[str, int]) -> str:
    """The Canonical Ordering Algorithm (Unicode, definition D109)."""
    found: list[str] = []
    run: list[tuple[int, str]] = []
    for each in name:
        order = classes.get(each) or unicodedata.combining(each)
        if order == 0:
            found += [mark for _, mark in sorted(run, key=lambda pair: pair[0])]
            run = []
            found.append(each)
        else:
            run.append((order, each))
    return "".join([*found, *[mark for _, mark in sorted(run, key=lambda pair: pair[0])]])


@cache
def prototypes() -> dict[int, str | None]:
    """
    What each character is drawn like, for C{str.translate}: None for those that aren't drawn (UTS #39 section 4).
    """
    found: dict[int, str | None] = {}
    for target, sources in lines("confusables"):
        prototype = text(target)
        found.update((int(source, 16), prototype) for source in sources.split())
    for run in points("ignorable"):
        found.update((point, None) for point in run)
    return found


@cache
def mirrors() -> dict[str, str]:
    """The Bidi_Mirroring_Glyph of each character that has one."""
    return {text(row[1]): text(row[2]) for row in lines("bidi") if row[0] == "mirror"}


@cache
def brackets() -> tuple[dict[str, str], dict[str, str]]:
    """
    The paired brackets (UAX #9, BD14 and BD15): of each opening and of each closing one what identifies the pair.
    """
    openers: dict[str, str] = {}
    closers: dict[str, str] = {}
    for row in lines("bidi"):
        if row[0] == "bracket":
            one, other = text(row[1]), text(row[2])
            opens = row[3] == "o"
            pair = unicodedata.normalize("NFD", one if opens else other)
            (openers if opens else closers)[one] = pair
    return openers, closers


@cache
def languages() -> dict[str, frozenset[str]]:
    """The scripts that a language is written in, by its tag in lower case, perhaps with a region."""
    found: dict[str, frozenset[str]] = {}
    for written, tags in lines("languages"):
        scripts = frozenset(code for each in written.split() for code in WRITTEN.get(each, (each,)))
        found.update((tag.lower(), scripts) for tag in tags.split())
    return found
