"""Tests for L{xmppd.trust.history}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der
from xmppd.ixmppd import TLSFacts
from xmppd.trust.history import (
    MAX_ALTERNATING,
    MAX_SIGHTINGS,
    Change,
    Observation,
    Proved,
    Sighting,
    alarmsOf,
    isMemorable,
    isRestored,
    observe,
    pastOf,
    provedBy,
    remembered,
    sightingOf,
    withProof,
)
from xmppd.trust.verdict import Downgrades, Past, PeerPolicy, Proof, Prooftype, decide, failed, held

LIFE = 90 * DAY
FIRST = Sighting(False, "c1", "k1", "Encrypt Us", NOW - DAY, NOW - DAY + LIFE, Prooftype.PKIX, NOW, NOW)
DUE = NOW - DAY + LIFE * 0.7


def sighting(certificate: str, key: str = "k1", at: float = DUE, **facts: Any) -> Sighting:
    """A sighting like the first, but for what is said."""
    changed = {"sha256": certificate, "publicKeySHA256": key, "notBefore": at, "notAfter": at + LIFE}
    return replace(FIRST, firstSeen=at, lastSeen=at, **{**changed, **facts})


@spec("mission", "T13")
@spec("RFC 7590", "3.6")
class ChangeTests(SynchronousTestCase):
    """What is made of each change."""

    def observe(self, new: Sighting, *history: Sighting, now: float = DUE) -> Observation:
        """The observation; by default after the first sighting."""
        return observe(history or (FIRST,), new, now)

    def assertChanges(self, observation: Observation, changes: list[Change], warns: bool) -> None:
        """Those changes, and whether somebody is told."""
        self.assertEqual(list(observation.changes), changes, observation.text)
        self.assertEqual(observation.warns, warns)
        self.assertTrue(observation.text)

    def test_first(self) -> None:
        """A domain is new in each direction."""
        self.assertChanges(observe((), FIRST, NOW), [Change.FIRST_SEEN], False)
        self.assertChanges(observe((replace(FIRST, incoming=True),), FIRST, NOW), [Change.FIRST_SEEN], False)

    def test_same(self) -> None:
        """The same again is nothing."""
        self.assertChanges(self.observe(FIRST, now=NOW), [Change.SAME], False)

    def test_sameKeyRenewed(self) -> None:
        """A new certificate for the same key is never alarming, even if it comes early."""
        self.assertChanges(self.observe(sighting("c2")), [Change.RENEWED], False)
        self.assertChanges(self.observe(sighting("c2", at=NOW + 1), now=NOW + 1), [Change.RENEWED], False)

    def test_newKeySameIssuer(self) -> None:
        """A new key from the same authority is ordinary when it is due."""
        self.assertChanges(self.observe(sighting("c2", "k2")), [Change.NEW_KEY], False)

    def test_early(self) -> None:
        """The same long before it is due is what an interception with a valid certificate looks like."""
        now = NOW + DAY
        observation = self.observe(sighting("c2", "k2", now), now=now)
        self.assertChanges(observation, [Change.EARLY, Change.NEW_KEY], True)
        self.assertIn("would have been valid until 2030-06-14", observation.text)

    def test_newIssuer(self) -> None:
        """Another authority is told, with both names."""
        observation = self.observe(sighting("c2", "k2", authority="Somebody Else"))
        self.assertChanges(observation, [Change.NEW_ISSUER, Change.NEW_KEY], True)
        self.assertIn("issued by Somebody Else, the one before was by Encrypt Us", observation.text)
        self.assertChanges(self.observe(sighting("c2", authority="itself")), [Change.NEW_ISSUER, Change.RENEWED], True)

    def test_returned(self) -> None:
        """A certificate that was replaced and is back: somebody else answers too."""
        new = sighting("c2", "k2", NOW + DAY)
        self.assertChanges(self.observe(FIRST, new, FIRST, now=NOW + 2 * DAY), [Change.RETURNED], True)
        self.assertChanges(self.observe(new, FIRST, new, now=NOW + 2 * DAY), [Change.RETURNED], True)

    def test_weakerProof(self) -> None:
        """A weaker proof is told, a stronger one noted; each direction is compared with itself."""
        weaker = replace(FIRST, prooftype=Prooftype.DIALBACK)
        observation = self.observe(weaker, now=NOW)
        self.assertChanges(observation, [Change.WEAKER_PROOF], True)
        self.assertEqual(observation.text, "the domain is proved by dialback, where it was by PKIX")
        self.assertChanges(self.observe(FIRST, weaker, now=NOW), [Change.STRONGER_PROOF], False)
        incoming = replace(weaker, incoming=True)
        self.assertChanges(self.observe(incoming, FIRST, incoming, now=NOW), [Change.SAME], False)

    def test_expired(self) -> None:
        """A certificate past its end is told once."""
        late = FIRST.notAfter + 1
        self.assertChanges(self.observe(FIRST, now=late), [Change.EXPIRED], True)
        told = replace(FIRST, lastSeen=late)
        self.assertChanges(self.observe(told, told, now=late + DAY), [Change.SAME], False)

    def test_plaintext(self) -> None:
        """A certificate that isn't shown any more is told."""
        nothing = Sighting(False, "", "", "", 0, 0, Prooftype.DIALBACK, DUE, DUE)
        self.assertChanges(self.observe(nothing), [Change.NO_CERTIFICATE, Change.WEAKER_PROOF], True)
        self.assertChanges(self.observe(nothing, nothing), [Change.SAME], False)
        self.assertChanges(self.observe(FIRST, nothing), [Change.STRONGER_PROOF], False)
        back = self.observe(FIRST, nothing, FIRST)
        self.assertChanges(back, [Change.RETURNED, Change.STRONGER_PROOF], True)

    def test_interception(self) -> None:
        """The whole story: a valid certificate of the same authority comes up between, and goes again."""
        history: tuple[Sighting, ...] = ()
        told: list[tuple[Change, ...]] = []
        for day, certificate, key in (
            (0, "c1", "k1"),
            (1, "c1", "k1"),
            (10, "evil", "k2"),
            (11, "c1", "k1"),
            (12, "evil", "k2"),
        ):
            now = NOW + day * DAY
            start = NOW if certificate == "c1" else NOW + 9 * DAY
            new = sighting(certificate, key, now, notBefore=start, notAfter=start + LIFE)
            observation = observe(history, new, now)
            told.append(observation.changes if observation.warns else ())
            history = remembered(history, new)
        self.assertEqual(told, [(), (), (Change.EARLY, Change.NEW_KEY), (Change.RETURNED,), ()])
        self.assertEqual([each.sha256 for each in history], ["evil", "c1"])

    def play(self, *seen: tuple[float, str, Prooftype]) -> list[tuple[Change, ...]]:
        """What is told of certificates that are seen on some days, each with a key of its own."""
        history: tuple[Sighting, ...] = ()
        told = []
        for day, certificate, prooftype in seen:
            now = NOW + day * DAY
            new = sighting(certificate, certificate, now, notBefore=NOW, notAfter=NOW + 9 * LIFE, prooftype=prooftype)
            observation = observe(history, new, now)
            told.append(observation.changes if observation.warns else ())
            history = remembered(history, new)
        self.history = history
        return told

    def test_cluster(self) -> None:
        """Nodes with certificates of their own are told of once each, whatever proves them."""
        early, returned = (Change.EARLY, Change.NEW_KEY), (Change.RETURNED,)
        pkix, weak = Prooftype.PKIX, Prooftype.DIALBACK
        told = self.play(*((day, "ab"[day % 2], pkix) for day in range(9)))
        self.assertEqual(told, [(), early, returned, *[()] * 6])
        told = self.play(*((day, "abc"[day % 3], pkix) for day in range(12)))
        self.assertEqual(told[:5], [(), early, early, returned, returned])
        self.assertFalse(any(told[5:]))
        told = self.play(*((day, "ab"[day % 2], (pkix, weak)[day % 2]) for day in range(9)))
        self.assertEqual([bool(each) for each in told], [False, True, True, *[False] * 6])
        told = self.play((0, "a", pkix), (1, "b", pkix), (2, "a", pkix), (3, "b", pkix), (4, "b", weak))
        self.assertEqual(told[-1], (Change.WEAKER_PROOF,))

    def test_clusterForgotten(self) -> None:
        """Who wasn't seen for long and comes back is told of again."""
        pkix = Prooftype.PKIX
        told = self.play(
            (0, "a", pkix), (1, "b", pkix), (2, "a", pkix), (3, "b", pkix), (20, "b", pkix), (40, "b", pkix), (41, "a", pkix)
        )
        self.assertEqual(told[-1], (Change.RETURNED,))

    def test_clusterBounded(self) -> None:
        """Only so many take turns."""
        self.play(*((day / 10, "abcdefghijklmnop"[day % 16], Prooftype.PKIX) for day in range(64)))
        self.assertEqual(sum(each.alternating for each in self.history), MAX_ALTERNATING)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.sampled_from("xyz"),
                st.booleans(),
                st.sampled_from(Prooftype),
                st.integers(0, 200),
            ),
            max_size=12,
        )
    )
    @settings(max_examples=150, deadline=None)
    def test_anyHistory(self, seen: list[tuple[str, str, bool, Prooftype, int]]) -> None:
        """Whatever happens, a warning has a reason, and what is seen again at once is the same."""
        history: tuple[Sighting, ...] = ()
        for certificate, key, incoming, prooftype, day in seen:
            now = NOW + day * DAY
            new = sighting(
                certificate, key, now, incoming=incoming, prooftype=prooftype, notBefore=NOW, notAfter=NOW + LIFE
            )
            observation = observe(history, new, now)
            self.assertEqual(len(observation.changes), len(set(observation.changes)))
            history = remembered(history, new, 5)
            self.assertLessEqual(len(history), 5)
            self.assertEqual(observe(history, new, now).changes, (Change.SAME,))


class MemoryTests(SynchronousTestCase):
    """What is remembered."""

    def test_merged(self) -> None:
        """The same certificate is remembered once in each direction, from its first sighting to its last."""
        later = replace(FIRST, firstSeen=NOW + 5, lastSeen=NOW + 5, prooftype=Prooftype.DANE_EE)
        history = remembered(remembered((), FIRST), later)
        self.assertEqual(history, (replace(later, firstSeen=NOW),))
        self.assertEqual(len(remembered(history, replace(later, incoming=True))), 2)

    def test_bound(self) -> None:
        """Not more than so many; the ones not seen for longest go."""
        history: tuple[Sighting, ...] = ()
        for index in range(100):
            history = remembered(history, sighting(f"c{index}"))
        self.assertEqual(len(history), MAX_SIGHTINGS)
        self.assertEqual(history[0].sha256, "c99")

    def seen(self, *proofs: Proof, authority: str = "", incoming: bool = False) -> Sighting:
        """The sighting of a real certificate."""
        issuer = Authority("R11")
        if authority:
            attributes = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, authority)]
            issuer.name = x509.Name([*attributes, *issuer.name])
        certificate = der(issuer.sign(curveKey(), [x509.DNSName("example.org")]))
        verdict = decide("example.org", proofs, PeerPolicy(), TLSFacts("TLSv1.3", "x", peerCertificate=certificate))
        return sightingOf(verdict, incoming, NOW)

    def test_sighting(self) -> None:
        """A verdict's facts; the authority is the organisation if there is one, as intermediates change."""
        seen = self.seen(held(Prooftype.PKIX, "a"), authority="Encrypt Us")
        self.assertEqual((seen.authority, seen.prooftype, seen.incoming), ("Encrypt Us", Prooftype.PKIX, False))
        self.assertEqual((seen.notBefore, seen.notAfter, seen.firstSeen), (NOW - DAY, NOW + DAY, NOW))
        self.assertEqual(self.seen().authority, "CN=R11")
        self.assertIs(self.seen(failed(Prooftype.PKIX, "a")).prooftype, Prooftype.NONE)
        vetoed = self.seen(held(Prooftype.PKIX, "a"), failed(Prooftype.DANE_EE, "b", vetoes=True))
        self.assertIs(vetoed.prooftype, Prooftype.PKIX)

    def test_itself(self) -> None:
        """Who has signed his own certificate has no authority."""
        own = Authority("me")
        verdict = decide(
            "example.org", [], PeerPolicy(), TLSFacts("TLSv1.3", "x", peerCertificate=der(own.certificate))
        )
        self.assertEqual(sightingOf(verdict, False, NOW).authority, "itself")

    def test_plaintext(self) -> None:
        """A stream without TLS is a sighting without a certificate."""
        verdict = decide("example.org", [held(Prooftype.DIALBACK, "a")], PeerPolicy(False), None)
        self.assertEqual(sightingOf(verdict, True, NOW).sha256, "")

    def test_memorable(self) -> None:
        """Anybody can connect and claim a name: a refused incoming stream says nothing about the domain."""
        refused = decide("example.org", [], PeerPolicy(), None)
        accepted = decide("example.org", [held(Prooftype.DIALBACK, "a")], PeerPolicy(False), None)
        self.assertEqual([isMemorable(refused, True), isMemorable(refused, False)], [False, True])
        self.assertTrue(isMemorable(accepted, True))


IN, OUT = Proved(True, Prooftype.PKIX, NOW), Proved(False, Prooftype.PKIX, NOW)
SECURE = Proved(False, Prooftype.DIALBACK_DNSSEC, NOW + 5)


@spec("mission", "T9", "T13")
class ProvedTests(SynchronousTestCase):
    """What a domain was proved by, which made-up certificates can't drive out."""

    def test_remembered(self) -> None:
        """Of each direction and grade the last; what is worth nothing isn't kept."""
        history = withProof((), FIRST)
        self.assertEqual(history, (OUT,))
        later = replace(FIRST, prooftype=Prooftype.POSH, lastSeen=NOW + 5)
        self.assertEqual(withProof(history, later), (Proved(False, Prooftype.POSH, NOW + 5),))
        self.assertEqual(withProof(history, replace(FIRST, prooftype=Prooftype.DIALBACK)), history)
        between = replace(FIRST, prooftype=Prooftype.DIALBACK_DNSSEC, lastSeen=NOW + 5)
        self.assertEqual(withProof(history, between), (SECURE, OUT))
        self.assertEqual(withProof(history, replace(FIRST, incoming=True)), (IN, OUT))

    def test_older(self) -> None:
        """Histories of before, from what was seen."""
        weaker = replace(FIRST, prooftype=Prooftype.DIALBACK, sha256="c2", lastSeen=NOW + DAY)
        self.assertEqual(provedBy((weaker, FIRST, replace(FIRST, sha256="c0", lastSeen=NOW - 9))), (OUT,))

    def test_past(self) -> None:
        """The strongest that isn't too old, of whichever direction."""
        for incoming in (True, False):
            for proved in ((IN,), (OUT,), (SECURE, OUT)):
                self.assertEqual(pastOf(proved, (), incoming, NOW), Past(Prooftype.PKIX, NOW))
            self.assertEqual(pastOf((SECURE, OUT), (), incoming, NOW + 1), Past(Prooftype.DIALBACK_DNSSEC, NOW + 5))
            self.assertEqual(pastOf((IN, OUT), (), incoming, NOW + 1), Past())
            self.assertEqual(pastOf((), (), incoming, 0), Past())

    def test_confirmed(self) -> None:
        """If its server is proved by certificate it counts only what the domain has shown when it has called."""
        self.assertEqual(pastOf((OUT,), (), True, 0, confirmed=True), Past())
        self.assertEqual(pastOf((IN, OUT), (), True, 0, confirmed=True), Past(Prooftype.PKIX, NOW))

    def test_excused(self) -> None:
        """What an administrator puts up with, in that direction."""
        self.assertEqual(pastOf((IN, OUT), {False}, False, 0), Past())
        self.assertEqual(pastOf((IN, OUT), {False}, True, 0), Past(Prooftype.PKIX, NOW))
        self.assertTrue(isRestored((OUT,), FIRST))
        self.assertTrue(isRestored((OUT,), replace(FIRST, prooftype=Prooftype.DANE_EE, incoming=True)))
        for less in (Prooftype.DIALBACK_DNSSEC, Prooftype.DIALBACK, Prooftype.NONE):
            self.assertFalse(isRestored((OUT,), replace(FIRST, prooftype=less)))

    def test_alarms(self) -> None:
        """What administrators are told, and whether that has consequences."""
        evil = failed(Prooftype.PKIX, "the certificate is for others", misdirects=True)
        past = Past(Prooftype.PKIX, NOW)
        for downgrades in (Downgrades.REFUSE, Downgrades.WARN):
            policy = PeerPolicy(False, downgrades=downgrades)
            verdict = decide("a.example", [evil, held(Prooftype.DIALBACK, "a")], policy, None, past=past, outgoing=True)
            alarms = dict(alarmsOf(verdict))
            self.assertEqual(list(alarms), [Change.OTHER_NAMES, Change.DOWNGRADE])
            for text in alarms.values():
                self.assertEqual("so it isn't believed" in text, downgrades is Downgrades.REFUSE)
        self.assertEqual(list(alarmsOf(decide("a.example", [], PeerPolicy(), None))), [])
