"""
The index of look-alikes in this process's memory. See L{xmppd.store.memory}.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from xmppd.ixmppd import INameStore, NameRecord
from xmppd.store.values import MAXIMUM_PAGE, checkName, checkText
from xmppd.wire.lookalikes import keyDigests


@implementer(INameStore)
class MemoryNames:
    """Names by kind and space, and by what they look like."""

    def __init__(self) -> None:
        self._spaces: dict[tuple[str, str], dict[str, NameRecord]] = {}
        self._alike: dict[tuple[str, str, bytes], dict[str, None]] = {}

    def add(self, records: Sequence[NameRecord]) -> Deferred[None]:
        """Add names, or their new keys and owners."""
        for record in records:
            checkName(record)
        for record in records:
            self.put(record)
        return succeed(None)

    def claim(self, record: NameRecord) -> Deferred[Sequence[NameRecord]]:
        """Add a name if nobody else's looks like it."""
        checkName(record)
        same = self._names(record.kind, record.space).get(record.name)
        others = (*self.find(record.kind, record.space, record.name), *(() if same is None else (same,)))
        taken = tuple(each for each in others if each.owner != record.owner)
        if not taken:
            self.put(record)
        return succeed(taken)

    def remove(self, kind: str, space: str, name: str) -> Deferred[None]:
        """Take a name away."""
        checkText(kind, space, name)
        self._take(kind, space, name)
        return succeed(None)

    def alike(self, kind: str, space: str, name: str, limit: int = 10) -> Deferred[Sequence[NameRecord]]:
        """Names that look like C{name}."""
        checkText(kind, space, name)
        return succeed(self.find(kind, space, name, limit))

    def list(self, kind: str, space: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NameRecord]]:
        """Names in order."""
        checkText(kind, space, after)
        names = self._names(kind, space)
        order = sorted(names)
        first = bisect_right(order, after)
        return succeed(tuple(names[name] for name in order[first : first + min(limit, MAXIMUM_PAGE)]))

    def groups(
        self, kind: str, space: str, after: str = "", limit: int = 100, before: str = ""
    ) -> Deferred[Sequence[tuple[str, Sequence[NameRecord]]]]:
        """What exists of look-alikes."""
        checkText(kind, space, after, before)
        found = [
            (key.hex(), names)
            for (itsKind, itsSpace, key), names in self._alike.items()
            if itsKind == kind and itsSpace == space and len(names) > 1 and after < key.hex() < (before or "g")
        ]
        there = self._names(kind, space)
        return succeed(tuple(
            (key, tuple(there[name] for name in sorted(names)[:MAXIMUM_PAGE]))
            for key, names in sorted(found)[: min(limit, MAXIMUM_PAGE)]
        ))

    # --- for the other stores

    def put(self, record: NameRecord) -> None:
        """Add a name."""
        self._take(record.kind, record.space, record.name)
        self._spaces.setdefault((record.kind, record.space), {})[record.name] = record
        for key in keyDigests(record.name):
            self._alike.setdefault((record.kind, record.space, key), {})[record.name] = None

    def find(self, kind: str, space: str, name: str, limit: int = MAXIMUM_PAGE) -> Sequence[NameRecord]:
        """Names that look like C{name} but itself, in order."""
        names = self._names(kind, space)
        found = {other for key in keyDigests(name) for other in self._alike.get((kind, space, key), ())}
        return tuple(names[other] for other in sorted(found - {name})[: min(limit, MAXIMUM_PAGE)])

    def forget(self, owner: str) -> None:
        """Take away the names of an owner."""
        for (kind, space), names in list(self._spaces.items()):
            for record in [each for each in names.values() if each.owner == owner]:
                self._take(kind, space, record.name)

    def _take(self, kind: str, space: str, name: str) -> None:
        names = self._names(kind, space)
        if names.pop(name, None) is None:
            return
        if not names:
            del self._spaces[kind, space]
        for key in keyDigests(name):
            alike = self._alike[kind, space, key]
            del alike[name]
            if not alike:
                del self._alike[kind, space, key]

    def _names(self, kind: str, space: str) -> dict[str, NameRecord]:
        return self._spaces.get((kind, space), {})
