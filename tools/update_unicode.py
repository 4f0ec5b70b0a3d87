"""
Make the data in C{xmppd/wire/data} from the files of the Unicode Consortium and of CLDR.

    python tools/update_unicode.py --ucd DIR --security DIR --cldr DIR

C{--ucd} holds the Unicode Character Database (C{Scripts.txt}, C{extracted/}; Debian: package C{unicode-data},
C{/usr/share/unicode}). C{--security} holds C{confusables.txt} and either C{IdentifierType.txt} or C{ppucd.txt} (in
ICU's source: C{icu/source/data/unidata}). C{--cldr} holds CLDR's folder C{common} (Debian: package
C{unicode-cldr-core}, C{/usr/share/unicode/cldr/common}). All must be of the same version of Unicode; the script stops
if they aren't.

It needs nothing but Python, fetches nothing, and the same input makes the same output, octet for octet. With
C{--verify} it writes nothing and holds L{xmppd.wire.bidi} to the whole of C{BidiCharacterTest.txt} and C{BidiTest.txt}
instead.
"""

from __future__ import annotations

import argparse
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "xmppd" / "wire" / "data"
TESTS = ROOT / "tests" / "wire"
LAST = 0x10FFFF

LATE = (14, 0)
"""The Unicode of Python 3.11, the oldest that we run on: what is younger decomposes by our own table."""

EXEMPLARS = (
    "am ar as bg bn bo cs de dv el en es fa fi fr gu he hi hr hu hy is it ja ka kn ko km lo lt ml mn mr my no ne or pa "
    "pl ps pt ro ru sd si sk sq sr sv ta te th ti tr uk ur vi yue zh"
).split()
"""The languages from whose letters the tests make ordinary names."""


def rows(path: Path) -> Iterator[list[str]]:
    """The fields of each line of a file of the Unicode Character Database, without comments."""
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            text = line.partition("#")[0].strip()
            if text and not text.startswith("@"):
                yield [field.strip() for field in text.split(";")]


def span(text: str) -> range:
    """The code points that a first field names: C{0041} or C{0041..005A}."""
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def version(path: Path) -> str:
    """Which version of Unicode a file says to be of."""
    head = path.read_text(encoding="utf-8-sig")[:2000]
    found = re.search(r"(?:-|Version:? |ucd;)(\d+\.\d+(?:\.\d+)?)", head)
    if found is None:
        sys.exit(f"{path} doesn't say which version it is of")
    return found[1] if found[1].count(".") == 2 else found[1] + ".0"


def column(path: Path, field: int = 1, default: str = "") -> list[str]:
    """One property of every code point."""
    values = [default] * (LAST + 1)
    for row in rows(path):
        for point in span(row[0]):
            values[point] = row[field]
    return values


def members(path: Path, name: str) -> set[int]:
    """The code points with a binary property."""
    return {point for row in rows(path) if row[1] == name for point in span(row[0])}


def aliases(ucd: Path, name: str) -> dict[str, str]:
    """Short names of the values of a property by their long names."""
    return {row[2]: row[1] for row in rows(ucd / "PropertyValueAliases.txt") if row[0] == name}


def bidiClasses(ucd: Path) -> list[str]:
    """The Bidi_Class of every code point, also of those that aren't assigned."""
    path = ucd / "extracted" / "DerivedBidiClass.txt"
    short = aliases(ucd, "bc")
    values = ["L"] * (LAST + 1)
    for points, name in re.findall(r"# @missing: ([0-9A-F.]+); (\w+)", path.read_text(encoding="utf-8")):
        for point in span(points):
            values[point] = short[name]
    for row in rows(path):
        for point in span(row[0]):
            values[point] = row[1]
    return values


def identifierTypes(security: Path) -> list[str]:
    """The Identifier_Type of every code point: sorted names joined by spaces."""
    plain = security / "IdentifierType.txt"
    values = column(plain, 1, "Not_Character") if plain.exists() else parsedTypes(security / "ppucd.txt")
    return [" ".join(sorted(value.split())) for value in values]


def parsedTypes(path: Path) -> list[str]:
    """Identifier_Type from ICU's preparsed database, in which a line inherits from the block around it."""
    values = ["Not_Character"] * (LAST + 1)
    wanted = re.compile(r"(block|cp|unassigned);([0-9A-F.]+)((?:;.*)?)")
    block = "Not_Character"
    for line in path.read_text(encoding="utf-8").splitlines():
        match = wanted.fullmatch(line)
        if match is None:
            continue
        kind, points, fields = match.groups()
        said = re.search(r";ID_Type=([^;]*)", fields)
        if kind == "block":
            block = said[1] if said else "Not_Character"
        value = said[1] if said else "Not_Character" if kind == "unassigned" else block
        for point in span(points):
            values[point] = value
    return values


def flags(ucd: Path, cldr: Path) -> list[str]:
    """The yes-or-no properties of every code point, a letter each."""
    category = column(ucd / "extracted" / "DerivedGeneralCategory.txt")
    combining = column(ucd / "extracted" / "DerivedCombiningClass.txt")
    sets = {
        "c": {point for point in range(LAST + 1) if category[point] in ("Mc", "Me", "Mn")},
        "d": members(ucd / "DerivedCoreProperties.txt", "Default_Ignorable_Code_Point"),
        "e": members(ucd / "emoji" / "emoji-data.txt", "Extended_Pictographic"),
        "m": {point for point in range(LAST + 1) if category[point] == "Mn"},
        "v": {point for point in range(LAST + 1) if combining[point] == "9"},
        "w": members(ucd / "PropList.txt", "White_Space"),
    }
    return ["".join(letter for letter, points in sets.items() if point in points) for point in range(LAST + 1)]


def segments(values: list[tuple[str, ...]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Where each run of equal values begins."""
    start = 0
    for value, run in groupby(values):
        yield start, value
        start += len(list(run))


def characters(ucd: Path, security: Path, cldr: Path) -> Iterator[str]:
    """The lines of C{characters.txt}."""
    short = aliases(ucd, "sc")
    scripts = [short[name] for name in column(ucd / "Scripts.txt", 1, "Unknown")]
    extended = column(ucd / "ScriptExtensions.txt")
    extensions = [" ".join(sorted(own.split())) or script for own, script in zip(extended, scripts, strict=True)]
    table = list(segments(list(zip(
        scripts, extensions, identifierTypes(security), bidiClasses(ucd), flags(ucd, cldr), strict=True,
    ))))
    kinds = sorted({value for _, value in table})
    yield from scriptLines(ucd, cldr, {name for value in kinds for name in [value[0], *value[1].split()]})
    yield from (f"kind;{';'.join(kind)}" for kind in kinds)
    numbers = {kind: number for number, kind in enumerate(kinds)}
    yield from (f"{start:X};{numbers[value]}" for start, value in table)


def scriptLines(ucd: Path, cldr: Path, used: set[str]) -> Iterator[str]:
    """A line for each script: its code, its name, and R if it is recommended for identifiers (UAX #31 table 5)."""
    names = {row[1]: row[2] for row in rows(ucd / "PropertyValueAliases.txt") if row[0] == "sc"}
    usage = {row[0]: row[5] for row in rows(cldr / "properties" / "scriptMetadata.txt")}
    for code in sorted(used):
        recommended = usage.get(code) == "RECOMMENDED" and code not in ("Zyyy", "Zinh")
        yield f"script;{code};{names[code].replace('_', ' ')};{'R' if recommended else ''}"


def confusables(security: Path) -> Iterator[str]:
    """The lines of C{confusables.txt}: a prototype and all that looks like it."""
    sources: dict[str, list[str]] = {}
    for source, target, *_ in rows(security / "confusables.txt"):
        sources.setdefault(target, []).append(source)
    for target, each in sorted(sources.items()):
        yield f"{target};{' '.join(sorted(each))}"


def bidi(ucd: Path) -> Iterator[str]:
    """The lines of C{bidi.txt}: mirrored characters and paired brackets."""
    yield from (f"mirror;{row[0]};{row[1]}" for row in rows(ucd / "BidiMirroring.txt"))
    yield from (f"bracket;{row[0]};{row[1]};{row[2]}" for row in rows(ucd / "BidiBrackets.txt"))


def late(ucd: Path) -> Iterator[str]:
    """The lines of C{late.txt}: combining classes and canonical decompositions younger than the oldest Python knows."""
    ages = column(ucd / "DerivedAge.txt")
    for row in rows(ucd / "UnicodeData.txt"):
        age = ages[int(row[0], 16)]
        if tuple(map(int, age.split("."))) <= LATE:
            continue
        if row[3] != "0" or (row[5] and not row[5].startswith("<")):
            yield f"{row[0]};{row[3]};{'' if row[5].startswith('<') else row[5]}"


def languages(cldr: Path) -> Iterator[str]:
    """The lines of C{languages.txt}: scripts, and the languages, perhaps with a region, that are written in them."""
    primary: dict[str, list[str]] = {}
    secondary: dict[str, list[str]] = {}
    for each in ET.parse(cldr / "supplemental" / "supplementalData.xml").iter("language"):  # noqa: S314 - not a peer's
        scripts = each.get("scripts")
        if scripts:
            table = secondary if each.get("alt") == "secondary" else primary
            table.setdefault(each.get("type", ""), []).extend(scripts.split())
    known = {**secondary, **primary}
    for each in ET.parse(cldr / "supplemental" / "likelySubtags.xml").iter("likelySubtag"):  # noqa: S314
        parts = each.get("from", "").split("_")
        script = each.get("to", "").split("_")[1]
        if parts[0] == "und" or len(parts) > 2 or len(parts[-1]) == 4:
            continue
        if len(parts) == 1:
            known.setdefault(parts[0], [script])
        elif script not in known.get(parts[0], ()):
            known["-".join(parts)] = [script]
    written: dict[str, list[str]] = {}
    for tag, scripts in known.items():
        written.setdefault(" ".join(scripts), []).append(tag)
    yield from (f"{scripts};{' '.join(sorted(tags))}" for scripts, tags in sorted(written.items()))


def exemplars(cldr: Path) -> Iterator[str]:
    """The lines of the tests' C{exemplars.txt}: a language and the letters that it is ordinarily written with."""
    for language in EXEMPLARS:
        found = ET.parse(cldr / "main" / f"{language}.xml").find("characters/exemplarCharacters")  # noqa: S314
        if found is None or not found.text:
            sys.exit(f"CLDR has no exemplar characters for {language}")
        yield f"{language};{' '.join(unicodeSet(found.text))}"


def unicodeSet(text: str) -> list[str]:
    """The elements of one of CLDR's simple sets: letters, ranges and braced sequences in brackets."""
    found: list[str] = []
    pattern = r"\{([^}]*)\}|(\\u[0-9A-Fa-f]{4}|\\.|[^\s\\])(?:-(\\u[0-9A-Fa-f]{4}|[^\s\\]))?"
    for sequence, first, last in re.findall(pattern, text.strip()[1:-1]):
        begin = unescape(sequence or first)
        found.extend(map(chr, range(ord(begin), ord(unescape(last)) + 1)) if last else [begin])
    return sorted(set(found))


def unescape(text: str) -> str:
    """A character of a set, which may be escaped."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})|\\(.)", lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)


def bidiSample(ucd: Path) -> Iterator[str]:
    """Every 150th line of the conformance test of the Bidirectional Algorithm, for our own tests."""
    yield from (";".join(row) for number, row in enumerate(rows(ucd / "BidiCharacterTest.txt")) if number % 150 == 0)


def write(path: Path, source: str, lines: Iterable[str]) -> None:
    """Write a file, headed by where it is from."""
    head = f"# {source}\n# Made by tools/update_unicode.py; Unicode-3.0, see LICENSE-Unicode.txt in xmppd/wire/data.\n"
    path.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} octets")


CLASSES = {
    "L": 0x61, "R": 0x5D0, "AL": 0x627, "EN": 0x30, "ES": 0x2B, "ET": 0x24, "AN": 0x660, "CS": 0x2C, "NSM": 0x300,
    "BN": 0x1, "B": 0x2029, "S": 0x9, "WS": 0x20, "ON": 0x21, "LRE": 0x202A, "LRO": 0x202D, "RLE": 0x202B,
    "RLO": 0x202E, "PDF": 0x202C, "LRI": 0x2066, "RLI": 0x2067, "FSI": 0x2068, "PDI": 0x2069,
}
"""A character of each Bidi_Class, which is no bracket."""


def verify(ucd: Path) -> int:
    """Hold the Bidirectional Algorithm to both conformance tests. Answers the number of failures."""
    sys.path.insert(0, str(ROOT))
    from xmppd.wire import bidi as algorithm

    bases = {"0": algorithm.Direction.LTR, "1": algorithm.Direction.RTL, "2": algorithm.Direction.FIRST_STRONG}
    cases = failures = 0
    for points, base, _, levels, order in rows(ucd / "BidiCharacterTest.txt"):
        text = "".join(chr(int(point, 16)) for point in points.split())
        cases += 1
        failures += algorithm.expectation(text, bases[base]) != (levels.split(), [int(each) for each in order.split()])
    print(f"BidiCharacterTest.txt: {cases} cases, {failures} failures")
    levels, order = [], []
    for line in (ucd / "BidiTest.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("@Levels:"):
            levels = line.split()[1:]
        elif line.startswith("@Reorder:"):
            order = [int(each) for each in line.split()[1:]]
        elif line and line[0] not in "#@":
            classes, _, bits = line.partition(";")
            text = "".join(chr(CLASSES[each]) for each in classes.split())
            choices = (algorithm.Direction.FIRST_STRONG, algorithm.Direction.LTR, algorithm.Direction.RTL)
            for number, base in enumerate(choices):
                if int(bits, 16) & 1 << number:
                    cases += 1
                    failures += algorithm.expectation(text, base) != (levels, order)
    print(f"with BidiTest.txt: {cases} cases, {failures} failures")
    return failures


def main() -> None:
    """Read the arguments, compare the versions, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ucd", "security", "cldr"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--verify", action="store_true")
    told = parser.parse_args()
    if told.verify:
        sys.exit(1 if verify(told.ucd) else 0)
    types = told.security / "IdentifierType.txt"
    read = (
        told.ucd / "Scripts.txt", told.ucd / "ScriptExtensions.txt", told.ucd / "extracted" / "DerivedBidiClass.txt",
        told.security / "confusables.txt", types if types.exists() else told.security / "ppucd.txt",
    )
    versions = {version(path) for path in read}
    if len(versions) != 1:
        sys.exit(f"the files are of different versions of Unicode: {', '.join(sorted(versions))}")
    (unicode,) = versions
    grammar = (told.cldr / "dtd" / "ldml.dtd").read_text(encoding="utf-8")
    stated = re.search(r'cldrVersion CDATA #FIXED "([^"]*)"', grammar)
    cldr = stated[1] if stated else sys.exit("CLDR doesn't say which version it is of")
    source = "Scripts, ScriptExtensions, IdentifierType, DerivedBidiClass, DerivedCoreProperties, PropList and others"
    write(DATA / "characters.txt", f"Unicode {unicode}: {source}", characters(told.ucd, told.security, told.cldr))
    write(DATA / "confusables.txt", f"Unicode {unicode}: confusables.txt of UTS #39", confusables(told.security))
    write(DATA / "bidi.txt", f"Unicode {unicode}: BidiMirroring.txt, BidiBrackets.txt", bidi(told.ucd))
    write(DATA / "late.txt", f"Unicode {unicode}: UnicodeData.txt, what is younger than Unicode 14", late(told.ucd))
    write(DATA / "languages.txt", f"CLDR {cldr}: supplementalData.xml, likelySubtags.xml", languages(told.cldr))
    write(TESTS / "exemplars.txt", f"CLDR {cldr}: main exemplar characters", exemplars(told.cldr))
    write(TESTS / "bidicases.txt", f"Unicode {unicode}: BidiCharacterTest.txt, every 150th", bidiSample(told.ucd))


if __name__ == "__main__":
    main()
