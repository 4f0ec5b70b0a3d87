"""Tests for L{xmppd.trust.dialback}."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import Authority, curveKey, der
from xmppd.trust.dialback import (
    MAX_KEY,
    DialbackResult,
    isKey,
    makeKey,
    proveDialback,
    sameCertificate,
    trimKey,
)
from xmppd.trust.verdict import Prooftype

SECRET = b"s3cr3tf0rd14lb4ck"
RECEIVING, ORIGINATING, STREAM = "xmpp.example.com", "example.org", "D60000229F"
KEY = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"


@spec("XEP-0185", "2")
class KeyTests(SynchronousTestCase):
    """Keys."""

    @spec("XEP-0185", "3")
    def test_examples(self) -> None:
        """The examples of the specifications."""
        self.assertEqual(makeKey(SECRET, RECEIVING, ORIGINATING, STREAM), KEY)
        self.assertTrue(isKey(SECRET, RECEIVING, ORIGINATING, STREAM, KEY))

    @spec("XEP-0220", "2.2.2")
    def test_dialbackExample(self) -> None:
        """The keys in the examples of XEP-0220, of both directions."""
        made = makeKey(b"d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25")
        self.assertEqual(made, "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d")
        made = makeKey(SECRET, "montague.example", "capulet.example", "D60000229F")
        self.assertEqual(made, "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3")

    def test_whiteSpace(self) -> None:
        """White space around a key, as in the examples, doesn't count."""
        self.assertTrue(isKey(SECRET, RECEIVING, ORIGINATING, STREAM, f"\n    {KEY}\n  "))

    def test_others(self) -> None:
        """Any other key isn't ours, whatever it looks like."""
        others = [
            "",
            KEY[:-1],
            KEY + "0",
            KEY.upper(),
            KEY.replace("3", "4"),
            "x" * 64,
            "é" * 64,
            "٣" * 64,
            KEY * 100,
            f"\0{KEY}",
        ]
        for other in others:
            self.assertFalse(isKey(SECRET, RECEIVING, ORIGINATING, STREAM, other), other)

    @given(st.integers(0, 3))
    def test_everyInputCounts(self, index: int) -> None:
        """Secret, both domains and the stream's id matter, and domains can't be exchanged."""
        inputs: list[Any] = [SECRET, RECEIVING, ORIGINATING, STREAM]
        inputs[index] = inputs[index] + inputs[index][:1]
        self.assertFalse(isKey(*inputs, KEY))
        self.assertFalse(isKey(SECRET, ORIGINATING, RECEIVING, STREAM, KEY))

    def test_ambiguous(self) -> None:
        """What is between the parts can't be in a domain, so that no key fits two sets of parts."""
        made = makeKey(SECRET, "evil.example", "example.org", "x example.org y")
        self.assertTrue(isKey(SECRET, "evil.example", "example.org", "x example.org y", made))
        self.assertFalse(isKey(SECRET, "evil.example example.org x", "example.org", "y", made))

    def test_foreign(self) -> None:
        """Other servers' keys have any form, but not any size."""
        self.assertEqual(trimKey(" any thing\n"), "any thing")
        self.assertEqual(trimKey("x" * MAX_KEY), "x" * MAX_KEY)
        for none in ("", " \n\t", "x" * (MAX_KEY + 1), " " * 5000 + "x"):
            self.assertIsNone(trimKey(none))


@spec("mission", "T9")
class ProofTests(SynchronousTestCase):
    """What TLS and DNSSEC make of dialback."""

    def prove(self, result: DialbackResult = DialbackResult.VALID, **facts: bool) -> Any:
        """The proof, with everything secure but what is said."""
        every = {"encrypted": True, "srvSecure": True, "addressSecure": True, **facts}
        return proveDialback("example.org", result, **every)

    @spec("XEP-0344", "3.3")
    def test_secure(self) -> None:
        """SRV and address by DNSSEC, and TLS: all three."""
        proof = self.prove()
        self.assertTrue(proof.held)
        self.assertIs(proof.prooftype, Prooftype.DIALBACK_DNSSEC)
        for fact in ("encrypted", "srvSecure", "addressSecure"):
            weaker = self.prove(**{fact: False})
            self.assertTrue(weaker.held)
            self.assertIs(weaker.prooftype, Prooftype.DIALBACK)
        self.assertIn("without TLS", self.prove(encrypted=False).reasons[1])
        self.assertIn("whoever controls the DNS", self.prove(srvSecure=False).reasons[1])

    def test_failed(self) -> None:
        """Any other result proves nothing, and vetoes nothing."""
        for result in (DialbackResult.INVALID, DialbackResult.ERROR):
            proof = self.prove(result)
            self.assertFalse(proof.held)
            self.assertFalse(proof.vetoes)

    @spec("XEP-0344", "2.6")
    def test_sameCertificate(self) -> None:
        """The same certificate at both ends spares the question, if it names the domain."""
        certificate = der(Authority("a").sign(curveKey(), [x509.DNSName("example.org")]))
        other = der(Authority("a").sign(curveKey(), [x509.DNSName("example.org")]))
        self.assertTrue(sameCertificate(certificate, certificate, "example.org"))
        self.assertFalse(sameCertificate(certificate, certificate, "example.com"))
        self.assertFalse(sameCertificate(certificate, other, "example.org"))
        for first, second in ((None, None), (certificate, None), (None, certificate), (b"", b""), (b"junk", b"junk")):
            self.assertFalse(sameCertificate(first, second, "example.org"))
        proof = self.prove(shortcut=True, srvSecure=False)
        self.assertIs(proof.prooftype, Prooftype.DIALBACK)
        self.assertIn("shows the same certificate", proof.reasons[0])
