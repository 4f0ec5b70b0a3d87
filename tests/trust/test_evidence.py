"""Tests for L{xmppd.trust.evidence}: whole verdicts, as of real peers."""

from __future__ import annotations

from dataclasses import replace

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import NOW, Authority, curveKey, der
from tests.trust.test_ocsp import REVOKED, response
from xmppd.ixmppd import TLSFacts
from xmppd.trust.dane import Endpoint, Security
from xmppd.trust.dialback import DialbackResult, proveDialback
from xmppd.trust.evidence import Evidence
from xmppd.trust.pkix import Verification
from xmppd.trust.posh import collect, fingerprintsDocument, parse
from xmppd.trust.publish import tlsaRecord
from xmppd.trust.verdict import PeerPolicies, PeerPolicy, Prooftype, Verdict

DOMAIN, HOST = "example.org", "xmpp.hosting.example"
ROOT = Authority("root")
OWN = (der(ROOT.sign(curveKey(), [x509.DNSName(DOMAIN)])), der(ROOT.certificate))
HOSTING = (der(ROOT.sign(curveKey(), [x509.DNSName(HOST)])), der(ROOT.certificate))
SECURE = Security.SECURE
DIALBACK = proveDialback(DOMAIN, DialbackResult.VALID, encrypted=True, srvSecure=False, addressSecure=False)
DOCUMENT = collect(parse(fingerprintsDocument([HOSTING[0]])), NOW, "https://example.org/x.json")


def evidence(chain: tuple[bytes, ...], outgoing: bool = True) -> Evidence:
    """What a handshake with a good chain has shown."""
    return Evidence(outgoing, Verification(chain), chain)


def endpoint(*published: bytes) -> Endpoint:
    """A secure endpoint with records for some certificates."""
    return Endpoint(HOST, 5269, SECURE, SECURE, SECURE, tuple(tlsaRecord(each) for each in published))


class EvidenceTests(SynchronousTestCase):
    """What follows from what."""

    def judge(self, found: Evidence, policy: PeerPolicy = PeerPolicy(), domain: str = DOMAIN) -> Verdict:
        """The verdict."""
        certificate = found.presented[0] if found.presented else None
        tls = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", peerCertificate=certificate)
        return found.verdict(domain, PeerPolicies(policy), tls, NOW)

    @spec("mission", "T7", "T11")
    def test_ownCertificate(self) -> None:
        """A certificate for the domain: PKIX, and everything else is told too."""
        verdict = self.judge(evidence(OWN))
        self.assertIs(verdict.prooftype, Prooftype.PKIX)
        self.assertEqual([str(proof.outcome) for proof in verdict.proofs], ["not offered", "held", "not offered"])

    @spec("mission", "T8")
    @spec("RFC 7712", "6")
    def test_hosted(self) -> None:
        """A hosted domain: nothing by itself; by DNSSEC the host's name, by DANE its key, by POSH its certificate."""
        hosted = evidence(HOSTING)
        self.assertFalse(self.judge(hosted).accepted)
        self.assertIs(self.judge(replace(hosted, endpoints=(endpoint(),))).prooftype, Prooftype.PKIX)
        self.assertIs(self.judge(replace(hosted, endpoints=(endpoint(HOSTING[0]),))).prooftype, Prooftype.DANE_EE)
        self.assertIs(self.judge(replace(hosted, posh=DOCUMENT)).prooftype, Prooftype.POSH)
        led = self.judge(replace(hosted, dialback=DIALBACK))
        self.assertIn("not for example.org, so somebody else may be answering", led.refusals[0])
        for excused in ({"known": ("x." + HOST,)}, {"outgoing": False}):
            self.assertIs(self.judge(replace(hosted, dialback=DIALBACK, **excused)).prooftype, Prooftype.DIALBACK)

    @spec("RFC 7673", "4.2")
    def test_contradiction(self) -> None:
        """Secure records for another key: whatever else there is, we don't talk to that server."""
        found = replace(evidence(OWN), endpoints=(endpoint(HOSTING[0]),), dialback=DIALBACK, posh=DOCUMENT)
        self.assertFalse(self.judge(found).accepted)
        self.assertTrue(self.judge(replace(found, outgoing=False)).accepted)

    @spec("RFC 7712", "4.4")
    def test_anotherDomain(self) -> None:
        """What one domain has proved on a stream says nothing about another."""
        self.assertFalse(self.judge(evidence(OWN), domain="other.example").accepted)
        self.assertFalse(self.judge(evidence(OWN), domain="sub.example.org").accepted)

    def test_revoked(self) -> None:
        """A stapled answer counts if it is about this chain."""
        authority = Authority("issuer")
        leaf = authority.sign(curveKey(), [x509.DNSName(DOMAIN)])
        chain = (der(leaf), der(authority.certificate))
        stapled = response(
            REVOKED, leaf=leaf, issuer=authority.certificate, signer=authority.certificate, key=authority.key
        )
        self.assertFalse(self.judge(replace(evidence(chain), stapled=stapled)).accepted)
        self.assertTrue(self.judge(replace(evidence(OWN), stapled=stapled)).accepted)
        self.assertTrue(self.judge(replace(evidence(chain), stapled=b"junk")).accepted)
        self.assertTrue(self.judge(replace(evidence(chain, outgoing=False), stapled=stapled)).accepted)
        led = replace(evidence(chain), stapled=stapled, dialback=DIALBACK)
        self.assertFalse(self.judge(led).accepted, "dialback makes up for a revoked certificate")

    def test_nothing(self) -> None:
        """Nothing proves nothing."""
        self.assertFalse(self.judge(Evidence(True)).accepted)
        plain = Evidence(True, dialback=DIALBACK).verdict(DOMAIN, PeerPolicies(), None, NOW)
        self.assertEqual(plain.condition, "policy-violation")

    def test_wantsPOSH(self) -> None:
        """A document is looked for only where it can help."""
        policies = PeerPolicies()
        self.assertTrue(evidence(HOSTING).wantsPOSH(DOMAIN, policies, NOW))
        self.assertTrue(replace(evidence(HOSTING), dialback=DIALBACK).wantsPOSH(DOMAIN, policies, NOW))
        for found in (
            evidence(OWN),
            Evidence(True),
            replace(evidence(HOSTING), posh=DOCUMENT),
            replace(evidence(HOSTING), endpoints=(endpoint(HOSTING[0]),)),
            replace(evidence(HOSTING), endpoints=(endpoint(OWN[0]),)),
        ):
            self.assertFalse(found.wantsPOSH(DOMAIN, policies, NOW))
        without = PeerPolicies(PeerPolicy(prooftypes=frozenset({Prooftype.PKIX})))
        self.assertFalse(evidence(HOSTING).wantsPOSH(DOMAIN, without, NOW))
        only = PeerPolicies(PeerPolicy(prooftypes=frozenset({Prooftype.POSH})))
        self.assertTrue(evidence(OWN).wantsPOSH(DOMAIN, only, NOW))
