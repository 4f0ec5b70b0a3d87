"""
Names that look like other names: the machinery of XEP-0165, on the data of UTS #39 (Unicode Security Mechanisms).

Nothing here decides anything: these functions say what a name is made of and which names are drawn alike; what to make
of it is policy and lives elsewhere. C{docs/names.rst} shows how to use them, in clients too: this module,
L{xmppd.wire.bidi} and L{xmppd.wire.ucd} need nothing but Python.

 - L{skeleton}, L{confusion}: exactly what UTS #39 says, equal to what ICU answers.
 - L{keys}, L{resembles}: what a person would mix up, which is more: letter case, small capitals, white space, and
   characters that UTS #39 has no row for, such as the Cherokee letter in the document's own example.
 - L{level}, L{scripts}, L{counterparts}: which scripts a name mixes, and in which others it could be imitated.
 - L{inspect}, L{describe}: all that is odd about a name, and its characters one by one.
 - L{outside}: whether a name leaves the scripts of some languages (XEP-0165 section 2.1).

A name that was seen before costs a look into a bounded cache; a plain ASCII name doesn't even load the tables. Each
function raises L{TooLong} for what has more than L{LONGEST} code points, since normalisation is quadratic in combining
marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from functools import cache, lru_cache
from typing import Final, TypeVar

from xmppd.wire import bidi, ucd
from xmppd.wire.bidi import Direction

__all__ = [
    "CACHED_LENGTH", "CACHE_SIZE", "LONGEST", "Character", "Confusion", "Direction", "Findings", "Level", "Oddity",
    "TooLong", "confusion", "counterparts", "describe", "inspect", "internalSkeleton", "keys", "level", "outside",
    "resembles", "scripts", "scriptsOf", "skeleton",
]

LONGEST: Final = 1023
"""The most code points of a name: a part of an address has no more octets (RFC 7622 section 3.1)."""

CACHE_SIZE: Final = 4096
"""How many names each function remembers."""

CACHED_LENGTH: Final = 128
"""Longer names, in code points, are not remembered, so that nobody can fill the caches with megabytes."""

MOST_MARKS: Final = 4
"""How many nonspacing marks may follow each other (UTS #39 section 5.4)."""

T = TypeVar("T")


class TooLong(ValueError):
    """A text has more than L{LONGEST} code points."""


@unique
class Level(IntEnum):
    """
    How freely a name mixes scripts (UTS #39 section 5.2): the higher, the more room for mimicry.

    C{ASCII_ONLY}; C{SINGLE_SCRIPT}; C{HIGHLY_RESTRICTIVE}: as Japanese, Chinese and Korean are written, with Latin;
    C{MODERATELY_RESTRICTIVE}: Latin with another recommended script that isn't Cyrillic or Greek;
    C{MINIMALLY_RESTRICTIVE}: any mixture; C{UNRESTRICTED}: with characters that have no place in identifiers.
    """

    ASCII_ONLY = 1
    SINGLE_SCRIPT = 2
    HIGHLY_RESTRICTIVE = 3
    MODERATELY_RESTRICTIVE = 4
    MINIMALLY_RESTRICTIVE = 5
    UNRESTRICTED = 6


@unique
class Confusion(Enum):
    """How different names are drawn alike (UTS #39 section 4): within a script, or each in one, or mixing scripts."""

    SINGLE_SCRIPT = "single-script"
    WHOLE_SCRIPT = "whole-script"
    MIXED_SCRIPT = "mixed-script"


@unique
class Oddity(Enum):
    """
    What an ordinary name doesn't have.

    C{MIXED_SCRIPTS}: more than L{Level.HIGHLY_RESTRICTIVE}. C{INVISIBLE}: characters that aren't drawn, other than
    where scripts and emoji need them. C{BLANK}: nothing in it is drawn. C{PADDED}: white space at an end, twice in a
    row, or other than U+0020, and U+3000 between ideographs. C{BIDI_CONTROL}: characters that change the direction.
    C{TURNED}: letters of both directions. C{MIXED_NUMBERS}: digits of several systems (UTS #39 section 5.3).
    C{MARKS}: too many marks on a letter, or one twice (section 5.4).
    """

    MIXED_SCRIPTS = "mixed-scripts"
    INVISIBLE = "invisible"
    BLANK = "blank"
    PADDED = "padded"
    BIDI_CONTROL = "bidi-control"
    TURNED = "turned"
    MIXED_NUMBERS = "mixed-numbers"
    MARKS = "marks"


@dataclass(frozen=True, slots=True)
class Character:
    """
    A character of a name, for people to look at.

    @ivar character: itself, a string of one code point.
    @ivar code: as Unicode writes its number, C{U+0430}.
    @ivar name: its name, or what kind of code point it is if Python knows none.
    @ivar script: the English name of its script; C{Common} and C{Inherited} go with any.
    @ivar allowed: whether it is allowed in identifiers (UTS #39 section 3.1).
    @ivar types: its Identifier_Type, which says why not.
    @ivar like: what it is drawn like, if that is something else; empty if it isn't drawn.
    """

    character: str
    code: str
    name: str
    script: str
    allowed: bool
    types: frozenset[str]
    like: str | None


@dataclass(frozen=True, slots=True)
class Findings:
    """
    What a name is made of.

    @ivar text: the name.
    @ivar level: its restriction level (UTS #39 section 5.2). Names with spaces, capitals of other widths, emoji and the
        like are C{UNRESTRICTED}, since they are no identifiers.
    @ivar mixing: the same by its scripts alone; never C{UNRESTRICTED}.
    @ivar scripts: the codes (ISO 15924) of the scripts that occur, without those that go with any.
    @ivar restricted: where there are characters that have no place in identifiers. All of these are indices of the
        text.
    @ivar invisible: where there are characters that aren't drawn, other than where scripts and emoji need them.
    @ivar spaces: where there is white space other than single U+0020, or U+3000 of ideographs, between words.
    @ivar controls: where there are characters that change the direction.
    @ivar marks: where there are too many marks on a letter, or one twice.
    @ivar digits: the zeros of the systems of numbers that occur.
    @ivar oddities: what an ordinary name doesn't have.
    """

    text: str
    level: Level
    mixing: Level
    scripts: frozenset[str]
    restricted: tuple[int, ...]
    invisible: tuple[int, ...]
    spaces: tuple[int, ...]
    controls: tuple[int, ...]
    marks: tuple[int, ...]
    digits: frozenset[str]
    oddities: frozenset[Oddity]

    @property
    def ordinary(self) -> bool:
        """Whether there is nothing odd about the name."""
        return not self.oddities


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """Remember the answers for short names, refuse long ones."""
    known = lru_cache(CACHE_SIZE)(function)

    def answer(text: str) -> T:
        return known(text) if len(text) <= CACHED_LENGTH else function(_measured(text))

    return answer


def _measured(text: str) -> str:
    """C{text}, unless it is too long."""
    if len(text) > LONGEST:
        raise TooLong(f"The name has more than {LONGEST} code points.")
    return text


# Skeletons

_ASCII: Final = str.maketrans({'"': "''", "%": "º/₀", "0": "O", "1": "l", "I": "l", "`": "'", "m": "rn", "|": "l"})
"""The rows of the confusables that concern ASCII, so that plain names need no tables. A test compares them."""

_prototyped: Final = re.compile(r"[\"%01I`m|]").search
"""Finds one of their characters: most names have none, and looking is cheaper than translating."""


def internalSkeleton(text: str) -> str:
    """
    C{text} with each character replaced by the prototype of those that look like it (UTS #39 section 4,
    internalSkeleton).

    It is for comparing only: never display or store it as a name.
    """
    if text.isascii():
        return text.translate(_ASCII) if _prototyped(text) else text
    return ucd.decompose(ucd.decompose(_measured(text)).translate(ucd.prototypes()))


def skeleton(text: str, direction: Direction = Direction.LTR) -> str:
    """
    What a name is drawn like, in a paragraph of this direction (UTS #39 section 4, bidiSkeleton). Names with equal
    skeletons are confusable.

    It is for comparing only: never display or store it as a name.
    """
    return _skeleton(text) if direction is Direction.LTR else _turnedSkeleton(text, direction)


def _leftSkeleton(text: str) -> str:
    """L{skeleton} in a paragraph from left to right."""
    return internalSkeleton(_shown(text))


_skeleton = _remembered(_leftSkeleton)


def _turnedSkeleton(text: str, direction: Direction) -> str:
    """L{skeleton} in another paragraph, which is rare enough not to be remembered."""
    return internalSkeleton(bidi.display(_measured(text), direction))


def confusion(one: str, other: str) -> Confusion | None:
    """
    How two names are confusable (UTS #39 section 4): None if they aren't, or if they are the same name.
    """
    if one == other or skeleton(one) != skeleton(other):
        return None
    mine, others = _resolved(one), _resolved(other)
    if mine & others:
        return Confusion.SINGLE_SCRIPT
    return Confusion.WHOLE_SCRIPT if mine and others else Confusion.MIXED_SCRIPT


# What people mix up

_SMALL: Final = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
"""The small capitals, which UTS #39 tells from small letters."""

_MISSING: Final = {"\N{CHEROKEE LETTER LI}": "P", "\N{CHEROKEE SMALL LETTER LI}": "p"}
"""Look-alikes that UTS #39 has no row for; XEP-0165 shows one."""

_CHEROKEE: Final = [*map(chr, range(0xAB70, 0xABC0)), *map(chr, range(0x13F8, 0x13FE))]
"""Small letters drawn as small capitals. Addresses have only these, UTS #39 has rows mostly for the capitals."""

_NEGATIVE: Final = {
    **{chr(0x1F150 + number): chr(0x41 + number) for number in range(26)},
    **{chr(0x1F170 + number): chr(0x41 + number) for number in range(26)},
}
"""Letters in black circles and squares, which have no decomposition as those in white ones do."""

_BLANKS: Final = "\u2800\U00013441\U00013442\U00016fe4\U0001d159"
"""Characters that are drawn as nothing, though Unicode calls them neither white space nor ignorable."""


@cache
def _likenesses() -> dict[int, str | None]:
    """The prototypes with our own rows added, for C{str.translate}. Whatever UTS #39 finds alike stays alike."""
    table = ucd.prototypes()
    own: dict[int, str | None] = {}
    cherokee = {each: (table.get(ord(each.upper())) or each).lower() for each in _CHEROKEE}
    for character, letter in {**cherokee, **_SMALL, **_MISSING, **_NEGATIVE, **dict.fromkeys(_BLANKS, " ")}.items():
        prototype = table.get(ord(character), character) or character
        if len(prototype) == 1 and not prototype.isascii() and letter.isascii():
            own[ord(prototype)] = letter.translate(table)
    return {**own, **{point: like and like.translate(own) for point, like in table.items()}, **{
        point: like for point, like in own.items() if point not in table
    }}


def _asciiLike(text: str) -> str:
    """L{internalSkeleton} of an ASCII text."""
    return text.translate(_ASCII) if _prototyped(text) else text


def _like(text: str) -> str:
    """L{internalSkeleton} with our own rows."""
    if text.isascii():
        return _asciiLike(text)
    return ucd.decompose(ucd.decompose(text).translate(_likenesses()))


def _allKeys(text: str) -> frozenset[str]:
    """L{keys} without a memory."""
    if text.isascii():
        forms = {_asciiLike(text).lower(), text.lower(), text.upper()}
        return frozenset([" ".join(_asciiLike(form).split()) for form in forms])
    name = _shown(unicodedata.normalize("NFKC", _measured(text))[:LONGEST])  # a ligature may be eighteen letters
    forms = {_lower(_like(_shown(text))), _lower(_like(name)), _lower(name), name.upper()}
    if bidi.turns(text):  # many clients let each name go its own way
        forms.add(_lower(_like(bidi.display(text, Direction.FIRST_STRONG))))
    return frozenset(" ".join(_like(form).split()) for form in forms)


def _shown(text: str) -> str:
    """The characters in the order of display, in a paragraph from left to right."""
    return bidi.display(text, Direction.LTR) if bidi.turns(text) else text


def _lower(text: str) -> str:
    """In small letters, where a sigma is a sigma wherever it is."""
    return text.replace("\N{GREEK CAPITAL LETTER SIGMA}", "\N{GREEK SMALL LETTER SIGMA}").lower()


_keys = _remembered(_allKeys)


def keys(text: str) -> frozenset[str]:
    """
    By what a name is found among those that resemble it: two names resemble each other if they have a key in common.

    There are one to five: what the name is drawn like as it is, in small letters, in capitals, and in a paragraph that
    goes its way. They are meant to be stored and indexed. They depend on L{ucd.UNICODE}: keep that with them.
    """
    return _keys(text)


def resembles(one: str, other: str) -> bool:
    """
    Whether a person may take one name for the other: they are drawn alike in some letter case, white space and what
    isn't drawn set aside. So each name resembles itself.
    """
    return not _keys(one).isdisjoint(_keys(other))


# Scripts

_plain: Final = re.compile(r"['\-.0-9:A-Z_a-z]*").fullmatch
"""The ASCII characters that are allowed in identifiers. A test compares them with the tables."""

_STRANGE_TO_LATIN: Final = ("Cyrl", "Grek")


def _resolved(text: str) -> int:
    """The resolved script set (UTS #39 section 5.1): the scripts in any of which the whole name may be; 0 if mixed."""
    found = -1
    for each in _measured(text):
        found &= ucd.kind(each).scripts
    return found


def scripts(text: str) -> frozenset[str]:
    """
    The codes of the scripts that occur in C{text}, without Common and Inherited, which go with any.

    A character that several scripts share counts for those of them that others in the name are of; with none, for all.
    """
    if _measured(text).isascii():
        return frozenset({"Latn"}) if any(map(str.isalpha, text)) else frozenset()
    sets = {ucd.kind(each).scripts for each in text} - {-1}
    single = 0
    for each in sets:
        single |= each if len(ucd.codes(each)) == 1 else 0
    found = single
    for each in sets:
        found |= 0 if each & single else each
    return ucd.codes(found)


def _levelOf(text: str) -> Level:
    """L{level} without a memory."""
    if _plain(text):
        return Level.ASCII_ONLY
    return _mixing(text) if all(map(_allowedThere, text)) else Level.UNRESTRICTED


def _allowedThere(character: str) -> bool:
    """Whether a character is allowed in identifiers."""
    return bool(_plain(character)) if character.isascii() else ucd.kind(character).allowed


_level = _remembered(_levelOf)


def level(text: str) -> Level:
    """The restriction level of C{text} as an identifier (UTS #39 section 5.2)."""
    return _level(text)


def _mixing(text: str) -> Level:
    """The restriction level by the scripts alone."""
    if text.isascii():
        return Level.ASCII_ONLY
    sets = {ucd.kind(each).scripts for each in text} - {-1}
    bits = ucd.characters().bits
    if _covered(sets, -1):
        return Level.SINGLE_SCRIPT
    others = {each for each in sets if not each & bits["Latn"]}
    if any(_covered(others, bits[system]) for system in ucd.COMBINED):
        return Level.HIGHLY_RESTRICTIVE
    friendly = ucd.characters().recommended
    for code in _STRANGE_TO_LATIN:
        friendly &= ~bits[code]
    return Level.MODERATELY_RESTRICTIVE if _covered(others, friendly) else Level.MINIMALLY_RESTRICTIVE


def _covered(sets: Iterable[int], choice: int) -> bool:
    """Whether one of the scripts in C{choice} is in all of these sets."""
    for each in sets:
        choice &= each
    return bool(choice)


@cache
def _families() -> dict[str, int]:
    """By prototype, the scripts that have a letter which is drawn like it and is allowed in identifiers."""
    found: dict[str, int] = {}
    for point, prototype in ucd.prototypes().items():
        for each in (chr(point), prototype) if prototype else ():
            kind = ucd.kind(each) if len(each) == 1 else None
            if kind is not None and prototype is not None and kind.allowed and kind.scripts != -1:
                found[prototype] = found.get(prototype, 0) | kind.scripts
    return found


def counterparts(text: str) -> frozenset[str]:
    """
    The codes of other scripts in which a name could be written wholly that is drawn like C{text} (whole-script
    confusables, UTS #39 section 4.1). Empty if C{text} mixes scripts itself, or has no letters.

    That is no fault of the name: there is a Cyrillic C{раураl} since there is a C{paypal}.
    """
    own = _resolved(text)
    if own in (0, -1):
        return frozenset()
    families, table = _families(), ucd.prototypes()
    found = -1
    for each in ucd.decompose(text):
        kind = ucd.kind(each)
        if not kind.ignorable and kind.scripts != -1:
            found &= kind.scripts | families.get(table.get(ord(each), each) or each, 0)
    return ucd.codes(found & ~own)


# All that is odd

CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""The characters with Bidi_Control: they aren't drawn and change the order in which others are."""

_JOINERS: Final = frozenset("\u200c\u200d")
_KEYCAPS: Final = frozenset("0123456789#*")
_FLAG: Final = "\N{WAVING BLACK FLAG}"
_NATIONS: Final = tuple(
    "".join(chr(0xE0000 + ord(each)) for each in nation) + "\N{CANCEL TAG}" for nation in ("gbeng", "gbsct", "gbwls")
)
"""What follows a black flag that is England's, Scotland's or Wales'; anything else in tags is hidden text."""

_IDEOGRAPHIC: Final = ("Hani", "Hira", "Kana", "Hang", "Bopo")
"""Scripts between whose words U+3000 is the ordinary space."""


def _examine(text: str) -> Findings:
    """L{inspect} without a memory."""
    invisible = tuple(index for index in range(len(text)) if _hidden(text, index))
    controls = tuple(index for index, each in enumerate(text) if each in CONTROLS)
    spaces = tuple(index for index in range(len(text)) if _padding(text, index))
    marks, digits, mixing = _marks(text), _zeros(text), _mixing(text)
    classes = {ucd.kind(each).bidi for each in text} if not text.isascii() else set()
    seen = {
        Oddity.MIXED_SCRIPTS: mixing > Level.HIGHLY_RESTRICTIVE,
        Oddity.INVISIBLE: bool(invisible),
        Oddity.BLANK: not any(map(_drawn, text)),
        Oddity.PADDED: bool(spaces),
        Oddity.BIDI_CONTROL: bool(controls),
        Oddity.TURNED: "L" in classes and not classes.isdisjoint(("R", "AL")),
        Oddity.MIXED_NUMBERS: len(digits) > 1,
        Oddity.MARKS: bool(marks),
    }
    restricted = tuple(index for index, each in enumerate(text) if not _allowedThere(each))
    oddities = frozenset(oddity for oddity, there in seen.items() if there)
    return Findings(
        text, _levelOf(text), mixing, scripts(text), restricted, invisible, spaces, controls, marks, digits, oddities
    )


_inspect = _remembered(_examine)


def inspect(text: str) -> Findings:
    """What C{text} is made of, and what is odd about it."""
    return _inspect(text)


def _drawn(character: str) -> bool:
    """Whether a character leaves ink."""
    if character.isascii():
        return character > " " and character != "\x7f"
    kind = ucd.kind(character)
    return not (kind.ignorable or kind.space or character in _BLANKS)


def _hidden(text: str, index: int) -> bool:
    """Whether the character there isn't drawn, and isn't needed for how others are drawn."""
    each = text[index]
    if each.isascii():
        return each < " " or each == "\x7f"
    if each in _BLANKS:
        return True
    kind = ucd.kind(each)
    if kind.ignorable:
        return each not in CONTROLS and not _needed(text, index)
    return kind.bidi == "BN" or unicodedata.category(each) == "Cc"


def _needed(text: str, index: int) -> bool:
    """Whether what isn't drawn belongs there: in Indic clusters, Arabic words, emoji and variants of ideographs."""
    before = ucd.kind(text[index - 1]) if index else None
    after = ucd.kind(text[index + 1]) if index + 1 < len(text) else None
    if before is None:
        return False
    each = text[index]
    if "\U000e0020" <= each <= "\U000e007f":
        flag = text.rfind(_FLAG, max(index - len(_NATIONS[0]), 0), index)
        return flag >= 0 and text.startswith(_NATIONS, flag + 1)
    if each in _JOINERS:
        if before.virama:
            return True
        if after is None:
            return False
        return before.bidi == after.bidi == "AL" or (after.pictographic and _emoji(text, index - 1))
    if each in "\ufe0e\ufe0f":
        return before.pictographic or text[index - 1] in _KEYCAPS
    if before.script == "Hani":
        return "\ufe00" <= each <= "\ufe02" or "\U000e0100" <= each <= "\U000e01ef"
    return before.script == "Mong" and "\u180b" <= each <= "\u180f"


def _emoji(text: str, index: int) -> bool:
    """Whether an emoji ends there, perhaps in its colour or its style."""
    each = text[index]
    if "\U0001f3fb" <= each <= "\U0001f3ff" or each == "\ufe0f":
        return index > 0 and ucd.kind(text[index - 1]).pictographic
    return ucd.kind(each).pictographic


def _padding(text: str, index: int) -> bool:
    """Whether the character there is white space other than a single U+0020, or U+3000 of ideographs, between words."""
    each = text[index]
    if each == " ":
        return index in (0, len(text) - 1) or text[index - 1].isspace()
    if each == "\N{IDEOGRAPHIC SPACE}" and 0 < index < len(text) - 1:
        return not (_ideographic(text[index - 1]) and _ideographic(text[index + 1]))
    return each in _BLANKS or (each.isspace() if each.isascii() else ucd.kind(each).space)


def _ideographic(character: str) -> bool:
    """Whether a character is written as wide as U+3000, between others that are."""
    scripts, bits = ucd.kind(character).scripts, ucd.characters().bits
    return scripts != -1 and any(scripts & bits[code] for code in _IDEOGRAPHIC)


def _marks(text: str) -> tuple[int, ...]:
    """Where there are too many nonspacing marks, or the same twice (UTS #39 section 5.4)."""
    if text.isascii():
        return ()
    found: list[int] = []
    count = 0
    for index, each in enumerate(text):
        count = count + 1 if ucd.kind(each).mark and not ucd.kind(each).ignorable else 0
        if count > MOST_MARKS or (count > 1 and each == text[index - 1]):
            found.append(index)
    return tuple(found)


def _zeros(text: str) -> frozenset[str]:
    """The zeros of the systems of numbers in C{text} (UTS #39 section 5.3)."""
    return frozenset(chr(ord(each) - unicodedata.decimal(each)) for each in text if each.isdecimal())


def describe(text: str) -> tuple[Character, ...]:
    """The characters of a name one by one, for people to look at."""
    return tuple(map(_describe, _measured(text)))


def _describe(character: str) -> Character:
    """One character."""
    kind, point = ucd.kind(character), ord(character)
    like = ucd.prototypes().get(point, character)
    return Character(
        character, f"U+{point:04X}", unicodedata.name(character, "") or _nameless(character),
        ucd.characters().names[kind.script], kind.allowed, kind.types, None if like == character else like or "",
    )


def _nameless(character: str) -> str:
    """What to call a code point without a name, or whose name Python is too old to know."""
    if unicodedata.category(character) == "Cc":
        return f"<control-{ord(character):04X}>"
    if "Not_Character" in ucd.kind(character).types:
        return f"<code point {ord(character):04X}>"
    return f"<{ucd.characters().names[ucd.kind(character).script]} {ord(character):04X}>"


# Languages


@lru_cache(CACHE_SIZE)
def scriptsOf(tag: str) -> frozenset[str]:
    """
    The codes of the scripts that a language is written in.

    @param tag: a tag of BCP 47, as in C{xml:lang}: C{de}, C{zh-TW}, C{sr-Latn}; a script in it overrides what the
        language is usually written in.
    @return: none if the language is unknown.
    """
    language, *rest = tag.lower().replace("_", "-").split("-")
    script = next((part.title() for part in rest[:3] if len(part) == 4 and part.isalpha()), None)
    if script is not None:
        known = ucd.characters().names
        return frozenset(code for code in ucd.WRITTEN.get(script, (script,)) if code in known)
    table = ucd.languages()
    found = table.get(language, frozenset())
    for part in rest[:2]:
        found |= table.get(f"{language}-{part}", frozenset())
    return found


@lru_cache(CACHE_SIZE)
def _allowed(languages: tuple[str, ...]) -> int:
    """The scripts of these languages as a set of bits; 0 if none of them is known."""
    found = 0
    for code in frozenset[str]().union(*map(scriptsOf, languages)):
        found |= ucd.characters().bits.get(code, 0)
    return found


def outside(text: str, languages: Iterable[str]) -> frozenset[str]:
    """
    The codes of the scripts in C{text} in which none of these languages is written (XEP-0165 section 2.1). ASCII is
    never outside, since addresses everywhere have it. If no language is known, nothing can be said and nothing is
    outside.

    @param languages: tags of BCP 47.
    """
    if _measured(text).isascii():
        return frozenset()
    allowed = _allowed(tuple(tag for tag in languages if len(tag) <= CACHED_LENGTH))
    if not allowed:
        return frozenset()
    kinds = {ucd.kind(each).scripts for each in text if not each.isascii()}
    found = 0
    for each in kinds:
        found |= 0 if each & allowed else each
    return ucd.codes(found)
