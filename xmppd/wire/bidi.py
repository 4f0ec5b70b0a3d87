"""
In which order characters are displayed: the Unicode Bidirectional Algorithm (UAX #9), for names.

Two names may be drawn alike though their characters come in different orders; that is why UTS #39 compares names in the
order in which they are displayed. This is the whole algorithm: explicit embeddings, overrides and isolates, paired
brackets, reordering, marks and mirroring. It passes both conformance tests of Unicode.

Theory of operation. L{_Paragraph} holds the Bidi_Class of each character, rewritten in place by the rules in their
order, and its embedding level. The rules X1 to X8 walk over the text once. What X9 removes is then skipped (it gets a
level at last, so that every character has a place). The others are cut into level runs, joined into isolating run
sequences (X10), and each sequence goes through W1 to W7, N0 to N2, I1 and I2. L1 and L2 make an order of the levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from xmppd.wire import ucd

MAX_DEPTH: Final = 125
"""The deepest level of an embedding (BD2)."""

MAX_BRACKETS: Final = 63
"""How many open brackets are remembered (BD16)."""

_REMOVED: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "BN"})
_INITIATORS: Final = frozenset({"LRI", "RLI", "FSI"})
_NEUTRAL: Final = frozenset({"B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"})
_TRAILING: Final = frozenset({"WS", "LRI", "RLI", "FSI", "PDI", *_REMOVED})
_TURNING: Final = frozenset({"R", "AL", "RLE", "RLO", "RLI"})


@unique
class Direction(Enum):
    """The direction of a paragraph: given, or that of its first strong character (rules P2 and P3)."""

    LTR = 0
    RTL = 1
    FIRST_STRONG = None


@dataclass(slots=True)
class _Status:
    """An entry of the directional status stack (X1)."""

    level: int
    override: str | None
    isolate: bool


def turns(text: str) -> bool:
    """Whether anything in C{text} may be displayed right to left, in a paragraph from left to right."""
    return not text.isascii() and any(ucd.kind(each).bidi in _TURNING for each in text)


def display(text: str, direction: Direction) -> str:
    """
    The characters of C{text} in the order, and with the mirrored glyphs, in which they are displayed on one line: the
    rules up to L4.
    """
    return "".join([_displayed(paragraph, direction) for paragraph in _paragraphs(text)])


def _displayed(text: str, direction: Direction) -> str:
    """L{display} of one paragraph."""
    levels = _Paragraph(text, direction).resolve()
    mirrors = ucd.mirrors()
    found: list[str] = []
    marks: list[str] = []
    for index in order(levels):
        each = text[index]
        if not levels[index] % 2:
            found += [*marks, each]
            marks = []
        elif ucd.kind(each).combining:  # rule L3: a mark follows its base again
            marks.insert(0, each)
        else:
            found += [mirrors.get(each, each), *marks]
            marks = []
    return "".join([*found, *marks])


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs, each with the separator that ends it (P1)."""
    begin = 0
    for index, each in enumerate(text):
        if ucd.kind(each).bidi == "B":
            yield text[begin : index + 1]
            begin = index + 1
    if begin < len(text):
        yield text[begin:]


def order(levels: list[int]) -> list[int]:
    """The indices of characters with these levels in the order of display, left to right (rule L2)."""
    found = list(range(len(levels)))
    odd = [level for level in levels if level % 2]
    for level in range(max(levels, default=0), min(odd, default=1) - 1, -1):
        begin = None
        for index in range(len(found) + 1):
            if index < len(found) and levels[found[index]] >= level:
                begin = index if begin is None else begin
            elif begin is not None:
                found[begin:index] = found[begin:index][::-1]
                begin = None
    return found


def expectation(text: str, direction: Direction) -> tuple[list[str], list[int]]:
    """Levels and order of a text of one paragraph as the conformance tests of Unicode write them."""
    levels = _Paragraph(text, direction).resolve()
    removed = [ucd.kind(each).bidi in _REMOVED for each in text]
    shown = ["x" if gone else str(level) for level, gone in zip(levels, removed, strict=True)]
    return shown, [index for index in order(levels) if not removed[index]]


class _Paragraph:
    """
    The levels of one paragraph.

    @ivar original: the Bidi_Class of each character.
    @ivar classes: the same, as the rules change it.
    @ivar levels: the embedding level of each character.
    """

    def __init__(self, text: str, direction: Direction) -> None:
        self.text = text
        self.original = [ucd.kind(each).bidi for each in text]
        self.classes = list(self.original)
        self.matching = self._match()
        self.base = self._firstStrong(0, len(text)) if direction.value is None else direction.value
        self.levels = [self.base] * len(text)

    def resolve(self) -> list[int]:
        """Apply all rules up to L1."""
        self._explicit()
        kept = [index for index, each in enumerate(self.original) if each not in _REMOVED]
        for sequence in [_Sequence(self, each) for each in self._sequences(kept)]:  # all see unresolved levels
            sequence.resolve()
        self._place()
        self._reset()
        return self.levels

    def _match(self) -> dict[int, int]:
        """Of each isolate initiator the matching PDI, if there is one (BD9)."""
        found: dict[int, int] = {}
        opened: list[int] = []
        for index, each in enumerate(self.original):
            if each in _INITIATORS:
                opened.append(index)
            elif each == "PDI" and opened:
                found[opened.pop()] = index
        return found

    def _firstStrong(self, begin: int, end: int) -> int:
        """The level that the first strong character outside of isolates asks for (P2, P3)."""
        index = begin
        while index < end:
            each = self.original[index]
            if each in ("L", "R", "AL"):
                return 0 if each == "L" else 1
            index = self.matching.get(index, end) if each in _INITIATORS else index + 1
        return 0

    def _explicit(self) -> None:
        """The rules X1 to X8."""
        stack = [_Status(self.base, None, False)]
        overflowIsolates = overflowEmbeddings = isolates = 0
        for index, each in enumerate(self.original):
            if each in ("RLE", "LRE", "RLO", "LRO"):
                self.levels[index] = stack[-1].level
                level = _deeper(stack[-1].level, each[0])
                if level <= MAX_DEPTH and not overflowIsolates and not overflowEmbeddings:
                    stack.append(_Status(level, each[0] if each[2] == "O" else None, False))
                elif not overflowIsolates:
                    overflowEmbeddings += 1
            elif each in _INITIATORS:
                self._put(index, stack[-1])
                level = _deeper(stack[-1].level, self._isolateDirection(index))
                if level <= MAX_DEPTH and not overflowIsolates and not overflowEmbeddings:
                    isolates += 1
                    stack.append(_Status(level, None, True))
                else:
                    overflowIsolates += 1
            elif each == "PDI":
                if overflowIsolates:
                    overflowIsolates -= 1
                elif isolates:
                    overflowEmbeddings = 0
                    while not stack.pop().isolate:
                        pass
                    isolates -= 1
                self._put(index, stack[-1])
            elif each == "PDF":
                if overflowIsolates:
                    pass
                elif overflowEmbeddings:
                    overflowEmbeddings -= 1
                elif not stack[-1].isolate and len(stack) > 1:
                    stack.pop()
            elif each == "B":
                self.levels[index] = self.base
            elif each != "BN":
                self._put(index, stack[-1])

    def _isolateDirection(self, index: int) -> str:
        """L or R: what an isolate initiator opens (X5a to X5c)."""
        if self.original[index] != "FSI":
            return self.original[index][0]
        return "LR"[self._firstStrong(index + 1, self.matching.get(index, len(self.text)))]

    def _put(self, index: int, status: _Status) -> None:
        """Give a character the current level and override (X6)."""
        self.levels[index] = status.level
        if status.override:
            self.classes[index] = status.override

    def _sequences(self, kept: list[int]) -> Iterator[list[int]]:
        """The isolating run sequences (BD13)."""
        runs: list[list[int]] = []
        for index in kept:
            if runs and self.levels[runs[-1][-1]] == self.levels[index]:
                runs[-1].append(index)
            else:
                runs.append([index])
        firsts = {run[0]: run for run in runs}
        closing = {end: start for start, end in self.matching.items()}
        for run in runs:
            if run[0] in closing and self.original[run[0]] == "PDI":
                continue  # it continues the run that ends in its initiator
            sequence = list(run)
            while self.matching.get(sequence[-1]) in firsts:
                sequence += firsts[self.matching[sequence[-1]]]
            yield sequence

    def _place(self) -> None:
        """Give what X9 removes the level of what precedes it."""
        level = self.base
        for index, each in enumerate(self.original):
            if each in _REMOVED:
                self.levels[index] = level
            level = self.levels[index]

    def _reset(self) -> None:
        """Separators, and white space before them or at the end, are at the level of the paragraph (L1)."""
        trailing = True
        for index in range(len(self.text) - 1, -1, -1):
            each = self.original[index]
            trailing = each in ("B", "S") or (trailing and each in _TRAILING)
            if trailing:
                self.levels[index] = self.base


def _deeper(level: int, direction: str) -> int:
    """The next level with this direction."""
    return level + 1 + ((level + 1) % 2 != (direction == "R"))


class _Sequence:
    """An isolating run sequence: the rules W1 to I2 (X10)."""

    def __init__(self, paragraph: _Paragraph, indices: list[int]) -> None:
        self.paragraph = paragraph
        self.indices = indices
        self.classes = [paragraph.classes[index] for index in indices]
        self.level = paragraph.levels[indices[0]]
        self.direction = "LR"[self.level % 2]
        self.before = "LR"[max(self.level, self._neighbour(indices[0], -1)) % 2]
        last = indices[-1]
        open_ = paragraph.original[last] in _INITIATORS and last not in paragraph.matching
        self.after = "LR"[max(self.level, paragraph.base if open_ else self._neighbour(last, 1)) % 2]

    def _neighbour(self, index: int, step: int) -> int:
        """The level of the next character that X9 didn't remove, or of the paragraph."""
        original = self.paragraph.original
        index += step
        while 0 <= index < len(original):
            if original[index] not in _REMOVED:
                return self.paragraph.levels[index]
            index += step
        return self.paragraph.base

    def resolve(self) -> None:
        """Apply the rules and give the characters their levels."""
        self._marks()
        self._numbers()
        self._separators()
        self._terminators()
        self._latinNumbers()
        self._brackets()
        self._neutrals()
        for position, index in enumerate(self.indices):
            each = self.classes[position]
            if self.level % 2:
                self.paragraph.levels[index] += each in ("L", "EN", "AN")
            else:
                self.paragraph.levels[index] += {"R": 1, "EN": 2, "AN": 2}.get(each, 0)

    def _marks(self) -> None:
        """W1: a mark takes the class of what it sits on."""
        previous = self.before
        for position, each in enumerate(self.classes):
            if each == "NSM":
                self.classes[position] = previous
            previous = self.classes[position]
            if previous in _INITIATORS or previous == "PDI":
                previous = "ON"

    def _numbers(self) -> None:
        """W2 and W3: digits after Arabic letters are Arabic, and Arabic letters are right to left."""
        strong = self.before
        for position, each in enumerate(self.classes):
            if each in ("L", "R", "AL"):
                strong = each
            elif each == "EN" and strong == "AL":
                self.classes[position] = "AN"
        self.classes = ["R" if each == "AL" else each for each in self.classes]

    def _separators(self) -> None:
        """W4: a single separator between two numbers of a kind belongs to them."""
        for position in range(1, len(self.classes) - 1):
            one, each, other = self.classes[position - 1 : position + 2]
            if one == other and ((each == "CS" and one in ("EN", "AN")) or (each == "ES" and one == "EN")):
                self.classes[position] = one

    def _terminators(self) -> None:
        """W5 and W6: terminators beside European digits are digits, all others are neutral, as are separators."""
        position = 0
        while position < len(self.classes):
            end = position
            while end < len(self.classes) and self.classes[end] == "ET":
                end += 1
            beside = self.classes[position - 1 : position] + self.classes[end : end + 1]
            self.classes[position:end] = ["EN" if "EN" in beside else "ON"] * (end - position)
            position = end + 1
        self.classes = ["ON" if each in ("ES", "CS") else each for each in self.classes]

    def _latinNumbers(self) -> None:
        """W7: digits after left-to-right letters are like these."""
        strong = self.before
        for position, each in enumerate(self.classes):
            if each in ("L", "R"):
                strong = each
            elif each == "EN" and strong == "L":
                self.classes[position] = "L"

    def _brackets(self) -> None:
        """N0: a pair of brackets goes one way."""
        for opening, closing in sorted(self._pairs()):
            strong = {self._strong(each) for each in self.classes[opening + 1 : closing]} - {None}
            if self.direction in strong:
                self._turn(opening, closing, self.direction)
            elif strong:
                context = (self._strong(each) for each in reversed(self.classes[:opening]))
                self._turn(opening, closing, next((each for each in context if each), self.before))

    def _strong(self, each: str) -> str | None:
        """The direction of a class, where numbers are right to left."""
        return "R" if each in ("R", "EN", "AN") else "L" if each == "L" else None

    def _turn(self, opening: int, closing: int, direction: str) -> None:
        """Give a pair of brackets a direction, and the marks that sit on them."""
        for bracket in (opening, closing):
            self.classes[bracket] = direction
            for position in range(bracket + 1, len(self.classes)):
                if self.paragraph.original[self.indices[position]] != "NSM":
                    break
                self.classes[position] = direction

    def _pairs(self) -> list[tuple[int, int]]:
        """The positions of paired brackets (BD16)."""
        openers, closers = ucd.brackets()
        opened: list[tuple[str, int]] = []
        found: list[tuple[int, int]] = []
        for position, index in enumerate(self.indices):
            each = self.paragraph.text[index]
            if self.classes[position] != "ON":
                continue
            if each in openers:
                if len(opened) == MAX_BRACKETS:
                    return []
                opened.append((openers[each], position))
            elif each in closers:
                for depth in range(len(opened) - 1, -1, -1):
                    if opened[depth][0] == closers[each]:
                        found.append((opened[depth][1], position))
                        del opened[depth:]
                        break
        return found

    def _neutrals(self) -> None:
        """N1 and N2: neutrals go with both their neighbours, or with the embedding."""
        position = 0
        previous = self.before
        while position < len(self.classes):
            if self.classes[position] not in _NEUTRAL:
                previous = self._strong(self.classes[position]) or previous
                position += 1
                continue
            end = position
            while end < len(self.classes) and self.classes[end] in _NEUTRAL:
                end += 1
            following = (self._strong(self.classes[end]) or "") if end < len(self.classes) else self.after
            self.classes[position:end] = [previous if previous == following else self.direction] * (end - position)
            position = end
