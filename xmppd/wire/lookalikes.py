"""
Names among which look-alikes are looked for, in memory: people in a room, rooms of a service, contacts of a user.

A name is found by its L{keys<xmppd.wire.confusable.keys>}: adding, taking away and looking cost a few entries of a
dictionary, however many names there are. Names that many processes or restarts have to agree on are in the database
(L{xmppd.ixmppd.INameStore}), which is indexed by the same keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Final

from xmppd.wire.confusable import CACHED_LENGTH, keys
from xmppd.wire.jid import JID
from xmppd.wire.ucd import UNICODE

EDITION: Final = f"{UNICODE}/2"
"""What keys are made from, to be kept with them. The number behind the slash counts changes of our own."""

LOOKED_AT: Final = CACHED_LENGTH
"""How many code points of a name count: nobody compares more by eye, and what can be remembered costs little."""


def keysOf(text: str) -> frozenset[str]:
    """L{keys} of what may be long: of the first L{LOOKED_AT} characters then."""
    return keys(text[:LOOKED_AT])


def keyDigests(name: str) -> frozenset[bytes]:
    """
    What stands for the L{keys<xmppd.wire.confusable.keys>} of a name in the index of a database; also of one that is
    too long.
    """
    return frozenset(sha256(key.encode()).digest() for key in keysOf(name))


class NameIndex:
    """
    Names, each with whom it belongs to. The same pair can be added several times and has to be taken away as often.
    """

    __slots__ = ("_byKey", "_counts")

    def __init__(self) -> None:
        self._byKey: dict[str, dict[tuple[str, str], None]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self._counts)

    def add(self, name: str, owner: str = "") -> None:
        """Add a name of somebody's."""
        pair = (name, owner)
        count = self._counts.get(pair, 0)
        self._counts[pair] = count + 1
        for key in () if count else keysOf(name):
            self._byKey.setdefault(key, {})[pair] = None

    def discard(self, name: str, owner: str = "") -> None:
        """Take it away, once; what isn't there is ignored."""
        pair = (name, owner)
        count = self._counts.get(pair, 0)
        if count > 1:
            self._counts[pair] = count - 1
        elif count:
            del self._counts[pair]
            for key in keysOf(name):
                found = self._byKey[key]
                del found[pair]
                if not found:
                    del self._byKey[key]

    def __contains__(self, name: str) -> bool:
        """Whether exactly that name is there, whoever's it is."""
        return any(name == other for key in keysOf(name) for other, _ in self._byKey.get(key, ()))

    def clear(self) -> None:
        """Take everything away."""
        self._byKey.clear()
        self._counts.clear()

    def alike(self, name: str, owner: str | None = None) -> list[str]:
        """
        The names that look like C{name}, in order, without itself.

        @param owner: whose names are left out: nobody mimics himself.
        """
        found = {
            other
            for key in keysOf(name)
            for other, whose in self._byKey.get(key, ())
            if other != name and (owner is None or whose != owner)
        }
        return sorted(found)


def addressKeys(jid: JID) -> frozenset[tuple[str, str]]:
    """
    By what a bare JID is found among those that look like it: two do if their localparts do and their domains do. One
    to 25 pairs, mostly four.
    """
    locals = keysOf(jid.local) if jid.local is not None else frozenset({""})
    return frozenset((local, domain) for local in locals for domain in keysOf(jid.domain))


def alikeAddresses(jid: JID, others: Iterable[JID]) -> list[str]:
    """The bare JIDs among C{others} that look like that of C{jid} and aren't, in order."""
    mine, bare = addressKeys(jid), jid.bare
    return sorted({each.bare for each in others if each.bare != bare and not mine.isdisjoint(addressKeys(each))})


def firstAlike(name: str, others: Collection[str]) -> str | None:
    """The first of several names that looks like C{name}, be it the same or not; None if none does."""
    mine = keysOf(name)
    return next((other for other in others if not mine.isdisjoint(keysOf(other))), None)
