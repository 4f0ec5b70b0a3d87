"""Tests for L{xmppd.trust.dane}."""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der, name, rsaKey
from xmppd.trust.dane import (
    MAX_RECORDS,
    Endpoint,
    Security,
    TLSARecord,
    isTrustedResolver,
    needsTLS,
    proveDANE,
    secureTargets,
    securityOf,
    tlsaName,
    usableRecords,
)
from xmppd.trust.verdict import Outcome, PeerPolicy, Proof, Prooftype, decide

DOMAIN, HOST = "example.org", "xmpp.hosting.example"
SECURE, INSECURE, FAILED = Security.SECURE, Security.INSECURE, Security.FAILED
ROOT = Authority("root")
BETWEEN = Authority("between", ROOT)
KEY = curveKey()
LEAF = der(BETWEEN.sign(KEY, [x509.DNSName(DOMAIN)]))
CHAIN = (LEAF, der(BETWEEN.certificate), der(ROOT.certificate))


def keyOf(key: Any) -> bytes:
    """A key's SubjectPublicKeyInfo."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.DER, kind))


def record(usage: int, selector: int, matching: int, certificate: bytes = LEAF) -> TLSARecord:
    """A record for a certificate."""
    data = certificate
    if selector == 1:
        data = keyOf(x509.load_der_x509_certificate(certificate))
    return TLSARecord(usage, selector, matching, {0: bytes, 1: sha256, 2: sha512}[matching](data))


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def sha512(data: bytes) -> bytes:
    """SHA-512."""
    return hashlib.sha512(data).digest()


def endpoint(*records: TLSARecord, **facts: Any) -> Endpoint:
    """An endpoint about which everything is secure but what is said."""
    return Endpoint(
        **{"host": HOST, "port": 5269, "srv": SECURE, "address": SECURE, "tlsa": SECURE, "records": records, **facts}
    )


def prove(
    *records: TLSARecord, chain: tuple[bytes, ...] = CHAIN, outgoing: bool = True, now: float = NOW, **facts: Any
) -> Proof:
    """The proof for example.org."""
    return proveDANE(DOMAIN, [endpoint(*records, **facts)], chain, now, outgoing=outgoing)


class SecurityTests(SynchronousTestCase):
    """Whose AD bit counts."""

    @spec("RFC 6698", "4.1")
    def test_resolvers(self) -> None:
        """Those on loopback and those listed, whatever their spelling."""
        for address in ("127.0.0.1", "127.9.9.9", "::1"):
            self.assertTrue(isTrustedResolver(address))
        for address in ("192.0.2.53", "::ffff:8.8.8.8", "0.0.0.0", "localhost", "", "127.0.0.1.example", "127.1"):
            self.assertFalse(isTrustedResolver(address), address)
        self.assertTrue(isTrustedResolver("2001:db8::53", ["2001:0db8:0::53"]))
        self.assertFalse(isTrustedResolver("192.0.2.53", ["192.0.2.54"]))
        self.assertFalse(isTrustedResolver("192.0.2.53", ["junk"]))

    def test_answers(self) -> None:
        """Secure needs the bit and a resolver whose bit counts."""
        table = {(True, True): SECURE, (True, False): INSECURE, (False, True): INSECURE, (False, False): INSECURE}
        for (authenticated, trusted), security in table.items():
            self.assertIs(securityOf(True, authenticated, trusted), security)
            self.assertIs(securityOf(False, authenticated, trusted), FAILED)


@spec("mission", "T8")
class RecordTests(SynchronousTestCase):
    """TLSA records."""

    @spec("RFC 6698", "2.2", "2.3")
    def test_examples(self) -> None:
        """The example records, byte by byte and as text; the name that they have."""
        data = "d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"
        parsed = TLSARecord.parse(bytes.fromhex("000001" + data))
        self.assertEqual(str(parsed), f"0 0 1 {data}")
        self.assertEqual(parsed.encode(), bytes.fromhex("000001" + data))
        self.assertEqual(tlsaName("mail.example.com", 25), "_25._tcp.mail.example.com")

    @spec("RFC 7673", "3.3")
    def test_name(self) -> None:
        """The name is made of port and target, as A-labels."""
        self.assertEqual(tlsaName("imap.example.net", 9143), "_9143._tcp.imap.example.net")
        self.assertEqual(tlsaName("Bücher.example.", 5269), "_5269._tcp.xn--bcher-kva.example")
        self.assertRaises(ValueError, tlsaName, "", 5269)

    def test_short(self) -> None:
        """A record without data is none."""
        for short in (b"", b"\3", b"\3\1\1"):
            self.assertRaises(ValueError, TLSARecord.parse, short)

    @spec("RFC 6698", "4.1")
    @spec("RFC 7671", "4.1")
    def test_unusable(self) -> None:
        """Usages 0 and 1, unknown numbers, and data of the wrong form."""
        for usable in (record(3, 1, 1), record(3, 0, 2), record(2, 0, 0), record(3, 1, 0)):
            self.assertIsNone(usable.unusable)
        digest = sha256(LEAF)
        bad = [
            TLSARecord(0, 0, 1, digest), TLSARecord(1, 1, 1, digest), TLSARecord(4, 1, 1, digest), TLSARecord(255, 1, 1, digest),
            TLSARecord(3, 2, 1, digest), TLSARecord(3, 1, 3, digest), TLSARecord(3, 1, 1, digest[:-1]),
            TLSARecord(3, 1, 2, digest), TLSARecord(3, 1, 1, b""), TLSARecord(3, 0, 0, b"junk"), TLSARecord(3, 1, 0, b"junk"),
        ]  # fmt: skip
        for each in bad:
            self.assertIsNotNone(each.unusable, str(each))
        self.assertEqual(usableRecords(bad), ())

    def test_matches(self) -> None:
        """All selectors and matching types, against the right certificate, a renewed one and another."""
        renewed = der(Authority("other").sign(KEY, [x509.DNSName("other.example")]))
        for selector in (0, 1):
            for matching in (0, 1, 2):
                each = record(3, selector, matching)
                self.assertTrue(each.matches(LEAF))
                self.assertEqual(each.matches(renewed), selector == 1)
                self.assertFalse(each.matches(CHAIN[1]))
                self.assertFalse(each.matches(b"junk"))

    @spec("RFC 7671", "9")
    def test_agility(self) -> None:
        """Of several digests over the same thing only the strongest counts, whole data always."""
        weak, strong, whole = record(3, 1, 1), record(3, 1, 2, CHAIN[1]), record(3, 1, 0, CHAIN[2])
        other = record(3, 0, 1)
        self.assertEqual(usableRecords([weak, strong, whole, other]), (strong, whole, other))
        self.assertEqual(usableRecords([weak, whole]), (weak, whole))
        self.assertFalse(prove(weak, strong).held)
        # What can't be used makes nothing weaker.
        self.assertEqual(usableRecords([weak, TLSARecord(3, 1, 2, b"short")]), (weak,))

    def test_bound(self) -> None:
        """Not more than so many are looked at."""
        many = [TLSARecord(3, 1, 1, sha256(bytes([index]))) for index in range(200)]
        self.assertEqual(len(usableRecords(many)), MAX_RECORDS)

    @given(st.binary(max_size=80))
    def test_anything(self, rdata: bytes) -> None:
        """Any RDATA is a record that comes back, or none; neither raises later."""
        try:
            parsed = TLSARecord.parse(rdata)
        except ValueError:
            self.assertLess(len(rdata), 4)
            return
        self.assertEqual(parsed.encode(), rdata)
        proof = prove(parsed)
        self.assertFalse(proof.held)
        self.assertEqual(proof.outcome is Outcome.ABSENT, parsed.unusable is not None)


@spec("mission", "T8")
class DelegationTests(SynchronousTestCase):
    """What the way to the records has to be."""

    @spec("RFC 7673", "3.1", "3.2", "3.3")
    def test_everyStep(self) -> None:
        """SRV, address and TLSA answers have to be secure, each of them."""
        self.assertTrue(prove(record(3, 1, 1)).held)
        for step, words in (("srv", "SRV record"), ("address", "the address of"), ("tlsa", "TLSA records")):
            for security in (INSECURE, FAILED):
                proof = prove(record(3, 1, 1), **{step: security})
                self.assertIs(proof.outcome, Outcome.ABSENT)
                self.assertIn(words, proof.reasons[0])

    def test_own(self) -> None:
        """Without SRV records the domain is its own host, and its name needs no record to vouch for it."""
        for host in (DOMAIN, "EXAMPLE.org."):
            self.assertTrue(prove(record(3, 1, 1), host=host, srv=INSECURE).held)
        self.assertFalse(prove(record(3, 1, 1), host="sub.example.org", srv=INSECURE).held)
        self.assertFalse(prove(record(3, 1, 1), host="", srv=INSECURE).held)

    @spec("RFC 7673", "3.4")
    @spec("RFC 7671", "10.3")
    def test_needsTLS(self) -> None:
        """Secure records make TLS a must, even those that can't be used."""
        self.assertTrue(needsTLS(DOMAIN, endpoint(record(3, 1, 1))))
        self.assertTrue(needsTLS(DOMAIN, endpoint(record(0, 1, 1))))
        self.assertFalse(needsTLS(DOMAIN, endpoint()))
        for step in ("srv", "address", "tlsa"):
            self.assertFalse(needsTLS(DOMAIN, endpoint(record(3, 1, 1), **{step: INSECURE})))

    @spec("RFC 7673", "3.1", "3.2", "3.3")
    def test_mayConnect(self) -> None:
        """Where an answer is kept from us, nobody connects; where none can be expected it doesn't matter."""
        self.assertTrue(endpoint().mayConnect)
        self.assertFalse(endpoint(srv=FAILED).mayConnect)
        self.assertFalse(endpoint(address=FAILED).mayConnect)
        self.assertFalse(endpoint(tlsa=FAILED).mayConnect)
        self.assertTrue(endpoint(address=INSECURE, tlsa=FAILED).mayConnect)

    @spec("RFC 7673", "4.1")
    def test_targets(self) -> None:
        """A host counts as a name of the domain if the SRV record is secure."""
        endpoints = [endpoint(), endpoint(host="b.example", srv=INSECURE), endpoint(host="c.example", address=INSECURE)]
        self.assertEqual(secureTargets(DOMAIN, endpoints), [HOST, "c.example"])


@spec("mission", "T8")
class EntityTests(SynchronousTestCase):
    """DANE-EE."""

    @spec("RFC 7671", "5.1")
    @spec("RFC 7673", "4.2")
    def test_nothingElseCounts(self) -> None:
        """Names, validity, usages and issuer don't matter."""
        key = curveKey()
        odd = [
            Authority("me").sign(key, [x509.DNSName("other.example")]),
            BETWEEN.sign(key, [], start=NOW - 2 * DAY, end=NOW - DAY),
            BETWEEN.sign(key, [], start=NOW + DAY, end=NOW + 2 * DAY),
            BETWEEN.sign(key, [], usages=(ExtendedKeyUsageOID.CODE_SIGNING,)),
        ]
        for certificate in odd:
            for proof in (prove(record(3, 1, 1, der(certificate)), chain=(der(certificate),)),):
                self.assertTrue(proof.held)
                self.assertIs(proof.prooftype, Prooftype.DANE_EE)

    def test_reasons(self) -> None:
        """What held is said, with where the record is, and for how long."""
        proof = prove(record(3, 1, 1), until=NOW + 300)
        self.assertEqual(
            proof.reasons,
            (
                f"the certificate matches a record TLSA 3 1 1 of {HOST} port 5269",
                "all records on the way there are secure by DNSSEC",
            ),
        )
        self.assertEqual(proof.until, NOW + 300)

    @spec("RFC 7673", "4.2")
    def test_mismatch(self) -> None:
        """A mismatch is final where we have connected, and no help where we were connected to."""
        wrong = record(3, 1, 1, CHAIN[1])
        proof = prove(wrong)
        self.assertTrue(proof.vetoes)
        self.assertIs(proof.outcome, Outcome.FAILED)
        incoming = prove(wrong, outgoing=False)
        self.assertIs(incoming.outcome, Outcome.FAILED)
        self.assertFalse(incoming.vetoes)

    def test_oneOfSeveral(self) -> None:
        """One record that matches is enough; of an incoming peer, at any of its endpoints."""
        self.assertTrue(prove(record(3, 1, 1, CHAIN[1]), record(3, 1, 1)).held)
        endpoints = [endpoint(record(3, 1, 1, CHAIN[1])), endpoint(record(3, 1, 1), host="second.example")]
        self.assertTrue(proveDANE(DOMAIN, endpoints, CHAIN, NOW, outgoing=False).held)
        endpoints[1] = endpoint(record(3, 1, 1), host="second.example", srv=INSECURE)
        self.assertFalse(proveDANE(DOMAIN, endpoints, CHAIN, NOW, outgoing=False).held)

    @spec("RFC 7673", "3.4")
    def test_plaintext(self) -> None:
        """Without TLS there is nothing to compare, and the stream is refused even by a policy that lets it pass."""
        proof = prove(record(3, 1, 1), chain=())
        self.assertTrue(proof.vetoes)
        self.assertFalse(decide(DOMAIN, [proof], PeerPolicy(False, frozenset(Prooftype)), None).accepted)
        self.assertFalse(prove(record(3, 1, 1), chain=(), outgoing=False).vetoes)

    @spec("RFC 7671", "10.3")
    def test_plaintextUnusable(self) -> None:
        """Records that can't be used promise TLS all the same."""
        self.assertTrue(prove(record(1, 1, 1), chain=()).vetoes)
        self.assertFalse(prove(record(1, 1, 1), chain=(), outgoing=False).vetoes)
        self.assertFalse(prove(record(1, 1, 1), chain=(), srv=INSECURE).vetoes)

    def test_weakKey(self) -> None:
        """A key that anybody can break isn't made better by a record."""
        weak = der(BETWEEN.sign(rsaKey(1024), [x509.DNSName(DOMAIN)]))
        proof = prove(record(3, 1, 1, weak), chain=(weak,))
        self.assertFalse(proof.held)
        self.assertIn("1024 bits", proof.reasons[0])

    def test_absent(self) -> None:
        """No records, no endpoints: not offered, and no veto."""
        for proof in (prove(), proveDANE(DOMAIN, [], CHAIN, NOW, outgoing=True), prove(record(1, 1, 1))):
            self.assertIs(proof.outcome, Outcome.ABSENT)
            self.assertFalse(proof.vetoes)
        self.assertIn("usage 1 isn't used between servers", prove(record(1, 1, 1)).reasons[0])

    def test_junk(self) -> None:
        """A certificate that is none matches nothing."""
        self.assertFalse(prove(record(3, 0, 1), chain=(b"junk",)).held)

    @given(st.lists(st.binary(max_size=50), max_size=4))
    @settings(max_examples=50, deadline=None)
    def test_anyChain(self, others: list[bytes]) -> None:
        """Whatever stands behind the certificate, nothing raises."""
        self.assertTrue(prove(record(3, 1, 1), chain=(LEAF, *others)).held)
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), chain=(LEAF, *others)).held)
        self.assertFalse(prove(record(3, 1, 1), chain=tuple(others)).held)


@spec("mission", "T8")
class AuthorityTests(SynchronousTestCase):
    """DANE-TA."""

    @spec("RFC 7671", "5.2")
    def test_held(self) -> None:
        """An authority in the chain, root or not, by certificate and by key."""
        for anchor in CHAIN[1:]:
            for selector in (0, 1):
                for matching in (0, 1, 2):
                    proof = prove(record(2, selector, matching, anchor))
                    self.assertTrue(proof.held, proof)
                    self.assertIs(proof.prooftype, Prooftype.DANE_TA)
        self.assertTrue(prove(record(2, 0, 1, CHAIN[2]), chain=(LEAF, CHAIN[2], CHAIN[1])).held)

    @spec("RFC 7671", "5.2.2")
    def test_anchorNotShown(self) -> None:
        """Only a record with the whole certificate does without it in the chain."""
        self.assertTrue(prove(record(2, 0, 0, CHAIN[2]), chain=CHAIN[:2]).held)
        self.assertTrue(prove(record(2, 0, 0, CHAIN[1]), chain=CHAIN[:1]).held)
        for selector, matching in ((0, 1), (1, 1), (1, 0)):
            self.assertFalse(prove(record(2, selector, matching, CHAIN[2]), chain=CHAIN[:2]).held)

    @spec("RFC 7673", "6")
    @spec("RFC 7671", "10.2")
    def test_names(self) -> None:
        """The certificate has to name the domain or the host."""
        other = der(BETWEEN.sign(KEY, [x509.DNSName("other.example")]))
        proof = prove(record(2, 0, 1, CHAIN[2]), chain=(other, *CHAIN[1:]))
        self.assertFalse(proof.held)
        self.assertTrue(proof.vetoes)
        self.assertIn("not for example.org", proof.reasons[0])
        host = der(BETWEEN.sign(KEY, [x509.DNSName(HOST)]))
        self.assertTrue(prove(record(2, 0, 1, CHAIN[2]), chain=(host, *CHAIN[1:])).held)

    def test_time(self) -> None:
        """The certificate has to be valid, by our clock."""
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), now=NOW + 2 * DAY).held)
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), now=NOW - 2 * DAY).held)

    def test_path(self) -> None:
        """There has to be a path of signatures by authorities, from the certificate to the anchor."""
        stranger = Authority("between")
        forged = der(stranger.sign(KEY, [x509.DNSName(DOMAIN)]))
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), chain=(forged, *CHAIN[1:])).held)
        # A certificate of the domain's authority is no authority itself.
        nobody = Authority("nobody")
        nobody.certificate = BETWEEN.sign(nobody.key, [x509.DNSName("evil.example")], subject=nobody.name)
        evil = der(nobody.sign(curveKey(), [x509.DNSName(DOMAIN)]))
        chain = (evil, der(nobody.certificate), *CHAIN[1:])
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), chain=chain).held)

    def test_notTheLeaf(self) -> None:
        """A certificate isn't its own authority."""
        self.assertFalse(prove(record(2, 1, 1), chain=(LEAF,)).held)
        self.assertFalse(prove(record(2, 0, 1), chain=(LEAF, *CHAIN[1:])).held)

    def test_usage(self) -> None:
        """The certificate has to be for TLS."""
        odd = der(BETWEEN.sign(KEY, [x509.DNSName(DOMAIN)], usages=(ExtendedKeyUsageOID.CODE_SIGNING,)))
        self.assertFalse(prove(record(2, 0, 1, CHAIN[2]), chain=(odd, *CHAIN[1:])).held)

    def test_weak(self) -> None:
        """No weak key on the path."""
        weak = Authority("weak")
        weak.key = rsaKey(1024)  # type: ignore[assignment]
        weak.certificate = ROOT.sign(weak.key, subject=weak.name, ca=True)
        certificate = der(weak.sign(KEY, [x509.DNSName(DOMAIN)]))
        proof = prove(record(2, 0, 1, CHAIN[2]), chain=(certificate, der(weak.certificate), CHAIN[2]))
        self.assertFalse(proof.held)
        self.assertIn("CN=weak", proof.reasons[0])

    @spec("RFC 7671", "5.2.1")
    def test_constraints(self) -> None:
        """What the authority may not sign, it may not sign here."""
        key = curveKey()
        limited = constrained(key, "other.example")
        certificate = der(signedBy(limited, key))
        chain = (certificate, der(limited))
        self.assertFalse(prove(record(2, 0, 1, der(limited)), chain=chain).held)
        fine = constrained(key, DOMAIN)
        self.assertTrue(prove(record(2, 0, 1, der(fine)), chain=(der(signedBy(fine, key)), der(fine))).held)

    def test_both(self) -> None:
        """Records of both usages: either is enough, and a failure tells of both."""
        wrong = record(3, 1, 1, CHAIN[1])
        self.assertIs(prove(wrong, record(2, 0, 1, CHAIN[2])).prooftype, Prooftype.DANE_TA)
        proof = prove(wrong, record(2, 0, 1, der(Authority("x").certificate)))
        self.assertIs(proof.prooftype, Prooftype.DANE_EE)
        self.assertEqual(len(proof.reasons), 2)


def constrained(key: Any, domain: str) -> x509.Certificate:
    """An authority that may only sign for one domain."""
    template = ROOT.certificate
    return (
        x509.CertificateBuilder(
            subject_name=name("limited"),
            issuer_name=name("limited"),
            public_key=key.public_key(),
            serial_number=7,
            not_valid_before=template.not_valid_before_utc,
            not_valid_after=template.not_valid_after_utc,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(domain)], None), critical=True)
        .sign(key, template.signature_hash_algorithm)  # type: ignore[arg-type]
    )


def signedBy(issuer: x509.Certificate, key: Any) -> x509.Certificate:
    """A certificate for example.org by an authority."""
    signer = Authority.__new__(Authority)
    signer.name, signer.key = issuer.subject, key
    return signer.sign(KEY, [x509.DNSName(DOMAIN)])
