"""
Archives in memory. See L{xmppd.store.memory}.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from xmppd.ixmppd import ArchivedMessage, ArchivePage, ArchiveQuery, IArchiveStore, Missing
from xmppd.store.values import (
    MAXIMUM_COUNT,
    MAXIMUM_PAGE,
    MAXIMUM_PAGE_OCTETS,
    MAXIMUM_PRUNED,
    MAXIMUM_STANZA,
    boundsOf,
    checkArchived,
    checkQuery,
    checkText,
    indexOf,
    namedBy,
    pageBoundsOf,
)
from xmppd.wire.archiveids import prefixOf


@dataclass(slots=True, eq=False)
class _Archive:
    """
    One archive.

    @ivar messages: by id.
    @ivar ids: all ids, sorted.
    @ivar peers: those of each peer, sorted.
    """

    messages: dict[str, ArchivedMessage] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    peers: dict[str, list[str]] = field(default_factory=dict)

    def add(self, message: ArchivedMessage) -> None:
        """Keep a message unless its id is there."""
        if message.id not in self.messages:
            self.messages[message.id] = message
            insort(self.ids, message.id)
            insort(self.peers.setdefault(message.peer, []), message.id)

    def remove(self, ids: Iterable[str]) -> None:
        """Delete messages."""
        gone = {id: self.messages.pop(id) for id in list(ids) if id in self.messages}
        self.ids = [id for id in self.ids if id not in gone]
        for peer in {each.peer for each in gone.values()}:
            self.peers[peer] = [id for id in self.peers[peer] if id not in gone]
            if not self.peers[peer]:
                del self.peers[peer]

    def between(self, query: ArchiveQuery, lower: str, upper: str) -> Sequence[str]:
        """The ids between two, both excluded, that a query asks for."""
        ids = self.ids if query.peer is None else self.peers.get(query.peer, [])
        ids = ids[bisect_right(ids, lower) : bisect_left(ids, upper)]
        if query.ids is not None:
            wanted = frozenset(query.ids)
            ids = [id for id in ids if id in wanted]
        if query.resource is not None:
            ids = [id for id in ids if self.messages[id].resource == query.resource]
        return ids


@implementer(IArchiveStore)
class MemoryArchives:
    """Archives by owner."""

    def __init__(self) -> None:
        self._archives: dict[str, _Archive] = {}

    def add(self, messages: Sequence[ArchivedMessage]) -> Deferred[None]:
        """Archive messages."""
        checkArchived(messages)
        for message in messages:
            self._archives.setdefault(message.owner, _Archive()).add(message)
        return succeed(None)

    def query(self, owner: str, query: ArchiveQuery) -> Deferred[ArchivePage]:
        """A page. Fails with L{Missing}."""
        query = checkQuery(owner, query)
        archive = self._archives.get(owner) or _Archive()
        if not namedBy(query) <= archive.messages.keys():
            return fail(Missing("an id that the query names"))
        all = archive.between(query, *boundsOf(query))
        skip = query.pageIndex or 0
        if skip > MAXIMUM_COUNT < len(all):
            return fail(Missing(f"position {skip}"))
        backwards = query.pageBefore is not None
        candidates = archive.between(query, *pageBoundsOf(query))
        candidates = candidates[::-1] if backwards else candidates[skip:]
        found = self._page(archive, candidates, query.limit)
        messages = found[::-1] if backwards else found
        count = len(all) if query.count and len(all) <= MAXIMUM_COUNT else None
        index = indexOf(query, messages, count, lambda id: bisect_left(all, id))
        return succeed(ArchivePage(tuple(messages), len(found) == len(candidates), count, index))

    def _page(self, archive: _Archive, ids: Sequence[str], limit: int) -> Sequence[ArchivedMessage]:
        found: list[ArchivedMessage] = []
        octets = 0
        for id in ids[:limit]:
            message = archive.messages[id]
            octets += len(message.stanza)
            if found and octets > MAXIMUM_PAGE_OCTETS:
                break
            found.append(message)
        return found

    def ends(self, owner: str) -> Deferred[tuple[ArchivedMessage, ArchivedMessage] | None]:
        """The first and the last message, or None if there are none."""
        checkText(owner)
        archive = self._archives.get(owner)
        if archive is None or not archive.ids:
            return succeed(None)
        return succeed((archive.messages[archive.ids[0]], archive.messages[archive.ids[-1]]))

    def replace(self, owner: str, id: str, stanza: bytes) -> Deferred[bool]:
        """
        Put other bytes in a message's place.

        @raise ValueError: they are too many.
        """
        checkText(owner, id)
        if len(stanza) > MAXIMUM_STANZA:
            raise ValueError("the stanza is too large for an archive")
        archive = self._archives.get(owner)
        if archive is None or id not in archive.messages:
            return succeed(False)
        archive.messages[id] = replace(archive.messages[id], stanza=stanza)
        return succeed(True)

    def remove(self, owner: str, ids: Iterable[str]) -> Deferred[None]:
        """Delete messages."""
        names = tuple(ids)
        checkText(owner, *names)
        if owner in self._archives:
            self._archives[owner].remove(names)
        return succeed(None)

    def prune(self, before: float, owner: str | None = None, most: int = 10000) -> Deferred[int]:
        """Delete old messages, at most so many or L{MAXIMUM_PRUNED}."""
        if owner is not None:
            checkText(owner)
        end = prefixOf(before)
        old = [
            (id, each)
            for each, archive in self._archives.items()
            if owner in (None, each)
            for id in archive.ids[: bisect_left(archive.ids, end)]
        ]
        old = sorted(old)[: min(most, MAXIMUM_PRUNED)]
        for each in {each for _, each in old}:
            self._archives[each].remove([id for id, whose in old if whose == each])
        return succeed(len(old))

    def forget(self, owner: str) -> Deferred[None]:
        """Delete an archive."""
        checkText(owner)
        self._archives.pop(owner, None)
        return succeed(None)

    def disown(self, sender: str) -> Deferred[None]:
        """Take an address out of everything whose sender it is."""
        checkText(sender)
        for archive in self._archives.values():
            for id, message in archive.messages.items():
                if sender and message.sender == sender:
                    archive.messages[id] = replace(message, sender="")
        return succeed(None)

    def owners(self, after: str = "", limit: int = 1000) -> Deferred[Sequence[str]]:
        """The owners of archives behind C{after} in order."""
        checkText(after)
        found = sorted(owner for owner, each in self._archives.items() if owner > after and each.ids)
        return succeed(tuple(found[: min(limit, MAXIMUM_PAGE)]))

    def count(self, owner: str) -> Deferred[int]:
        """How many messages an archive has."""
        checkText(owner)
        archive = self._archives.get(owner)
        return succeed(len(archive.ids) if archive else 0)
