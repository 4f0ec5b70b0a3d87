"""
How many PBKDF2 rounds a made-up account shows, so that a new C{scram_iterations} doesn't tell it from a real one.

Theory of operation
===================

Real accounts keep the rounds with which their password was set. When an administrator asks for more, old accounts go on
with the old number, and a made-up one that showed the new number would be known for what it is (RFC 6120 section
13.11). So made-up accounts live through the same history. An I{era} is a time in which one number of rounds was
configured. In each of them some of the accounts took new keys: were made, or changed their password. Of the made-up
accounts as many do: whether one does, and how early, follows from a secret hash of its name and of the era. What it
shows is the number, and a salt, of the last era in which it took keys; to whoever asks again after a while it looks as
if its password had been changed.

How many take keys in the era of the moment is chosen so that, over all eras, the made-up accounts with its number of
rounds are as frequent as the real ones. That share may grow and never shrinks: nobody goes back to old keys. What
earlier eras have settled stays as it was.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IAccountStore, IClock, IFactStore, StoreUnavailable

log = Logger(namespace="xmppd.auth")

MOST_ERAS = 16
"""How many eras are remembered. The oldest become one."""

KIND = "server"
KEY = "scram-eras"

COUNTING_SECONDS = 60.0
"""How soon after a change accounts are counted again, at the earliest."""

COUNTING_SHARE = 1000
"""Counting may take one part in so many of the time."""


@dataclass(frozen=True, slots=True)
class Era:
    """
    A time in which one number of rounds was configured.

    @ivar number: eras are numbered as they come; a number isn't used again.
    @ivar rounds: PBKDF2 rounds.
    @ivar share: which part of the accounts took keys in it, from 0 to 1.
    """

    number: int
    rounds: int
    share: float


@dataclass(frozen=True, slots=True)
class Rounds:
    """
    The history of one host. In the first era everybody takes keys.

    @ivar eras: the oldest first; at least one.
    """

    eras: tuple[Era, ...]

    @classmethod
    def only(cls, rounds: int) -> Rounds:
        """A history in which nothing has changed yet."""
        return cls((Era(0, rounds, 1.0),))

    @classmethod
    def of(cls, counts: Mapping[int, int], current: int) -> Rounds:
        """
        The history of a host that didn't write one: more and more rounds, and last what is configured.

        @param counts: how many accounts there are with so many rounds.
        """
        order = [*sorted(rounds for rounds in counts if rounds != current), current]
        eras, before = [], 0
        for number, rounds in enumerate(order):
            count = counts.get(rounds, 0)
            before += count
            eras.append(Era(number, rounds, count / before if number and before else 1.0))
        return cls(tuple(eras))._shortened()

    @property
    def current(self) -> int:
        """The rounds of the last era."""
        return self.eras[-1].rounds

    @property
    def single(self) -> bool:
        """Whether there is nothing to choose from."""
        return len(self.eras) == 1

    def configured(self, rounds: int) -> Rounds:
        """The history from now on, if that many rounds are configured now."""
        if rounds == self.current:
            return self
        return Rounds((*self.eras, Era(self.eras[-1].number + 1, rounds, 0.0)))._shortened()

    def _shortened(self) -> Rounds:
        """Without the oldest eras, if there are too many; the first that is left is everybody's."""
        first, *later = self.eras[-MOST_ERAS:]
        return Rounds((replace(first, share=1.0), *later))

    def counted(self, counts: Mapping[int, int]) -> Rounds:
        """
        The history after accounts were counted. One account more counts as one of the moment, so that the first who
        take keys in a new era aren't the only ones to show its rounds.

        @param counts: how many accounts there are with so many rounds.
        """
        if self.single:
            return self
        last = self.eras[-1]
        wanted = (counts.get(last.rounds, 0) + 1) / (sum(counts.values()) + 1)
        there = self._frequency(last.rounds)
        share = (wanted - there) / (1 - there) if there < 1 else 0.0
        return Rounds((*self.eras[:-1], replace(last, share=min(1.0, max(last.share, share)))))

    def _frequency(self, rounds: int) -> float:
        """Which part of the made-up accounts shows that many rounds because of earlier eras."""
        part = 0.0
        for era in self.eras[:-1]:
            part = part * (1 - era.share) + (era.share if era.rounds == rounds else 0.0)
        return part

    def eraOf(self, secret: bytes, username: str) -> Era:
        """
        The era from which a made-up account has its keys.

        @param username: as for L{xmppd.sasl.keys.fakeKeys}.
        """
        name = username.encode("utf-8", "surrogatepass")
        for era in reversed(self.eras[1:]):
            digest = hmac.digest(secret, b"era\0%d\0%b" % (era.number, name), "sha256")
            if int.from_bytes(digest[:7]) < era.share * (1 << 56):
                return era
        return self.eras[0]

    def encode(self) -> bytes:
        """For the store."""
        return json.dumps([[era.number, era.rounds, era.share] for era in self.eras]).encode()

    @classmethod
    def decode(cls, data: bytes) -> Rounds:
        """
        From the store.

        @raise ValueError: that is no history.
        """
        eras = tuple(Era(int(number), int(rounds), float(share)) for number, rounds, share in json.loads(data))
        if not eras:
            raise ValueError("a history has an era")
        return cls(eras)


class Census:
    """
    Keeps the history of one host: reads it at the start, and counts accounts again after some have taken keys. Where
    nothing has ever changed there is nothing to count.

    @ivar rounds: the history of the moment.
    """

    def __init__(
        self, domain: str, accounts: IAccountStore, facts: IFactStore, clock: IClock, configured: int, hashName: str
    ) -> None:
        """
        @param configured: the rounds of new keys.
        @param hashName: by the keys for which hash accounts are counted.
        """
        self.rounds = Rounds.only(configured)
        self._domain = domain
        self._accounts = accounts
        self._facts = facts
        self._clock = clock
        self._configured = configured
        self._hashName = hashName
        self._call: Any = None
        self._pause = COUNTING_SECONDS

    async def start(self) -> None:
        """
        Read the history and bring it up to date.

        @raise StoreUnavailable: then the server can't start.
        """
        kept = await self._facts.get(self._domain, KIND, KEY)
        counts = await self._counts()
        before = Rounds.of(counts, self._configured) if kept is None else Rounds.decode(kept)
        self.rounds = before.configured(self._configured).counted(counts)
        if kept is None or before != self.rounds:
            await self._facts.put(self._domain, KIND, KEY, self.rounds.encode())

    async def _counts(self) -> Mapping[int, int]:
        """How many accounts there are with so many rounds; learns how often that may be asked."""
        begun = self._clock.seconds()
        counts = await self._accounts.rounds(self._domain, self._hashName)
        self._pause = max(COUNTING_SECONDS, (self._clock.seconds() - begun) * COUNTING_SHARE)
        return counts

    def stop(self) -> None:
        """Count no more."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def changed(self, bare: str) -> None:
        """An account has come, has gone, or has new keys: count again in a while."""
        if self._call is None and not self.rounds.single:
            self._call = self._clock.callLater(self._pause, self._countAgain)

    def _countAgain(self) -> None:
        self._call = None
        Deferred.fromCoroutine(self._count()).addErrback(self._notCounted)

    async def _count(self) -> None:
        before, self.rounds = self.rounds, self.rounds.counted(await self._counts())
        if before != self.rounds:
            await self._facts.put(self._domain, KIND, KEY, self.rounds.encode())

    def _notCounted(self, failure: Failure) -> None:
        """Another time, after the next change."""
        if failure.check(StoreUnavailable) is None:
            log.failure("counting accounts failed", failure)
