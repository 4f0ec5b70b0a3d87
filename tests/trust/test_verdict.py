"""Tests for L{xmppd.trust.verdict}."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import NOW, Authority, curveKey, der
from xmppd.ixmppd import TLSFacts
from xmppd.trust.identities import xmppAddress
from xmppd.trust.verdict import (
    ANY_PROOFTYPE,
    STRONGEST_FIRST,
    Downgrades,
    Outcome,
    Past,
    PeerPolicies,
    PeerPolicy,
    Proof,
    Prooftype,
    Verdict,
    absent,
    decide,
    failed,
    held,
    isWeak,
    patternsFor,
)

DOMAIN = "example.org"
CERTIFICATE = der(Authority("an authority").sign(curveKey(), [xmppAddress(DOMAIN)]))
TLS = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", peerCertificate=CERTIFICATE)
PKIX = held(Prooftype.PKIX, "the certificate names it", until=NOW)
DIALBACK = held(Prooftype.DIALBACK, "the server knows the key")
WRONG = failed(Prooftype.PKIX, "the certificate is for somebody else")


def judge(*proofs: Proof, policy: PeerPolicy = PeerPolicy(), tls: TLSFacts | None = TLS) -> Verdict:
    """The verdict on example.org."""
    return decide(DOMAIN, proofs, policy, tls)


@spec("mission", "T11")
@spec("RFC 7590", "3.6")
class DecisionTests(SynchronousTestCase):
    """What makes a stream acceptable, and what it is called."""

    def test_strongest(self) -> None:
        """The strongest proof that held names the stream."""
        verdict = judge(DIALBACK, WRONG, held(Prooftype.POSH, "a"), held(Prooftype.DANE_TA, "b"))
        self.assertTrue(verdict.accepted)
        self.assertIs(verdict.prooftype, Prooftype.DANE_TA)
        self.assertTrue(verdict.authenticated)
        self.assertEqual([each.prooftype.strength for each in verdict.proofs], [5, 4, 3, 1])

    def test_names(self) -> None:
        """The prooftypes have the names that views show, the strongest first."""
        names = ["DANE-EE", "DANE-TA", "PKIX", "POSH", "dialback+DNSSEC", "dialback", "none"]
        self.assertEqual([str(each) for each in STRONGEST_FIRST], names)
        self.assertEqual([each.strength for each in STRONGEST_FIRST], [6, 5, 4, 3, 2, 1, 0])

    def test_nothing(self) -> None:
        """Without a proof a stream isn't accepted."""
        for proofs in ((), (WRONG,), (WRONG, absent(Prooftype.POSH, "no document"))):
            verdict = judge(*proofs)
            self.assertFalse(verdict.accepted)
            self.assertIs(verdict.prooftype, Prooftype.NONE)
            self.assertEqual(verdict.refusals, ("nothing proves that the peer is that domain",))
            self.assertEqual(verdict.condition, "not-authorized")

    @spec("mission", "T9")
    @spec("RFC 7590", "3.4")
    def test_weakIdentity(self) -> None:
        """Dialback over TLS is accepted by default, as what it is: no authentication."""
        verdict = judge(WRONG, DIALBACK)
        self.assertTrue(verdict.accepted)
        self.assertTrue(verdict.encrypted)
        self.assertFalse(verdict.authenticated)
        self.assertIs(verdict.prooftype, Prooftype.DIALBACK)

    @spec("mission", "T2")
    def test_encryption(self) -> None:
        """Without TLS nothing is accepted, whatever is proved, unless the policy lets it."""
        verdict = judge(DIALBACK, tls=None)
        self.assertEqual(verdict.refusals, ("the stream isn't encrypted, and the policy asks for it",))
        self.assertEqual(verdict.condition, "policy-violation")
        self.assertIs(verdict.prooftype, Prooftype.NONE)
        verdict = judge(DIALBACK, tls=None, policy=PeerPolicy(requireEncryption=False))
        self.assertTrue(verdict.accepted)
        self.assertFalse(verdict.encrypted)

    def test_prooftypes(self) -> None:
        """A proof that the policy doesn't accept is none; the refusal says what would be."""
        strict = PeerPolicy(prooftypes=frozenset({Prooftype.PKIX, Prooftype.DANE_EE}))
        self.assertFalse(strict.mayDialBack)
        verdict = judge(WRONG, DIALBACK, policy=strict)
        self.assertEqual(verdict.refusals, ("it is proved by dialback only, and the policy asks for DANE-EE or PKIX",))
        self.assertIs(judge(DIALBACK, PKIX, policy=strict).prooftype, Prooftype.PKIX)
        stronger = judge(held(Prooftype.DANE_TA, "a"), PKIX, policy=strict)
        self.assertIs(stronger.prooftype, Prooftype.PKIX)

    def test_open(self) -> None:
        """That nothing needs to be proved has to be said."""
        self.assertNotIn(Prooftype.NONE, ANY_PROOFTYPE)
        verdict = judge(WRONG, policy=PeerPolicy(prooftypes=frozenset({Prooftype.NONE})))
        self.assertTrue(verdict.accepted)
        self.assertIs(verdict.prooftype, Prooftype.NONE)
        self.assertFalse(verdict.authenticated)

    @spec("RFC 7673", "4.2")
    def test_veto(self) -> None:
        """A proof that vetoes isn't made good by others, not even by accepting everybody."""
        contradiction = failed(Prooftype.DANE_EE, "no record matches", vetoes=True)
        for policy in (PeerPolicy(), PeerPolicy(prooftypes=frozenset(Prooftype))):
            verdict = judge(contradiction, PKIX, DIALBACK, policy=policy)
            self.assertEqual(verdict.refusals, ("DANE-EE failed, which nothing else makes good (no record matches)",))
            self.assertEqual(verdict.condition, "not-authorized")

    def test_unwanted(self) -> None:
        """Who isn't wanted isn't accepted."""
        verdict = judge(PKIX, policy=PeerPolicy(unwanted="a list has it"))
        self.assertEqual((verdict.refusals, verdict.condition), (("a list has it",), "policy-violation"))

    def test_until(self) -> None:
        """The proof that counts says how long."""
        self.assertEqual(judge(PKIX, DIALBACK).until, NOW)
        self.assertIsNone(judge(DIALBACK).until)
        self.assertIsNone(judge().until)

    @given(
        st.lists(st.tuples(st.sampled_from(Prooftype), st.sampled_from(Outcome), st.booleans()), max_size=6),
        st.frozensets(st.sampled_from(sorted(ANY_PROOFTYPE))),
        st.booleans(),
        st.booleans(),
    )
    @settings(max_examples=300, deadline=None)
    def test_failsClosed(
        self, given: list[tuple[Prooftype, Outcome, bool]], accepted: frozenset[Prooftype], tls: bool, require: bool
    ) -> None:
        """Nothing is accepted without a proof that held, of an accepted type, without a veto, with the TLS asked for."""
        proofs = [Proof(prooftype, outcome, ("r",), vetoes) for prooftype, outcome, vetoes in given]
        verdict = judge(*proofs, policy=PeerPolicy(require, accepted), tls=TLS if tls else None)
        good = any(each.held and each.prooftype in accepted for each in proofs)
        vetoed = any(each.vetoes and not each.held for each in proofs)
        self.assertEqual(verdict.accepted, good and not vetoed and (tls or not require))
        self.assertEqual(verdict.accepted, verdict.condition is None)
        self.assertEqual(verdict.prooftype is Prooftype.NONE, not verdict.accepted)
        self.assertIn(
            verdict.summary().partition(",")[0], verdict.explain().partition("\n")[0].replace(": ", " ") + " "
        )


EVIL = failed(Prooftype.PKIX, "the certificate is for evil.example, not for example.org", misdirects=True)
SECURE_DIALBACK = held(Prooftype.DIALBACK_DNSSEC, "the server knows the key")
BEFORE = Past(Prooftype.PKIX, NOW)


@spec("mission", "T9", "T13")
class DowngradeTests(SynchronousTestCase):
    """Weak identity, where something speaks against it."""

    def judge(
        self, *proofs: Proof, past: Past | None = BEFORE, outgoing: bool = True, policy: PeerPolicy = PeerPolicy()
    ) -> Verdict:
        """The verdict on example.org."""
        return decide(DOMAIN, proofs, policy, TLS, past=past, outgoing=outgoing)

    def test_provedBefore(self) -> None:
        """Who was proved by a certificate isn't believed by dialback, in either direction, and it is said why."""
        for outgoing in (True, False):
            verdict = self.judge(WRONG, DIALBACK, outgoing=outgoing)
            reason = "it was proved by PKIX until 2030-03-17 17:46 UTC, and now only by dialback"
            self.assertEqual((verdict.refusals, verdict.downgrade), ((reason,), reason))
            self.assertEqual((verdict.prooftype, verdict.condition), (Prooftype.NONE, "not-authorized"))
            self.assertEqual(verdict.notice, f"I{reason[1:]}.")
            self.assertIn(reason, verdict.summary())
            self.assertIn(f"  because {reason}", verdict.explain().splitlines())
            self.assertEqual(json.loads(json.dumps(verdict.facts()))["objections"], [reason])

    def test_firstContact(self) -> None:
        """Who was never proved by more is believed as weakly as ever."""
        for past in (None, Past(), Past(Prooftype.DIALBACK, NOW)):
            verdict = self.judge(WRONG, DIALBACK, past=past)
            self.assertEqual((verdict.prooftype, verdict.objections, verdict.notice), (Prooftype.DIALBACK, (), ""))

    def test_asGood(self) -> None:
        """Any proof by certificate makes it good, also one that the policy has no use for."""
        for prooftype in (Prooftype.POSH, Prooftype.PKIX, Prooftype.DANE_TA):
            past = Past(Prooftype.DANE_EE, NOW)
            self.assertIs(self.judge(held(prooftype, "a"), DIALBACK, past=past).prooftype, prooftype)
        policy = PeerPolicy(prooftypes=frozenset({Prooftype.DANE_EE, Prooftype.DIALBACK}))
        self.assertIs(self.judge(PKIX, DIALBACK, policy=policy).prooftype, Prooftype.DIALBACK)

    def test_between(self) -> None:
        """Dialback with DNSSEC is less than a certificate, and more than dialback."""
        self.assertFalse(self.judge(SECURE_DIALBACK).accepted)
        between = Past(Prooftype.DIALBACK_DNSSEC, NOW)
        self.assertTrue(self.judge(SECURE_DIALBACK, past=between).accepted)
        self.assertIn("by dialback+DNSSEC until", self.judge(DIALBACK, past=between).downgrade)
        self.assertEqual([each.grade for each in STRONGEST_FIRST], [2, 2, 2, 2, 1, 0, 0])

    @spec("RFC 6120", "13.7.2.1")
    def test_otherNames(self) -> None:
        """A good certificate of others isn't made good by dialback where we have called, DNSSEC or not."""
        for proof in (DIALBACK, SECURE_DIALBACK):
            verdict = self.judge(EVIL, proof, past=None)
            self.assertFalse(verdict.accepted)
            self.assertIn("evil.example, not for example.org, so somebody else may be answering", verdict.misdirection)
            self.assertEqual(verdict.refusals, (verdict.misdirection,))
        self.assertTrue(self.judge(EVIL, DIALBACK, past=None, outgoing=False).accepted)
        self.assertTrue(self.judge(EVIL, held(Prooftype.POSH, "a"), past=None).accepted)
        self.assertEqual(len(self.judge(EVIL, DIALBACK).refusals), 2)

    def test_unknown(self) -> None:
        """Where nobody knows what it was proved by before it isn't believed by less than all."""
        verdict = self.judge(DIALBACK, past=Past(problem="the database can't be read"))
        self.assertFalse(verdict.accepted)
        self.assertIn("the database can't be read", verdict.notice)
        self.assertEqual((verdict.downgrade, verdict.misdirection), ("", ""))

    def test_warn(self) -> None:
        """Who only wants to know is told."""
        verdict = self.judge(EVIL, DIALBACK, policy=PeerPolicy(downgrades=Downgrades.WARN))
        self.assertEqual((verdict.prooftype, verdict.notice, len(verdict.objections)), (Prooftype.DIALBACK, "", 2))
        self.assertIn("  though it was proved by PKIX until", verdict.explain())

    def test_accept(self) -> None:
        """Who has said that dialback is enough for a domain hears nothing of it; nor who takes no certificates."""
        weak = frozenset({Prooftype.DIALBACK, Prooftype.NONE})
        for policy in (PeerPolicy(downgrades=Downgrades.ACCEPT), PeerPolicy(prooftypes=weak)):
            verdict = self.judge(EVIL, DIALBACK, policy=policy)
            self.assertEqual((verdict.prooftype, verdict.objections), (Prooftype.DIALBACK, ()))

    def test_nothing(self) -> None:
        """That a domain is believed without any proof is over once it has proved itself."""
        verdict = self.judge(policy=PeerPolicy(prooftypes=frozenset(Prooftype)))
        self.assertIn("and now by nothing", verdict.refusals[0])

    def test_weak(self) -> None:
        """When the past has to be looked up: if there is nothing but weak identity, and that would do."""
        policy = PeerPolicy()
        found = [isWeak(self.judge(*proofs, past=None), policy) for proofs in ((), (WRONG,), (PKIX, DIALBACK))]
        self.assertEqual(found, [False, False, False])
        for proofs in ((DIALBACK,), (EVIL, DIALBACK)):
            self.assertTrue(isWeak(self.judge(*proofs, past=None), policy))
        veto = failed(Prooftype.DANE_EE, "no record matches", vetoes=True)
        self.assertFalse(isWeak(self.judge(veto, DIALBACK, past=None), policy))

    def test_interim(self) -> None:
        """A verdict that isn't the last one says so."""
        line = self.judge(WRONG, past=None, outgoing=False).interim()
        self.assertIn("example.org has dialback left to prove itself by, TLSv1.3", line)
        self.assertIn("PKIX failed, the certificate is for somebody else", line)


@spec("mission", "T15")
class ExplanationTests(SynchronousTestCase):
    """What people are told."""

    def test_refused(self) -> None:
        """Everything that was tried, and why it came out so."""
        text = judge(WRONG, absent(Prooftype.DANE_EE, "the host has no TLSA records")).explain()
        lines = text.splitlines()
        self.assertEqual(lines[0], "example.org: refused")
        self.assertEqual(lines[1], "  because nothing proves that the peer is that domain")
        self.assertEqual(lines[2], "  encryption: TLSv1.3 TLS_AES_128_GCM_SHA256")
        self.assertEqual(lines[3], "  certificate: example.org")
        self.assertEqual(lines[4], "    issued by CN=an authority")
        self.assertIn("    key ECDSA secp256r1, 256 bits", lines)
        self.assertEqual(
            lines[-4:],
            [
                "  DANE-EE: not offered",
                "    the host has no TLSA records",
                "  PKIX: failed",
                "    the certificate is for somebody else",
            ],
        )

    def test_accepted(self) -> None:
        """One line for logs, and the same in many."""
        verdict = judge(PKIX)
        self.assertEqual(verdict.summary(), "example.org accepted by PKIX, TLSv1.3 TLS_AES_128_GCM_SHA256")
        self.assertTrue(verdict.explain().startswith("example.org: accepted by PKIX\n"))
        refused = judge(tls=None).summary()
        self.assertEqual(
            refused, "example.org refused, not encrypted: the stream isn't encrypted, and the policy asks for it"
        )

    @spec("mission", "T10", "T11", "T12")
    def test_facts(self) -> None:
        """The same for programs, as JSON holds it."""
        for verdict in (judge(PKIX, DIALBACK), judge(tls=None)):
            facts = json.loads(json.dumps(verdict.facts()))
            self.assertEqual(facts["accepted"], verdict.accepted)
            self.assertEqual(
                [each["prooftype"] for each in facts["proofs"]], [each.prooftype for each in verdict.proofs]
            )
        facts = judge(PKIX).facts()
        self.assertEqual((facts["prooftype"], facts["version"]), ("PKIX", "TLSv1.3"))
        self.assertEqual(facts["certificate"]["names"]["xmppAddresses"], (DOMAIN,))
        self.assertEqual(facts["proofs"][0]["until"], NOW)

    def test_hostile(self) -> None:
        """A domain with controls in it makes no lines of its own; an unreadable certificate is left out."""
        verdict = decide("a\nb\x1b", [], PeerPolicy(), TLSFacts("TLSv1.3", "x", peerCertificate=b"junk"))
        self.assertNotIn("\n", verdict.summary())
        self.assertNotIn("\x1b", verdict.explain())
        self.assertIsNone(verdict.certificate)

    def test_secrets(self) -> None:
        """What binds channels isn't shown."""
        tls = TLSFacts("TLSv1.3", "x", channelBindings={"tls-exporter": b"secret"})
        verdict = judge(tls=tls)
        self.assertNotIn("secret", repr(verdict) + verdict.explain())


class PoliciesTests(SynchronousTestCase):
    """Policies by domain, and the lists."""

    def test_mostSpecific(self) -> None:
        """A name goes before patterns, a longer pattern before a shorter, and a pattern isn't for the parent itself."""
        relaxed, strict, default = PeerPolicy(False), PeerPolicy(prooftypes=frozenset({Prooftype.PKIX})), PeerPolicy()
        domains = {"*.example.org": relaxed, "*.a.example.org": strict, "b.a.example.org": default}
        policies = PeerPolicies(default, domains)
        self.assertIs(policies.of("example.org"), default)
        self.assertIs(policies.of("x.example.org"), relaxed)
        self.assertIs(policies.of("Y.X.example.org."), relaxed)
        self.assertIs(policies.of("x.a.example.org"), strict)
        self.assertIs(policies.of("b.a.example.org"), default)

    def test_deny(self) -> None:
        """A denied domain isn't wanted, even if it is allowed; its policy stays the same otherwise."""
        policies = PeerPolicies(
            PeerPolicy(False), allow=frozenset({"spam.example"}), deny=frozenset({"*.spam.example", "spam.example"})
        )
        for domain in ("spam.example", "SPAM.example.", "a.b.spam.example"):
            policy = policies.of(domain)
            self.assertIn("the list of denied domains has", policy.unwanted or "")
            self.assertFalse(policy.requireEncryption)
            self.assertFalse(decide(domain, [PKIX], policy, TLS).accepted)

    def test_allow(self) -> None:
        """If there is a list of allowed domains, nobody else is wanted."""
        policies = PeerPolicies(
            allow=frozenset({"friend.example", "*.bücher.example".replace("bücher", "xn--bcher-kva")})
        )
        self.assertIsNone(policies.of("friend.example").unwanted)
        self.assertIsNone(policies.of("a.bücher.example").unwanted)
        for domain in ("a.friend.example", "other.example", "xfriend.example"):
            self.assertEqual(policies.of(domain).unwanted, "the list of allowed domains doesn't have it")
        self.assertIsNotNone(PeerPolicies(allow=frozenset()).of("friend.example").unwanted)

    def test_nonsense(self) -> None:
        """What is no domain isn't wanted."""
        for nonsense in ("", "a b", "a@b", "x" * 300, "\x00"):
            self.assertEqual(PeerPolicies().of(nonsense).unwanted, "it isn't a domain")

    def test_patterns(self) -> None:
        """The patterns of a name, the most specific first."""
        self.assertEqual(patternsFor("a.b.c"), ["a.b.c", "*.b.c", "*.c"])
        self.assertEqual(patternsFor("c"), ["c"])
