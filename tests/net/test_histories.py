"""L{xmppd.net.histories}: what is remembered and told, with a store that outlives the server."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der
from xmppd.counters import Counters
from xmppd.ixmppd import StoreUnavailable, TLSFacts
from xmppd.net import histories
from xmppd.net.histories import CERTIFICATES, KIND, OWNER, Histories, History, historyOf
from xmppd.store.memory import MemoryStore
from xmppd.trust.history import Change
from xmppd.trust.verdict import Downgrades, Past, PeerPolicy, Prooftype, Verdict, decide, failed, held

KEYS = [curveKey(), curveKey()]
OURS = Authority("Encrypt Us")


def certificate(key: int = 0, authority: Authority = OURS, start: float = NOW) -> bytes:
    """A certificate of the domain."""
    return der(authority.sign(KEYS[key], [x509.DNSName("example.net")], start=start, end=start + 90 * DAY))


FIRST, RENEWED, OTHER = certificate(), certificate(), certificate(1)


def verdict(shown: bytes, domain: str = "example.net", proof: Prooftype = Prooftype.PKIX, good: bool = True) -> Verdict:
    """What was found out about a peer."""
    proofs = [(held if good else failed)(proof, "because")]
    return decide(domain, proofs, PeerPolicy(), TLSFacts("TLSv1.3", "x", peerCertificate=shown))


class HistoriesCase(SynchronousTestCase):
    """Histories on a store that stays."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.told: list[Any] = []
        self.logged: list[str] = []
        self.restart()

        def observe(event: Any) -> None:
            if event["log_namespace"] == "xmppd.s2s" and event["log_level"].name == "warn":
                self.logged.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def restart(self) -> None:
        """Another server on the same store."""
        router = SimpleNamespace(route=self.told.append)
        config = SimpleNamespace(admins=("admin@example.org", "admin@elsewhere.example"))
        host: Any = SimpleNamespace(domain="example.org", config=config, router=router)
        self.counters = Counters()
        self.histories = Histories(self.store, self.clock, {"example.org": host}, self.counters)

    def saw(self, found: Verdict, incoming: bool = False, chain: tuple[bytes, ...] = ()) -> None:
        """A handshake has ended."""
        seen = self.histories.saw(found, incoming, chain)
        if seen is not None:
            self.successResultOf(seen)

    def history(self, domain: str = "example.net") -> History:
        """What is remembered."""
        return self.successResultOf(Deferred.fromCoroutine(self.histories.of(domain)))


@spec("mission", "T13")
@spec("RFC 7590", "3.6")
class HistoriesTests(HistoriesCase):
    """L{Histories}."""

    def test_first(self) -> None:
        """The first time is remembered and not told; the same again isn't even written, until an hour has passed."""
        self.saw(verdict(FIRST))
        self.assertEqual((len(self.history().sightings), self.told, self.logged), (1, [], []))
        written = self.history()
        self.clock.advance(60)
        self.saw(verdict(FIRST))
        self.assertEqual(self.history(), written)
        self.clock.advance(DAY)
        self.saw(verdict(FIRST))
        self.assertEqual(self.history().sightings[0].lastSeen, NOW + 60 + DAY)
        self.assertEqual(self.history().sightings[0].firstSeen, NOW)

    def test_settled(self) -> None:
        """It can be waited for that all is written, as a shutdown does; at once if nothing is."""
        self.successResultOf(Deferred.fromCoroutine(self.histories.settled()))
        reading: list[Deferred[None]] = [Deferred(), Deferred()]
        waiting = iter(reading)
        self.histories._saw = lambda *_: waitedFor(next(waiting))  # type: ignore[assignment, method-assign]
        for found in (FIRST, OTHER):
            self.histories.saw(verdict(found), False)
        settled = Deferred.fromCoroutine(self.histories.settled())
        for each in reading:
            self.assertNoResult(settled)
            each.callback(None)
        self.successResultOf(settled)

    def test_renewed(self) -> None:
        """A new certificate for the same key is no news."""
        self.saw(verdict(FIRST))
        self.saw(verdict(RENEWED))
        self.assertEqual((len(self.history().sightings), self.told), (2, []))

    def test_overRestart(self) -> None:
        """A new key long before it was due is told though the server was restarted; then it is known."""
        self.saw(verdict(FIRST))
        self.restart()
        self.clock.advance(DAY)
        self.saw(verdict(OTHER))
        self.assertEqual([each.attrs["to"] for each in self.told], ["admin@example.org", "admin@elsewhere.example"])
        self.assertEqual(self.told[0].attrs["from"], "example.org")
        text = self.told[0].element().children[0].text
        self.assertIn("example.net", text)
        self.assertIn("would have been valid until", text)
        self.assertEqual(len(self.logged), 1)
        self.assertIn("changes=early new-key", self.logged[0])
        warned = self.history().warnings[0]
        self.assertEqual(warned.changes, (Change.EARLY, Change.NEW_KEY))
        self.restart()
        self.assertEqual(self.histories.warned, {})
        self.saw(verdict(OTHER))
        self.assertEqual(len(self.told), 2)
        self.assertEqual(self.histories.warned["example.net"], warned)

    def test_weaker(self) -> None:
        """A weaker proof is told, also of a stream that was refused, if it was we who called."""
        self.saw(verdict(FIRST))
        self.saw(verdict(FIRST, good=False))
        self.assertIn("weaker-proof", self.logged[0])

    def test_strangers(self) -> None:
        """Whoever calls, says it is somebody, and is refused, is no sighting."""
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER, good=False), incoming=True)
        self.assertEqual((len(self.history().sightings), self.told), (1, []))

    def test_directions(self) -> None:
        """A domain may show something else when it calls."""
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER), incoming=True)
        self.assertEqual((len(self.history().sightings), self.told), (2, []))

    def test_cluster(self) -> None:
        """Certificates that take turns are told of once, over a restart too."""
        for _ in range(3):
            for shown in (FIRST, OTHER):
                self.saw(verdict(shown))
                self.clock.advance(2 * histories.REFRESH)
            self.restart()
        self.assertEqual(len(self.logged), 2)
        self.assertEqual([each.alternating for each in self.history().sightings], [True, True])

    def test_notTooOften(self) -> None:
        """One domain is told of once an hour, all together no more often than so; the log has all."""
        for _ in range(3):
            self.saw(verdict(FIRST))
            self.saw(verdict(FIRST, good=False))
        self.assertEqual(len(self.told), 2)
        self.assertEqual(len(self.logged), 3)
        for number in range(40):
            self.saw(verdict(FIRST, f"a{number}.example"))
            self.saw(verdict(OTHER, f"a{number}.example"))
        self.assertEqual(len(self.told), 2 * histories.MOST_OF_NEWCOMERS + 2)
        self.assertIn(b"more domains", self.told[-1].raw)
        self.clock.advance(2 * histories.TELLING)
        self.saw(verdict(OTHER))
        self.assertEqual(len(self.told), 2 * histories.MOST_OF_NEWCOMERS + 4)

    def test_newcomers(self) -> None:
        """Who has many domains can't have it that nobody is told of one that is known for long."""
        known = [f"known{number}.example" for number in range(12)]
        for domain in known:
            self.saw(verdict(FIRST, domain))
        self.clock.advance(2 * histories.NEWCOMER)
        for domain in known:
            self.saw(verdict(FIRST, domain))
        for number in range(40):
            self.saw(verdict(FIRST, f"a{number}.example"))
            self.saw(verdict(OTHER, f"a{number}.example"))
        self.told.clear()
        for domain in known:
            self.saw(verdict(OTHER, domain))
        self.assertEqual(len(self.told), 2 * (histories.MOST_TOLD - histories.MOST_OF_NEWCOMERS))

    def test_bound(self) -> None:
        """Domains that come in masses drive each other out, and none that has been known for longer."""
        self.patch(histories, "MOST_DOMAINS", 3)
        self.saw(verdict(FIRST))
        self.clock.advance(DAY)
        self.saw(verdict(FIRST))
        for number in range(20):
            self.clock.advance(1)
            self.saw(verdict(FIRST, f"a{number}.example"))
        found = self.successResultOf(self.store.facts.all(OWNER, KIND))
        self.assertEqual(len(found), 3)
        self.assertIn("example.net", found)
        self.assertEqual(set(self.successResultOf(Deferred.fromCoroutine(self.histories.domains()))), set(found))

    def test_damaged(self) -> None:
        """A fact that can't be read is one that is forgotten."""
        for value in (b"", b"[]", b'{"sightings": [{}], "warnings": []}', b"\xff"):
            self.assertEqual(historyOf(value), History())

    def test_disk(self) -> None:
        """A store that refuses is logged; what comes later is remembered."""
        def refuse(*arguments: Any) -> Any:
            raise StoreUnavailable("the disk is full")

        put = self.store.facts.put
        self.store.facts.put = refuse  # type: ignore[method-assign]
        self.saw(verdict(FIRST))
        self.assertIn("the disk is full", self.logged[0])
        self.store.facts.put = put  # type: ignore[method-assign]
        self.saw(verdict(FIRST))
        self.assertEqual(len(self.history().sightings), 1)

    def test_masses(self) -> None:
        """No more wait for the store than there is room for."""
        self.patch(histories, "MOST_WAITING", 1)
        waiting: Deferred[Any] = Deferred()
        self.store.facts.all = lambda owner, kind: waiting  # type: ignore[method-assign]
        self.histories.saw(verdict(FIRST), False)
        self.assertIsNone(self.histories.saw(verdict(FIRST), False))
        waiting.callback({})
        self.assertEqual(len(self.history().sightings), 1)

    def kept(self) -> list[str]:
        """The keys of the certificates that are kept."""
        return list(self.successResultOf(self.store.facts.all(OWNER, CERTIFICATES)))

    def chain(self, shown: bytes) -> tuple[bytes, ...]:
        """What is kept of a certificate."""
        sha256 = hashlib.sha256(shown).hexdigest()
        return self.successResultOf(Deferred.fromCoroutine(self.histories.chain("example.net", sha256)))

    @spec("mission", "T12")
    def test_certificates(self) -> None:
        """Certificates that are long gone can be looked at, with what came along with them."""
        above = der(OURS.certificate)
        self.saw(verdict(FIRST), chain=(FIRST, above))
        self.saw(verdict(OTHER), chain=(OTHER,))
        self.restart()
        self.assertEqual(self.chain(FIRST), (FIRST, above))
        self.assertEqual(self.chain(OTHER), (OTHER,))
        self.assertEqual(self.chain(RENEWED), ())

    def test_certificatesOfBefore(self) -> None:
        """What an older version has remembered without certificates is completed."""
        self.saw(verdict(FIRST))
        self.assertEqual(self.kept(), [])
        self.clock.advance(DAY)
        self.saw(verdict(FIRST), chain=(FIRST,))
        self.assertEqual(self.chain(FIRST), (FIRST,))

    def test_certificatesBound(self) -> None:
        """The latest few of a domain are kept, none is large, and they go with the domain."""
        self.patch(histories, "MOST_CERTIFICATES", 2)
        for shown in (FIRST, RENEWED, OTHER):
            self.saw(verdict(shown), chain=(shown, b"x" * histories.MOST_OCTETS))
        self.assertEqual(len(self.kept()), 2)
        self.assertEqual((self.chain(FIRST), self.chain(OTHER)), ((), (OTHER,)))
        self.patch(histories, "MOST_DOMAINS", 1)
        self.saw(verdict(FIRST, "a.example"), chain=(FIRST,))
        self.assertEqual([each.partition(" ")[0] for each in self.kept()], ["a.example"])

    def test_garbage(self) -> None:
        """Whatever a peer calls a certificate comes back as it was."""
        self.saw(verdict(FIRST), chain=(FIRST, b"\x00\xff-----END CERTIFICATE-----", b"y"))
        self.assertEqual(self.chain(FIRST), (FIRST, b"\x00\xff-----END CERTIFICATE-----", b"y"))

    def test_acknowledged(self) -> None:
        """Somebody has looked at it: it is kept, and no longer shown, over a restart too; until the next change."""
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER))
        self.restart()
        self.saw(verdict(OTHER))
        self.assertIn("example.net", self.histories.warned)
        self.clock.advance(7)
        self.assertEqual(self.successResultOf(self.histories.acknowledge("example.net", "admin@example.org")), 1)
        self.assertEqual(self.successResultOf(self.histories.acknowledge("example.net", "admin@example.org")), 0)
        self.assertEqual(self.successResultOf(self.histories.acknowledge("nobody.example", "admin@example.org")), 0)
        self.assertEqual(self.histories.warned, {})
        self.restart()
        self.saw(verdict(OTHER))
        self.assertEqual(self.histories.warned, {})
        (warning,) = self.history().warnings
        self.assertEqual((warning.acknowledged, warning.by), (NOW + 7, "admin@example.org"))
        self.saw(verdict(FIRST))
        self.assertEqual(self.histories.warned["example.net"].changes, (Change.RETURNED,))

    def test_pendingOfOthers(self) -> None:
        """What waits to be looked at is known after a restart, though that domain isn't there."""
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER))
        self.restart()
        self.saw(verdict(FIRST, "a.example"))
        self.assertEqual(list(self.histories.warned), ["example.net"])

    def test_counted(self) -> None:
        """Changes are counted by what they are."""
        self.saw(verdict(FIRST))
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER))
        counted = {change: count for (change,), count in self.counters.certificateChanges.values.items()}
        self.assertEqual(counted, {"first-seen": 1, "early": 1, "new-key": 1})


BEFORE = Past(Prooftype.PKIX, NOW)


@spec("mission", "T9", "T13")
class DowngradeTests(HistoriesCase):
    """What a domain was proved by counts against less."""

    def past(self, incoming: bool = False, domain: str = "example.net", **more: Any) -> Past:
        """What is known."""
        since = more.pop("since", 0.0)
        found: Past = self.successResultOf(self.histories.past(domain, incoming, since, **more))
        return found

    def weaker(self, shown: bytes = OTHER, policy: PeerPolicy = PeerPolicy(), incoming: bool = False) -> Verdict:
        """What is made of dialback now."""
        tls = TLSFacts("TLSv1.3", "x", peerCertificate=shown)
        proofs, past = [held(Prooftype.DIALBACK, "because")], self.past(incoming)
        return decide("example.net", proofs, policy, tls, past=past, outgoing=not incoming)

    def test_past(self) -> None:
        """It is known over a restart, for both directions, for as long as it counts."""
        self.assertEqual(self.past(), Past())
        self.saw(verdict(FIRST))
        self.restart()
        self.assertEqual([self.past(), self.past(True)], [BEFORE, BEFORE])
        self.assertEqual(self.past(domain="a.example"), Past())
        self.assertEqual(self.past(since=NOW + 1), Past())
        self.assertEqual(self.past(True, confirmed=True), Past())

    def test_flood(self) -> None:
        """It stays known however many certificates somebody makes up for the domain, and shows the old one, too."""
        self.saw(verdict(FIRST))
        for _ in range(40):
            self.saw(self.weaker(certificate(1)))
        self.saw(self.weaker(FIRST))
        self.assertEqual(self.past(), BEFORE)
        self.assertNotIn(Prooftype.PKIX, [each.prooftype for each in self.history().sightings])

    def test_order(self) -> None:
        """Who asks while something is being written hears what that comes to."""
        reading: Deferred[Any] = Deferred()
        self.store.facts.all = lambda owner, kind: reading  # type: ignore[method-assign]
        self.histories.saw(verdict(FIRST), False)
        asked = self.histories.past("example.net", False, 0.0)
        self.assertNoResult(asked)
        reading.callback({})
        self.assertEqual(self.successResultOf(asked), BEFORE)

    def test_unavailable(self) -> None:
        """A store that doesn't answer is no reason to believe anybody."""
        self.saw(verdict(FIRST))

        def refuse(*arguments: Any) -> Any:
            raise StoreUnavailable("the disk is gone")

        self.store.facts.get = refuse  # type: ignore[method-assign]
        self.assertEqual(self.past().problem, "the database can't be read")
        self.assertFalse(self.weaker().accepted)
        self.assertIn("the disk is gone", self.logged[0])

    def test_older(self) -> None:
        """Histories that an older version has kept count as well."""
        self.saw(verdict(FIRST))
        facts = self.history().facts()
        del facts["proved"], facts["excused"]
        self.successResultOf(self.store.facts.put(OWNER, KIND, "example.net", json.dumps(facts).encode()))
        self.assertEqual(self.past(), BEFORE)

    def test_told(self) -> None:
        """It is told once, with what to do; again if it comes to pass again later."""
        self.saw(verdict(FIRST))
        self.saw(self.weaker())
        self.assertEqual(self.history().warnings[0].changes[0], Change.DOWNGRADE)
        text = self.told[0].element().children[0].text
        self.assertIn("it was proved by PKIX until 2030-03-17 17:46 UTC, and now only by dialback, so it isn't", text)
        self.assertIn("if you say: xmppctl dna acknowledge example.net", text)
        self.clock.advance(2 * histories.TELLING)
        self.saw(self.weaker())
        self.saw(self.weaker(incoming=True), incoming=True)
        self.assertEqual((len(self.told), len(self.logged)), (2, 1))
        self.successResultOf(self.histories.acknowledge("example.net", "admin@example.org"))
        self.saw(verdict(FIRST))
        self.saw(self.weaker())
        self.assertIn(Change.DOWNGRADE, self.history().warnings[0].changes)
        self.assertEqual(len(self.told), 4)

    def test_refusedCaller(self) -> None:
        """Who has called and was refused for that is told of, but leaves no sighting."""
        self.saw(verdict(FIRST))
        self.saw(self.weaker(incoming=True), incoming=True)
        self.assertEqual((len(self.history().sightings), len(self.told)), (1, 2))
        self.assertEqual(self.history().warnings[0].changes, (Change.DOWNGRADE,))
        self.assertTrue(self.history().warnings[0].incoming)

    def test_acknowledged(self) -> None:
        """Somebody has said that it's all right: then it is, in both directions, until it is proved as before."""
        self.saw(verdict(FIRST))
        self.saw(self.weaker())
        self.successResultOf(self.histories.acknowledge("example.net", "admin@example.org"))
        self.restart()
        for incoming in (False, True):
            self.assertTrue(self.weaker(incoming=incoming).accepted)
            self.saw(self.weaker(incoming=incoming), incoming)
        self.assertEqual(self.past(), Past())
        self.saw(verdict(OTHER), incoming=True)
        self.assertEqual([self.past(), self.past(True)], [Past(), BEFORE])

    def test_acknowledgedOther(self) -> None:
        """To have looked at another change says nothing about that."""
        self.saw(verdict(FIRST))
        self.saw(verdict(OTHER))
        self.successResultOf(self.histories.acknowledge("example.net", "admin@example.org"))
        self.assertEqual(self.past(), BEFORE)

    def test_warned(self) -> None:
        """Where it is only warned of, what it was proved by stays known."""
        self.saw(verdict(FIRST))
        lax = PeerPolicy(downgrades=Downgrades.WARN)
        for _ in range(2):
            self.saw(self.weaker(policy=lax))
            self.saw(self.weaker(policy=lax, incoming=True), incoming=True)
        text = self.told[0].element().children[0].text
        self.assertNotIn("believed", text)
        self.assertEqual((self.past(), len(self.told)), (BEFORE, 2))

    def test_otherNames(self) -> None:
        """A good certificate of others is told of, and what to do about that."""
        proofs = [failed(Prooftype.PKIX, "it is for evil.example", misdirects=True), held(Prooftype.DIALBACK, "a")]
        tls = TLSFacts("TLSv1.3", "x", peerCertificate=OTHER)
        for _ in range(3):
            self.saw(decide("example.net", proofs, PeerPolicy(), tls, outgoing=True))
        (warning,) = self.history().warnings
        self.assertEqual(warning.changes, (Change.OTHER_NAMES, Change.FIRST_SEEN))
        text = self.told[0].element().children[0].text
        self.assertTrue(text.startswith("Look at the server of example.net (we have connected): it is for evil.example"))
        self.assertIn('let it pass: [s2s.peer."example.net"] prooftypes', text)
        self.assertEqual(len(self.told), 2)

    def test_expired(self) -> None:
        """A certificate that ends on a stream that was opened by the domain, whose proof has held till then."""
        self.saw(verdict(FIRST), incoming=True)
        self.clock.advance(100 * DAY)
        refused = verdict(FIRST, good=False)
        self.saw(refused, incoming=True)
        self.assertEqual(self.history().warnings, ())
        self.successResultOf(self.histories.saw(refused, True, known=True))  # type: ignore[arg-type]
        self.assertIn(Change.EXPIRED, self.history().warnings[0].changes)


async def waitedFor(deferred: Deferred[None]) -> None:
    """What a Deferred answers."""
    await deferred
