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
    Outcome,
    PeerPolicies,
    PeerPolicy,
    Proof,
    Prooftype,
    Verdict,
    absent,
    decide,
    failed,
    held,
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
