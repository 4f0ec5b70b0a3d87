"""
How often look-alikes are found, and how often names are taken for some that aren't: on all rows of UTS #39's
confusables, and on ordinary names (L{tests.wire.names}).

C{tools/measure_names.py} prints what comes out; a test holds C{docs/names.rst} to it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.wire.names import exemplars, ordinary
from xmppd.wire import bidi, ucd
from xmppd.wire.confusable import Oddity, confusion, inspect, keys, resembles, scripts
from xmppd.wire.jid import JIDMalformed, prepareLocal

TARGETS = ("paypal", "admin", "administrator", "support", "security", "postmaster", "stpeter", "juliet")
"""Names that somebody may want to pass for."""

FOUND = "found"
SEEN = "odd"
IMPOSSIBLE = "impossible"
TAKEN_APART = "taken apart"
TURNED = "turned"
LOWERED = "lowered"
"""
What becomes of a look-alike: it is found; it isn't, but the name mixes scripts or has hidden characters; no localpart
may be that; normalisation takes the character apart; it is displayed in another order, or its neighbours are; a capital
looks like this letter, and doesn't any more in small letters.
"""


def rows() -> Iterator[tuple[str, str]]:
    """The confusables: a character, and what it is drawn like."""
    for point, prototype in sorted(ucd.prototypes().items()):
        if prototype:
            yield chr(point), prototype


def rowRates() -> Counter[str]:
    """What becomes of each row of the confusables in the middle of a name."""
    found: Counter[str] = Counter()
    for one, other in rows():
        found[_outcome(f"x{other}y", f"x{one}y", one)] += 1
    return found


def _outcome(name: str, fake: str, character: str) -> str:
    """Whether a look-alike that has this character is found, and why not."""
    if resembles(fake, name):
        return FOUND
    if ucd.decompose(character) != character:
        return TAKEN_APART
    return TURNED if bidi.turns(fake) or bidi.turns(name) else LOWERED


@dataclass(frozen=True, slots=True)
class Mimics:
    """
    Names with one letter replaced.

    @ivar typed: what becomes of them as they are, as nicknames and handles may be.
    @ivar prepared: the same as localparts of addresses.
    """

    typed: Counter[str]
    prepared: Counter[str]

    def add(self, name: str, fake: str, character: str) -> None:
        """Count a name in which this character has replaced a letter."""
        self.typed[_outcome(name, fake, character)] += 1
        self.prepared[_preparedOutcome(name, fake, character)] += 1


def _preparedOutcome(name: str, fake: str, character: str) -> str:
    """The same as localparts."""
    try:
        real, local = prepareLocal(name), prepareLocal(fake)
    except JIDMalformed:
        return IMPOSSIBLE
    outcome = FOUND if real == local else _outcome(real, local, character)
    return SEEN if outcome != FOUND and Oddity.MIXED_SCRIPTS in inspect(local).oddities else outcome


def targetRates() -> Mimics:
    """Names that somebody may want to pass for, with each letter replaced by each character that is drawn like it."""
    sources = defaultdict(list)
    for one, other in rows():
        sources[other].append(one)
    mimics = Mimics(Counter(), Counter())
    for name in TARGETS:
        for index, letter in enumerate(name):
            for each in set(sources[ucd.prototypes().get(ord(letter)) or letter]) - {letter}:
                mimics.add(name, name[:index] + each + name[index + 1 :], each)
    return mimics


def ordinaryRates() -> tuple[int, Mimics]:
    """
    For each row of the confusables the first ordinary name that has a letter which is drawn like it: with that replaced.
    The first answer is how many rows have none, being of letters that no language here is written with.
    """
    table, first = ucd.prototypes(), dict[str, list[tuple[str, str]]]()
    for _, name in ordinary():
        plain = ucd.decompose(name.replace(" ", "."))
        for letter in sorted(set(plain)):
            some = first.setdefault(table.get(ord(letter)) or letter, [])
            if len(some) < 2:
                some.append((plain, letter))
    mimics, none = Mimics(Counter(), Counter()), 0
    for one, other in rows():
        name, letter = next(((name, letter) for name, letter in first.get(other, ()) if letter != one), (None, ""))
        if name is None:
            none += 1
            continue
        fake = unicodedata.normalize("NFC", name.replace(letter, one, 1))
        mimics.add(unicodedata.normalize("NFC", name), fake, one)
    return none, mimics


@dataclass(frozen=True, slots=True)
class Alarms:
    """
    False alarms among ordinary names.

    @ivar names: how many names there are.
    @ivar languages: of how many languages.
    @ivar scripts: in how many scripts.
    @ivar odd: names about which something is odd.
    @ivar alike: pairs that resemble each other.
    @ivar unexplained: those of them that UTS #39 doesn't find alike.
    """

    names: int
    languages: int
    scripts: int
    odd: int
    alike: frozenset[tuple[str, str]]
    unexplained: int


def alarms() -> Alarms:
    """What ordinary names are found to be, alone and beside each other."""
    found = [name for _, name in ordinary()]
    byKey = defaultdict(set)
    for name in {name.lower() for name in found}:
        for key in keys(name):
            byKey[key].add(name)
    pairs = {(one, other) for names in byKey.values() for one in names for other in names if one < other}
    return Alarms(
        len(found),
        len(exemplars()),
        len({code for name in found for code in scripts(name)}),
        sum(1 for name in found if not inspect(name).ordinary),
        frozenset(pairs),
        sum(1 for one, other in pairs if confusion(one, other) is None),
    )


def wordRate(words: Iterable[str]) -> tuple[int, int]:
    """How many different words there are, whatever their case, and how many of them resemble another."""
    byKey = defaultdict(set)
    different = {word.lower() for word in words}
    for word in different:
        for key in keys(word):
            byKey[key].add(word)
    return len(different), len({word for alike in byKey.values() if len(alike) > 1 for word in alike})


def sentences() -> list[str]:
    """What C{docs/names.rst} says about all that."""
    row, target, (none, mimics), false = rowRates(), targetRates(), ordinaryRates(), alarms()
    count = row.total()
    local, shown = target.prepared, mimics.prepared
    (pair,) = false.alike
    return [
        f"Of the {count:,} rows of UTS #39's confusables, ``resembles`` finds {row[FOUND]:,} ({row[FOUND] / count:.1%}) in"
        f" the middle of a name. Missed are {row[TURNED]} Arabic and Hebrew ligatures whose parts come in another order when"
        f" they are displayed, and {row[TAKEN_APART]} characters that normalisation takes apart",
        f"{target.typed.total():,} names, {_all(target.typed[FOUND], target.typed.total())} found. As localparts"
        f" {local[IMPOSSIBLE]:,} of them aren't valid; of the {local.total() - local[IMPOSSIBLE]} others {local[FOUND]} are"
        f" found, {local[SEEN]} more mix scripts and are refused for that, and {local[LOWERED]} are not found",
        f"For {mimics.typed.total():,} rows one of the ordinary names below has a letter that is drawn like it. With that"
        f" letter replaced {mimics.typed[FOUND]:,} are found ({mimics.typed[FOUND] / mimics.typed.total():.1%}). Missed are"
        f" {mimics.typed[TURNED]} in which a letter from left to right has come among letters from right to left, so that the"
        f" name is displayed in another order, and {mimics.typed[TAKEN_APART]} that normalisation takes apart. As localparts"
        f" {shown[IMPOSSIBLE]:,} aren't valid; of the {shown.total() - shown[IMPOSSIBLE]:,} others {shown[FOUND]:,} are"
        f" found, and the other {shown[SEEN]} mix scripts and are refused for that. The {none:,} other rows are of letters that"
        " none of these languages has",
        f"{false.names:,} names in {false.scripts} scripts, made of the letters that CLDR gives for {false.languages}"
        f" languages: {_none(false.odd)} is odd",
        f"Of all {false.names * (false.names - 1) // 2:,} pairs one resembles each other, ``{pair[0]}``/``{pair[1]}``;"
        f" UTS #39 says so",
    ]


def _all(some: int, of: int) -> str:
    """How many of several."""
    return "all" if some == of else f"{some:,}"


def _none(count: int) -> str:
    """How many, if there are any."""
    return f"{count:,}" if count else "none"
