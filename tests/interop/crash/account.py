"""
Who was promised what, and what came of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto


class State(Enum):
    """How a recipient behaves."""

    ACKING = auto()
    """Online with stream management, acknowledges when asked."""
    SLOW = auto()
    """Online with stream management, acknowledges late."""
    PLAIN = auto()
    """Online without stream management."""
    SLUGGISH = auto()
    """Like PLAIN, but often doesn't read."""
    HIBERNATING = auto()
    """Cut after its first messages; resumes at the end."""
    OFFLINE = auto()
    """Logs in for the first time at the end."""
    FLAPPING = auto()
    """Cut and resumed again and again."""
    FORGETFUL = auto()
    """Like FLAPPING, but half of the time begins a new session in place of resuming the old one."""
    UNRESUMABLE = auto()
    """Like SLOW, but without resumption."""
    INACTIVE = auto()
    """Like ACKING, but says that nobody looks (XEP-0352)."""


ANEW = frozenset({State.PLAIN, State.SLUGGISH, State.FORGETFUL, State.UNRESUMABLE})
"""States of recipients whose sessions begin anew after a crash."""


@dataclass(slots=True, eq=False)
class Letter:
    """
    One message.

    @ivar id: the stanza's id, kept when it is sent again.
    @ivar place: its number among those of its sender to its recipient.
    @ivar octets: the size of its body.
    @ivar full: whether it is for the full JID.
    @ivar sendings: how often it was sent.
    @ivar acknowledged: whether the server has told its sender that it is handled.
    @ivar refused: the condition of the error its sender got, or None.
    """

    id: str
    sender: str
    recipient: str
    place: int
    octets: int = 0
    full: bool = False
    sendings: int = 0
    acknowledged: bool = False
    refused: str | None = None

    @property
    def text(self) -> str:
        """The body, by which it is known again whatever its id."""
        return f"{self.sender} {self.recipient} {self.place} ".ljust(self.octets, ".")


@dataclass(slots=True, eq=False)
class Box:
    """
    What has arrived at one recipient.

    @ivar arrivals: how often, by sender and place, in the order of the first arrivals.
    @ivar ids: the stanza ids it came with.
    @ivar strays: messages for somebody else.
    @ivar resumed: how many times the server has accepted C{<resume/>}.
    @ivar notResumed: conditions with which it has not.
    """

    name: str
    state: State
    arrivals: Counter[tuple[str, int]] = field(default_factory=Counter)
    ids: dict[tuple[str, int], set[str | None]] = field(default_factory=dict)
    strays: int = 0
    resumed: int = 0
    notResumed: list[str] = field(default_factory=list)

    def arrived(self, text: str, id: str | None) -> None:
        """A message has arrived."""
        sender, recipient, place = text.split()[:3]
        if recipient != self.name:
            self.strays += 1
        key = sender, int(place)
        self.arrivals[key] += 1
        self.ids.setdefault(key, set()).add(id)

    def misplaced(self) -> list[str]:
        """The messages that came, for the first time, after a later one of the same sender: their ids and its place."""
        last: dict[str, int] = {}
        found = []
        for sender, place in self.arrivals:
            if place < last.get(sender, -1):
                found.append(f"{sender}-{self.name}-{place} after {last[sender]}")
            last[sender] = max(place, last.get(sender, -1))
        return found


COLUMNS = (
    "acknowledged",
    "arrived",
    "lost",
    "doubled",
    "changed",
    "misplaced",
    "overtaken",
    "refused",
    "strays",
    "resumed",
    "not resumed",
)


BROKEN = ("lost", "changed", "misplaced", "strays", "not resumed")
"""Columns that hold nothing but zeros if every promise was kept."""


@dataclass(slots=True)
class Row:
    """The account of one state, or of all."""

    state: str
    figures: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.figures[name] for name in BROKEN)


def settle(letters: Iterable[Letter], boxes: Iterable[Box]) -> list[Row]:
    """
    The account: a row for each state, and their sum as the last.

    A message is I{lost} if it was acknowledged, its sender got no error, and it did not arrive; I{doubled} counts what
    arrived more than once, I{changed} what arrived with an id that is not its own. I{Misplaced} came, for the first time,
    after a later one of its sender; I{overtaken} means the same for a recipient whose sessions begin anew.
    """
    byRecipient: dict[str, list[Letter]] = {}
    for letter in letters:
        byRecipient.setdefault(letter.recipient, []).append(letter)
    rows: dict[State, Row] = {}
    for box in boxes:
        figures = rows.setdefault(box.state, Row(box.state.name.lower())).figures
        figures.update(_figures(byRecipient.get(box.name, []), box))
    total = Row("all")
    for row in rows.values():
        total.figures.update(row.figures)
    return [*rows.values(), total]


def missing(letters: Iterable[Letter], boxes: Iterable[Box]) -> list[Letter]:
    """Acknowledged, not refused, not arrived."""
    byName = {box.name: box for box in boxes}
    return [
        each
        for each in letters
        if each.acknowledged
        and each.refused is None
        and (each.sender, each.place) not in byName[each.recipient].arrivals
    ]


def _figures(letters: list[Letter], box: Box) -> dict[str, int]:
    own = {(each.sender, each.place): each.id for each in letters}
    return {
        "acknowledged": sum(each.acknowledged for each in letters),
        "arrived": len(box.arrivals),
        "lost": len(missing(letters, [box])),
        "doubled": sum(count > 1 for count in box.arrivals.values()),
        "changed": sum(ids != {own.get(key)} for key, ids in box.ids.items()),
        "misplaced": 0 if box.state in ANEW else len(box.misplaced()),
        "overtaken": len(box.misplaced()) if box.state in ANEW else 0,
        "refused": sum(each.refused is not None for each in letters),
        "strays": box.strays,
        "resumed": box.resumed,
        "not resumed": len(box.notResumed),
    }


def table(rows: Iterable[Row]) -> str:
    """The account for people."""
    lines = [["", *COLUMNS], *([row.state, *(str(row.figures[name]) for name in COLUMNS)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
