"""
What is remembered of whom a user knows, or may get to know: the name that somebody goes by, keys, and who has
recommended him under which name and with which keys (sections 2.2 to 2.5).

One fact of the account for each address. All that is done about one account is done one after the other, so that a
request that follows a recommendation finds it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from xmppd.ixmppd import IHost

T = TypeVar("T")

KIND: Final = "acquaintances"
"""The kind of fact; names are bare JIDs."""

MOST: Final = 500
"""How many addresses are remembered of one account."""

MOST_REFERRALS: Final = 5
"""How many recommendations of one address."""

MOST_KEYS: Final = 10
"""How many keys of one address."""

LONGEST: Final = 200
"""How long a name may be that is remembered, in characters."""

ACCOUNTS: Final = 1000
"""For how many accounts something may be under way at a time."""

TURNS: Final = 200
"""How much of one account may wait for its turn."""


@dataclass(frozen=True, slots=True)
class Referral:
    """
    A recommendation (XEP-0144).

    @ivar by: the bare JID of who has sent it.
    @ivar name: the alleged name.
    @ivar nick: the nickname, as its sender knows it.
    @ivar keys: identities of keys, see L{xmppd.features.xep0165_mimicry.keys}.
    @ivar at: when it came, seconds since the epoch.
    """

    by: str
    name: str = ""
    nick: str = ""
    keys: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """
    What is known of one address.

    @ivar nick: what somebody calls himself, or empty.
    @ivar keys: when each key was first seen, by identity.
    @ivar source: from where these keys are: "publication", "request" or "referral".
    @ivar referrals: recommendations that haven't been used yet, the latest last.
    """

    nick: str = ""
    keys: dict[str, float] = field(default_factory=dict)
    source: str = ""
    referrals: tuple[Referral, ...] = ()

    @property
    def alleged(self) -> tuple[str, ...]:
        """The names that others than the user have given."""
        names = (self.nick, *(text for each in self.referrals for text in (each.name, each.nick)))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def recommended(self) -> frozenset[str]:
        """The keys with which it was recommended."""
        return frozenset(key for each in self.referrals for key in each.keys)

    def withReferral(self, referral: Referral) -> Acquaintance:
        """One more, in place of an older one of the same sender."""
        others = [each for each in self.referrals if each.by != referral.by]
        return replace(self, referrals=(*others, referral)[-MOST_REFERRALS:])

    def withKeys(self, keys: tuple[str, ...], source: str, now: float) -> Acquaintance:
        """With these keys in place of others; those that were known keep their time."""
        return replace(self, keys={key: self.keys.get(key, now) for key in keys[:MOST_KEYS]}, source=source)

    def used(self, now: float) -> Acquaintance:
        """The user has taken the address into the roster: recommendations have done what they are for."""
        keys = tuple(self.recommended)
        known = self if self.keys or not keys else self.withKeys(keys, "referral", now)
        return replace(known, referrals=())

    def changes(self, keys: tuple[str, ...]) -> bool:
        """Whether none of some keys is known, though others are."""
        return bool(keys) and bool(self.keys) and self.keys.keys().isdisjoint(keys)

    def toBytes(self) -> bytes:
        """For the store."""
        referrals = [[each.by, each.name, each.nick, each.keys, each.at] for each in self.referrals]
        return json.dumps([self.nick, self.keys, self.source, referrals]).encode()

    @classmethod
    def fromBytes(cls, data: bytes) -> Acquaintance:
        """From the store."""
        nick, keys, source, referrals = json.loads(data)
        return cls(nick, keys, source, tuple(Referral(by, a, b, tuple(c), at) for by, a, b, c, at in referrals))


class Acquaintances:
    """Those of one host's users."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._locks: dict[str, tuple[DeferredLock, int]] = {}

    def inTurn(self, account: str, work: Callable[[], Awaitable[T]], most: int | None = None) -> Deferred[T]:
        """
        Do something about one account when all that was to be done before is done.

        @param most: behind how much else of that account it may wait; L{TURNS} if None.
        @raise OverflowError: too much is under way.
        """
        lock, count = self._locks.get(account, (None, 0))
        if count >= (TURNS if most is None else most):
            raise OverflowError("too much is to be remembered for an account")
        if lock is None:
            if len(self._locks) >= ACCOUNTS:
                raise OverflowError("too many accounts have something to remember")
            lock = DeferredLock()
        self._locks[account] = (lock, count + 1)

        async def wrapped() -> T:
            return await work()

        done: Deferred[T] = lock.run(lambda: Deferred.fromCoroutine(wrapped()))
        return done.addBoth(self._over, account)

    def _over(self, result: Any, account: str) -> Any:
        lock, count = self._locks[account]
        if count == 1:
            del self._locks[account]
        else:
            self._locks[account] = (lock, count - 1)
        return result

    async def get(self, account: str, bare: str) -> Acquaintance:
        """What is known of an address; nothing, in the form of an empty value, if it isn't known."""
        data = await self._host.facts.get(account, KIND, bare)
        return Acquaintance.fromBytes(data) if data is not None else Acquaintance()

    async def put(self, account: str, bare: str, known: Acquaintance, contacts: Container[str]) -> None:
        """
        Remember something. If there is no more room, those of whom only they themselves have said something are
        forgotten for those who were recommended, and both for contacts, so that no crowd of strangers can have anybody
        else forgotten, or not remembered.

        @param contacts: the bare JIDs of whom the user has in the roster.
        """
        facts = self._host.facts
        if known == Acquaintance():
            await facts.delete(account, KIND, bare)
            return
        there = await facts.all(account, KIND)
        if bare not in there and len(there) >= MOST:
            ranks = {name: _rank(name, Acquaintance.fromBytes(data), contacts) for name, data in there.items()}
            least = min(ranks, key=lambda name: ranks[name])
            if ranks[least] >= _rank(bare, known, contacts):
                return
            await facts.delete(account, KIND, least)
        await facts.put(account, KIND, bare, known.toBytes())


def _rank(bare: str, known: Acquaintance, contacts: Container[str]) -> int:
    """How much it matters to remember somebody."""
    return 2 if bare in contacts else 1 if known.referrals else 0
