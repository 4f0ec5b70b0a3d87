"""Tests of L{xmppd.auth.rounds}, and with a whole server of what a client can see of it."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.server import MemoryServer, ScramClient, ServerCase, auth
from xmppd.auth import passwords
from xmppd.auth.rounds import COUNTING_SECONDS, MOST_ERAS, Census, Era, Rounds
from xmppd.ixmppd import StoredKeys, StoreUnavailable
from xmppd.sasl import keys
from xmppd.store.memory import MemoryStore

SECRET = b"a secret of tests"
NAMES = [f"nobody{number}@example.org" for number in range(2000)]


def shown(rounds: Rounds) -> dict[str, Era]:
    """The eras of many made-up accounts."""
    return {name: rounds.eraOf(SECRET, name) for name in NAMES}


def frequencies(rounds: Rounds) -> dict[int, float]:
    """Which part of many made-up accounts shows how many rounds."""
    return {each: count / len(NAMES) for each, count in Counter(era.rounds for era in shown(rounds).values()).items()}


class RoundsTests(SynchronousTestCase):
    """The history by itself."""

    def assertFrequencies(self, rounds: Rounds, expected: dict[int, float]) -> None:
        """Made-up accounts are distributed like that, but for chance."""
        seen = frequencies(rounds)
        self.assertEqual(seen.keys() - expected.keys(), set())
        for each, part in expected.items():
            self.assertLess(abs(seen.get(each, 0.0) - part), 0.04, seen)

    def test_single(self) -> None:
        """Where nothing has changed there is one number, whatever is counted."""
        rounds = Rounds.only(10_000).counted({10_000: 7, 4096: 3})
        self.assertEqual((rounds, frequencies(rounds)), (Rounds.only(10_000), {10_000: 1.0}))
        self.assertIs(rounds.configured(10_000), rounds)

    @spec("RFC 6120", "13.11")
    def test_asFrequent(self) -> None:
        """Each number is as frequent among made-up accounts as among real ones, through several changes and back."""
        rounds = Rounds.only(10_000).configured(20_000).counted({10_000: 700, 20_000: 300})
        self.assertFrequencies(rounds, {10_000: 0.7, 20_000: 0.3})
        rounds = rounds.configured(40_000).counted({10_000: 350, 20_000: 150, 40_000: 500})
        self.assertFrequencies(rounds, {10_000: 0.35, 20_000: 0.15, 40_000: 0.5})
        rounds = rounds.configured(10_000).counted({10_000: 600, 20_000: 75, 40_000: 325})
        self.assertFrequencies(rounds, {10_000: 0.59, 20_000: 0.09, 40_000: 0.32})

    def test_steady(self) -> None:
        """A made-up account stays as it is, until it takes keys in a later era; it never goes back."""
        rounds, before = Rounds.only(10_000), shown(Rounds.only(10_000))
        for configured, counts in (
            (20_000, {10_000: 90, 20_000: 10}),
            (20_000, {10_000: 50, 20_000: 50}),
            (20_000, {10_000: 90, 20_000: 10}),
            (10_000, {10_000: 60, 20_000: 40}),
            (40_000, {10_000: 30, 20_000: 20, 40_000: 50}),
        ):
            rounds = rounds.configured(configured).counted(counts)
            now = shown(rounds)
            for name in NAMES:
                self.assertGreaterEqual(now[name].number, before[name].number)
                if now[name].number == before[name].number:
                    self.assertEqual(now[name].rounds, before[name].rounds)
            before = now

    def test_first(self) -> None:
        """The first account that takes keys in a new era isn't alone with its rounds; with no account all are new."""
        rounds = Rounds.only(10_000).configured(20_000)
        self.assertGreater(rounds.counted({10_000: 99}).eras[-1].share, 0.0)
        self.assertFrequencies(rounds.counted({}), {20_000: 1.0})

    def test_of(self) -> None:
        """Without a written history, that of the accounts that there are; what is configured comes last."""
        rounds = Rounds.of({40_000: 1, 10_000: 2, 20_000: 1}, 20_000)
        self.assertEqual([era.rounds for era in rounds.eras], [10_000, 40_000, 20_000])
        self.assertFrequencies(rounds, {10_000: 0.5, 40_000: 0.25, 20_000: 0.25})
        self.assertEqual(Rounds.of({}, 10_000), Rounds.only(10_000))
        self.assertFrequencies(Rounds.of({10_000: 4}, 20_000), {10_000: 1.0})

    def test_bounded(self) -> None:
        """However often the option is changed, only so much is remembered."""
        rounds = Rounds.only(10_000)
        for number in range(100):
            rounds = rounds.configured(10_001 + number).counted({10_001 + number: 1, 10_000 + number: 9})
        self.assertEqual((len(rounds.eras), rounds.eras[0].share), (MOST_ERAS, 1.0))
        self.assertEqual(len(Rounds.of(dict.fromkeys(range(4096, 5096), 1), 10_000).eras), MOST_ERAS)

    def test_code(self) -> None:
        """It can be written down and read."""
        rounds = Rounds.only(10_000).configured(20_000).counted({10_000: 2, 20_000: 1})
        self.assertEqual(Rounds.decode(rounds.encode()), rounds)
        self.assertRaises(ValueError, Rounds.decode, b"[]")


class CensusTests(SynchronousTestCase):
    """The history kept."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock()
        self.names = 0

    def accounts(self, count: int, rounds: int) -> None:
        """Make accounts with keys of that many rounds."""
        for _ in range(count):
            self.names += 1
            key = StoredKeys("sha256", b"salt", rounds, b"x" * 32, b"y" * 32)
            self.store.accounts.create(f"{self.names}@example.org", [key], 1.0)

    def census(self, configured: int) -> Census:
        """One that was started."""
        census = Census("example.org", self.store.accounts, self.store.facts, self.clock, configured, "sha256")
        self.successResultOf(Deferred.fromCoroutine(census.start()))
        return census

    def test_kept(self) -> None:
        """Over restarts nobody goes back, even if those accounts that were new are gone."""
        self.census(10_000)
        self.accounts(9, 10_000)
        self.accounts(9, 20_000)
        first = self.census(20_000).rounds
        self.assertEqual([era.rounds for era in first.eras], [10_000, 20_000])
        self.accounts(9, 10_000)
        self.assertEqual(self.census(20_000).rounds, first)
        self.assertEqual(self.census(10_000).rounds.current, 10_000)
        self.assertEqual(len(self.census(10_000).rounds.eras), 3)

    def test_unwritten(self) -> None:
        """A server that has never written a history finds one."""
        self.accounts(3, 10_000)
        rounds = self.census(20_000).rounds
        self.assertEqual([era.rounds for era in rounds.eras], [10_000, 20_000])
        self.assertEqual(self.census(20_000).rounds, rounds)

    def test_countedAgain(self) -> None:
        """After changes, but not after each."""
        self.census(10_000)
        self.accounts(9, 10_000)
        census = self.census(20_000)
        before = census.rounds
        self.accounts(90, 20_000)
        census.changed("1@example.org")
        census.changed("2@example.org")
        self.assertEqual((census.rounds, len(self.clock.calls)), (before, 1))
        self.clock.advance(COUNTING_SECONDS)
        self.assertGreater(census.rounds.eras[-1].share, 0.8)
        self.assertEqual((self.census(20_000).rounds, self.clock.calls), (census.rounds, []))

    def test_nothingToCount(self) -> None:
        """Where nothing was ever changed nobody counts."""
        census = self.census(10_000)
        census.changed("1@example.org")
        self.assertEqual(self.clock.calls, [])

    def test_slow(self) -> None:
        """Where counting takes long, it is done rarely."""
        self.census(10_000)
        real = self.store.accounts.rounds

        def slowly(*arguments: Any) -> Any:
            self.clock.advance(1.0)
            return real(*arguments)

        with mock.patch.object(self.store.accounts, "rounds", slowly):
            census = self.census(20_000)
        census.changed("1@example.org")
        (call,) = self.clock.calls
        self.assertEqual(call.getTime() - self.clock.seconds(), 1000.0)
        census.stop()
        census.stop()
        self.assertEqual(self.clock.calls, [])

    def test_storeUnavailable(self) -> None:
        """If the store doesn't answer all stays as it was, until another time."""
        self.census(10_000)
        census = self.census(20_000)
        census.changed("1@example.org")
        with mock.patch.object(self.store.accounts, "rounds", lambda *arguments: fail(StoreUnavailable())):
            self.clock.advance(COUNTING_SECONDS)
        census.changed("1@example.org")
        self.assertEqual(len(self.clock.calls), 1)

    def test_mistake(self) -> None:
        """A mistake of ours is logged."""
        self.census(10_000)
        census = self.census(20_000)
        census.changed("1@example.org")
        with mock.patch.object(self.store.accounts, "rounds", lambda *arguments: fail(ZeroDivisionError())):
            self.clock.advance(COUNTING_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


@spec("RFC 6120", "13.11")
class LoginTests(ServerCase):
    """What a client can see: romeo's keys are old, new accounts get more rounds, nobody is called nobody…."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.serve(store=self.store, accounts=())  # with 10000 rounds, once
        self.accounts(0, 10_000)
        self.server = self.serve(store=self.store, accounts=(), host="scram_iterations = 20000\n")
        self.accounts(1, 20_000)
        self.server.host.hooks.registered.notify("user0@example.org")
        self.server.advance(COUNTING_SECONDS)

    def accounts(self, first: int, rounds: int) -> None:
        """Ten accounts, those of even or odd numbers, with keys of that many rounds."""
        key = StoredKeys("sha256", b"salt", rounds, b"x" * 32, b"y" * 32)
        for number in range(first, 20, 2):
            self.store.accounts.create(f"user{number}@example.org", [key], 1.0)

    def challenge(self, name: str, server: MemoryServer | None = None) -> tuple[int, str]:
        """The rounds and the salt that the server tells somebody who says that he is C{name}."""
        client = (server or self.server).connect()
        client.open()
        scram = ScramClient("SCRAM-SHA-256", name, "guess")
        challenge = client.ask(auth("SCRAM-SHA-256", scram.first()))
        fields = dict(part.split("=", 1) for part in b64decode(challenge.text or "").decode().split(","))
        client.disconnect()
        return int(fields["i"]), fields["s"]

    def test_scram(self) -> None:
        """Made-up accounts show the old and the new number, about as often as there are such accounts, and stay so."""
        names = [f"nobody{number}" for number in range(60)]
        first = {name: self.challenge(name) for name in names}
        counts = Counter(rounds for rounds, _ in first.values())
        self.assertEqual(counts.keys(), {10_000, 20_000})
        self.assertGreater(min(counts.values()), 15)
        again = self.serve(store=self.store, accounts=(), host="scram_iterations = 20000\n")
        self.assertEqual({name: self.challenge(name, again) for name in names}, first)

    def test_sameWork(self) -> None:
        """
        The keys of somebody who isn't there are made up whoever is asked for, and a plain password costs as many
        rounds as SCRAM shows: the time doesn't tell.
        """
        names = ["user0", "user1", *(f"nobody{number}" for number in range(10))]
        told = {name: self.challenge(name)[0] for name in names}
        self.assertEqual(set(told.values()), {10_000, 20_000})
        made: list[str] = []
        derived: list[int] = []
        real, derive = passwords.fakeKeys, keys.deriveKeys

        def fake(secret: bytes, username: str, *arguments: Any) -> StoredKeys:
            made.append(username)
            return real(secret, username, *arguments)

        def counting(password: str, hashName: str, salt: bytes | None, iterations: int) -> StoredKeys:
            derived.append(iterations)
            return derive(password, hashName, salt, iterations)

        self.patch(passwords, "fakeKeys", fake)
        self.patch(keys, "deriveKeys", counting)
        for name in names:
            self.challenge(name)
            client = self.server.connect()
            client.open()
            client.ask(auth("PLAIN", f"\0{name}\0guess".encode()))
            client.disconnect()
            self.assertEqual(made, [f"{name}@example.org"] * 2)
            self.assertEqual(derived, [told[name]])
            made.clear(), derived.clear()
