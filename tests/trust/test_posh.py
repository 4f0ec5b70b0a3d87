"""Tests for L{xmppd.trust.posh}."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der, rsaKey
from xmppd.trust.posh import (
    MAX_DOCUMENT,
    MAX_FINGERPRINTS,
    MAX_LIFE,
    Fingerprints,
    Material,
    POSHError,
    Reference,
    checkedURL,
    collect,
    fingerprintsDocument,
    parse,
    provePOSH,
    referenceDocument,
    wellKnown,
)
from xmppd.trust.verdict import Outcome, Prooftype

DOMAIN = "example.org"
URL = "https://example.org/.well-known/posh/xmpp-server.json"
CERTIFICATE = der(Authority("hosting").sign(curveKey(), [x509.DNSName("hosting.example.net")]))
OTHER = der(Authority("hosting").sign(curveKey(), [x509.DNSName(DOMAIN)]))

EXAMPLE = b"""
{ "fingerprints": [
    { "sha-256": "4/mggdlVx8A3pvHAWW5sD+qJyMtUHgiRuPjVC48N0XQ",
      "sha-512": "25N+1hB2Vo42l9lSGqw+n3BKFhDHsyork8ou+D9B43TXeJ1J81mdQEDqm39oR/EHkPBDDG1y5+AG94Kec0xVqA==" },
    { "sha-256": "otyLADSKjRDjVpj8X7/hmCAD5C7Qe+PedcmYV7cUncE=",
      "sha-512": "MbBD+ausTGJisEXKSynROWrMfHP2xvBnmI79Pr/KXnDyLN+13Jof8/Uq9fj5HZG8Rk1E2fclcivpGdijUsvHRg==" } ],
  "expires": 806400 }
"""
"""The second example of RFC 7711 section 3.1, without the white space that is there for readability."""


def document(**members: Any) -> bytes:
    """A document with some members."""
    return json.dumps(members).encode()


def hashed(certificate: bytes, *names: str) -> dict[str, str]:
    """A descriptor."""
    return {name: base64.b64encode(hashlib.new(name.replace("-", ""), certificate).digest()).decode() for name in names}


def material(*certificates: bytes, expires: int = 3600) -> Material:
    """What a domain says, fetched now."""
    return collect(parse(fingerprintsDocument(certificates, expires)), NOW, URL)


@spec("mission", "T8")
class DocumentTests(SynchronousTestCase):
    """Documents as they come."""

    def assertRefused(self, *documents: bytes) -> None:
        """Every document proves nothing, and says why."""
        for each in documents:
            error = self.assertRaises(POSHError, parse, each)
            self.assertTrue(str(error))

    @spec("RFC 7711", "3.1")
    def test_example(self) -> None:
        """The example of the RFC, whose padding is partly missing."""
        parsed = parse(EXAMPLE)
        assert isinstance(parsed, Fingerprints)
        self.assertEqual(parsed.expires, 806400)
        self.assertEqual([[name for name, _ in each] for each in parsed.descriptors], [["sha-512", "sha-256"]] * 2)
        self.assertEqual(parsed.descriptors[0][1][1].hex()[:8], "e3f9a081")

    @spec("RFC 7711", "3.2")
    def test_reference(self) -> None:
        """The example of a reference."""
        url = "https://hosting.example.net/.well-known/posh/spice.json"
        self.assertEqual(parse(document(url=url, expires=86400)), Reference(url, 86400))

    @spec("RFC 7711", "3.1", "3.2")
    def test_expires(self) -> None:
        """A whole number of seconds, at least one; zero says that it isn't valid."""
        for expires in (0, -1, 1.5, 3600.0, "3600", None, True, [], 1e999):
            self.assertRefused(document(fingerprints=[hashed(OTHER, "sha-256")], expires=expires))
            self.assertRefused(document(url="https://a.example/", expires=expires))
        self.assertRefused(document(fingerprints=[hashed(OTHER, "sha-256")]))

    @spec("RFC 7711", "3.1")
    def test_noReferenceBeside(self) -> None:
        """Fingerprints and a reference in one document aren't allowed."""
        self.assertRefused(document(url=URL, fingerprints=[hashed(OTHER, "sha-256")], expires=1))

    @spec("RFC 7711", "3.1")
    def test_fingerprints(self) -> None:
        """At least one, each an object with base64 of the right length for those hashes that we know."""
        good = hashed(OTHER, "sha-256")
        for bad in (None, [], {}, "x", [1], [[]], [{"sha-256": 1}], [{"sha-256": "é"}], [{"sha-256": "AAAA"}],
                    [{"sha-256": good["sha-256"] + "AAAA"}], [{"sha-512": good["sha-256"]}], [{"sha-256": good["sha-256"][:-4] + " =="}],
                    [{"sha-256": "A" * 10_000}], [good] * (MAX_FINGERPRINTS + 1), [{}], [hashed(OTHER, "sha-1")], [{"SHA-256": "x"}]):  # fmt: skip
            self.assertRefused(document(fingerprints=bad, expires=1))
        mixed = parse(document(fingerprints=[hashed(OTHER, "sha-1"), good], expires=1, more={"a": 1}))
        assert isinstance(mixed, Fingerprints)
        self.assertEqual(len(mixed.descriptors), 1)

    def test_noJSON(self) -> None:
        """What isn't JSON, isn't an object, says things twice, is too deep, too long, or not UTF-8."""
        self.assertRefused(
            b"", b"x", b"[]", b"null", b"3", b'"x"', b"{", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[" * 60_000, b'{"a":' * 10_000,
            b'{"expires": 1, "expires": 2, "url": "https://a.example/"}', b'{"expires": NaN, "url": "https://a.example/"}',
            b'{"expires": ' + b"9" * 5000 + b"}", b" " * (MAX_DOCUMENT + 1), document(expires=1),
        )  # fmt: skip

    @spec("RFC 7711", "3.2", "10")
    def test_urls(self) -> None:
        """A reference is to HTTPS at a host with a name, and nowhere else."""
        for good in ("https://a.example/x.json", "https://a.example:8443/", "https://a.example"):
            self.assertEqual(checkedURL(good), good)
        for bad in ("http://a.example/", "HTTP://a.example/", "ftp://a.example/", "file:///etc/passwd", "//a.example/", "a.example", "",
                    "https://", "https:///x", "https://localhost/", "https://127.0.0.1/", "https://[::1]/", "https://192.168.1.1/",
                    "https://user@a.example/", "https://u:p@a.example/", "https://a.example:0/", "https://a.example:99999/",
                    "https://a.example:x/", "https://a.example/\n", "https://a.example/ x", "https://a.example\\@b.example/",
                    "https://é.example/", "https://a.example/" + "x" * 3000, 1, None, ["https://a.example/"],
                    "https://0x7f.1/", "https://[::ffff:1.2.3.4]/"):  # fmt: skip
            self.assertRaises(POSHError, checkedURL, bad)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["url", "fingerprints", "expires", "sha-256"]), inner, max_size=4)
            ),
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_anyJSON(self, value: Any) -> None:
        """Any JSON is a document or a POSHError."""
        try:
            self.assertIsInstance(parse(json.dumps(value).encode()), Fingerprints | Reference)
        except POSHError:
            pass

    @given(st.binary(max_size=100))
    @settings(max_examples=200, deadline=None)
    def test_anything(self, octets: bytes) -> None:
        """So is anything else."""
        self.assertRaises(POSHError, parse, octets)


class MaterialTests(SynchronousTestCase):
    """What was fetched, joined."""

    fingerprints = Fingerprints(((("sha-256", b""),),), 100)

    @spec("RFC 7711", "6")
    def test_lives(self) -> None:
        """The lower of two lives counts, and never more than a week."""
        for reference, expected in ((50, 50), (200, 100)):
            made = collect(Reference(URL, reference), NOW, URL, self.fingerprints)
            self.assertEqual(made.until, NOW + expected)
        long = Fingerprints(self.fingerprints.descriptors, 10**12)
        self.assertEqual(collect(long, NOW, URL).until, NOW + MAX_LIFE)

    @spec("RFC 7711", "3.2")
    def test_oneStep(self) -> None:
        """A reference leads to fingerprints and not to another reference."""
        first = Reference(URL, 1)
        self.assertRaises(POSHError, collect, first, NOW, URL, Reference(URL, 1))
        self.assertRaises(POSHError, collect, first, NOW, URL)

    @spec("RFC 7712", "5.2")
    def test_wellKnown(self) -> None:
        """Where documents are."""
        self.assertEqual(wellKnown(DOMAIN), URL)
        self.assertEqual(
            wellKnown("Bücher.example", "xmpp-client"),
            "https://xn--bcher-kva.example/.well-known/posh/xmpp-client.json",
        )
        for bad in ("", "a/b", "a@b", "a b", "a\r\nb"):
            self.assertRaises(ValueError, wellKnown, bad)


@spec("mission", "T8")
class ProofTests(SynchronousTestCase):
    """The prooftype POSH."""

    def test_held(self) -> None:
        """A certificate that the domain's web server names, whatever it names itself."""
        proof = provePOSH(DOMAIN, material(OTHER, CERTIFICATE), CERTIFICATE, NOW)
        self.assertTrue(proof.held)
        self.assertIs(proof.prooftype, Prooftype.POSH)
        self.assertEqual(proof.reasons, (f"{URL} names the certificate by its sha-512 fingerprint",))
        self.assertEqual(proof.until, NOW + 3600)
        self.assertEqual(provePOSH(DOMAIN, material(CERTIFICATE, expires=MAX_LIFE), CERTIFICATE, NOW).until, NOW + DAY)

    @spec("RFC 7711", "3.3")
    def test_mismatch(self) -> None:
        """Another certificate fails, without a veto."""
        proof = provePOSH(DOMAIN, material(OTHER), CERTIFICATE, NOW)
        self.assertIs(proof.outcome, Outcome.FAILED)
        self.assertFalse(proof.vetoes)

    def test_strongest(self) -> None:
        """Of one descriptor the strongest hash decides."""
        descriptor = {**hashed(OTHER, "sha-512"), **hashed(CERTIFICATE, "sha-256")}
        found = collect(parse(document(fingerprints=[descriptor], expires=1)), NOW, URL)
        self.assertFalse(provePOSH(DOMAIN, found, CERTIFICATE, NOW).held)
        self.assertTrue(provePOSH(DOMAIN, found, OTHER, NOW).held)

    @spec("RFC 7711", "6")
    def test_validity(self) -> None:
        """A certificate that isn't valid now, and one with a weak key, fail though they are named."""
        weak = der(Authority("a").sign(rsaKey(1024)))
        old = der(Authority("a").sign(curveKey(), start=NOW - 2 * DAY, end=NOW - 1))
        early = der(Authority("a").sign(curveKey(), start=NOW + 1))
        for bad in (weak, old, early):
            self.assertIs(provePOSH(DOMAIN, material(bad), bad, NOW).outcome, Outcome.FAILED)

    def test_absent(self) -> None:
        """No document, and one that has expired, are no proof and no failure."""
        self.assertIs(provePOSH(DOMAIN, None, CERTIFICATE, NOW).outcome, Outcome.ABSENT)
        self.assertEqual(
            provePOSH(DOMAIN, None, CERTIFICATE, NOW, "the web server says 404").reasons, ("the web server says 404",)
        )
        self.assertIs(provePOSH(DOMAIN, material(CERTIFICATE), CERTIFICATE, NOW + 3600).outcome, Outcome.ABSENT)

    def test_noCertificate(self) -> None:
        """Without a certificate, and with something that is none, nothing is proved."""
        self.assertIs(provePOSH(DOMAIN, material(CERTIFICATE), None, NOW).outcome, Outcome.FAILED)
        junk = Material(Fingerprints(((("sha-256", hashlib.sha256(b"junk").digest()),),), 1), NOW + 1, URL)
        self.assertIs(provePOSH(DOMAIN, junk, b"junk", NOW).outcome, Outcome.FAILED)


@spec("mission", "T8")
class PublishingTests(SynchronousTestCase):
    """Documents of our own."""

    @spec("RFC 7711", "3.1")
    def test_fingerprints(self) -> None:
        """Both hashes of each certificate, in the given order."""
        parsed = parse(fingerprintsDocument([CERTIFICATE, OTHER], 86400))
        assert isinstance(parsed, Fingerprints)
        self.assertEqual(parsed.expires, 86400)
        self.assertEqual(dict(parsed.descriptors[0])["sha-256"], hashlib.sha256(CERTIFICATE).digest())
        self.assertEqual(dict(parsed.descriptors[1])["sha-512"], hashlib.sha512(OTHER).digest())
        self.assertRaises(ValueError, fingerprintsDocument, [])
        self.assertRaises(ValueError, fingerprintsDocument, [OTHER], 0)

    def test_reference(self) -> None:
        """A reference that others, and we, would follow."""
        self.assertEqual(parse(referenceDocument(URL, 60)), Reference(URL, 60))
        self.assertRaises(ValueError, referenceDocument, "http://a.example/")
        self.assertRaises(ValueError, referenceDocument, URL, 0)
