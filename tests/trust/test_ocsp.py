"""Tests for L{xmppd.trust.ocsp}."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der, name, rsaKey
from xmppd.trust.ocsp import MAX_RESPONSE, OCSPStatus, examine, hasResponder, mustStaple, stapledStatus, statusOf

ISSUER = Authority("issuer")
NAMESAKE = Authority("issuer")
LEAF = ISSUER.sign(curveKey(), [x509.DNSName("example.org")])
GOOD, REVOKED = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED


def when(seconds: float) -> datetime.datetime:
    """A time as the builder wants it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def response(status: Any = GOOD, leaf: Any = LEAF, issuer: Any = ISSUER.certificate, signer: Any = None, key: Any = ISSUER.key,
             start: float = NOW - 60, end: float | None = NOW + DAY, algorithm: Any = None, shown: Any = ()) -> bytes:  # fmt: skip
    """A response in DER."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf,
        issuer=issuer,
        algorithm=algorithm or hashes.SHA1(),
        cert_status=status,
        this_update=when(start),
        next_update=None if end is None else when(end),
        revocation_time=when(NOW - DAY) if status is REVOKED else None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, signer or ISSUER.certificate)
    if shown:
        builder = builder.certificates(shown)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def demandingLeaf(key: Any = None, issuer: Authority = ISSUER, domain: str = "example.org") -> x509.Certificate:
    """A certificate that demands a stapled response (RFC 7633), and says where to get it."""
    place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o.invalid"))
    builder = x509.CertificateBuilder(issuer.name, name("leaf"), (key or curveKey()).public_key(), 7, when(NOW - DAY), when(NOW + DAY))
    for extension in (
        x509.SubjectAlternativeName([x509.DNSName(domain)]),
        x509.TLSFeature([x509.TLSFeatureType.status_request]),
        x509.AuthorityInformationAccess([place]),
    ):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


SAMPLE = response()


class OCSPTests(SynchronousTestCase):
    """What stapled responses say."""

    def status(self, octets: bytes, now: float = NOW) -> OCSPStatus:
        """The status of the certificate."""
        return statusOf(octets, der(LEAF), der(ISSUER.certificate), now)

    def test_signedByIssuer(self) -> None:
        """Good and revoked, with either hash in the identifier."""
        for algorithm in (hashes.SHA1(), hashes.SHA256()):
            self.assertIs(self.status(response(algorithm=algorithm)), OCSPStatus.GOOD)
            self.assertIs(self.status(response(REVOKED, algorithm=algorithm)), OCSPStatus.REVOKED)
        self.assertIs(self.status(response(ocsp.OCSPCertStatus.UNKNOWN)), OCSPStatus.UNKNOWN)

    def test_time(self) -> None:
        """Good is good for a time only; revoked stays revoked."""
        for stale in (response(end=NOW - DAY), response(start=NOW + DAY, end=NOW + 2 * DAY), response(end=None)):
            self.assertIs(self.status(stale), OCSPStatus.UNKNOWN)
        self.assertIs(self.status(response(REVOKED, end=NOW - DAY)), OCSPStatus.REVOKED)

    def test_another(self) -> None:
        """A response about another certificate says nothing."""
        other = ISSUER.sign(curveKey(), [x509.DNSName("example.org")])
        self.assertIs(self.status(response(REVOKED, leaf=other)), OCSPStatus.UNKNOWN)
        stranger = Authority("stranger")
        self.assertIs(self.status(response(REVOKED, issuer=stranger.certificate)), OCSPStatus.UNKNOWN)
        namesake = Authority("issuer")
        self.assertIs(self.status(response(REVOKED, issuer=namesake.certificate)), OCSPStatus.UNKNOWN)

    def test_forged(self) -> None:
        """Signed by anybody else, it says nothing."""
        for key in (curveKey(), rsaKey(2048)):
            signer = Authority("issuer").sign(key, subject=ISSUER.name)
            self.assertIs(self.status(response(key=key, signer=signer)), OCSPStatus.UNKNOWN)
            self.assertIs(self.status(response(REVOKED, key=key, signer=signer)), OCSPStatus.UNKNOWN)

    def test_responder(self) -> None:
        """The issuer's responder may sign, another certificate of the issuer may not."""
        key = curveKey()
        for usages, expected in (((ExtendedKeyUsageOID.OCSP_SIGNING,), OCSPStatus.GOOD), ((), OCSPStatus.UNKNOWN),
                                 ((ExtendedKeyUsageOID.SERVER_AUTH,), OCSPStatus.UNKNOWN)):  # fmt: skip
            responder = ISSUER.sign(key, subject=name("responder"), usages=usages)
            self.assertIs(self.status(response(signer=responder, key=key, shown=[responder])), expected)
        foreign = Authority("other").sign(key, subject=name("responder"), usages=(ExtendedKeyUsageOID.OCSP_SIGNING,))
        self.assertIs(self.status(response(signer=foreign, key=key, shown=[foreign])), OCSPStatus.UNKNOWN)

    def test_oldResponder(self) -> None:
        """A responder's certificate has to be valid itself."""
        key = curveKey()
        usages = (ExtendedKeyUsageOID.OCSP_SIGNING,)
        old = ISSUER.sign(key, subject=name("responder"), usages=usages, start=NOW - 3 * DAY, end=NOW - 2 * DAY)
        self.assertIs(self.status(response(signer=old, key=key, shown=[old])), OCSPStatus.UNKNOWN)

    def test_reasons(self) -> None:
        """Why a response doesn't count is told."""
        for octets, words in (
            (b"", "size"),
            (b"junk", "can't be used"),
            (response(start=NOW + DAY, end=NOW + 2 * DAY), "isn't valid yet"),
            (response(end=NOW - DAY, start=NOW - 2 * DAY), "too old"),
            (response(end=None), "until when"),
            (response(signer=NAMESAKE.certificate, key=NAMESAKE.key), "isn't signed"),
            (response(REVOKED), "revoked"),
            (response(ocsp.OCSPCertStatus.UNKNOWN), "doesn't know"),
            (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), "no answer"),
        ):
            if not isinstance(octets, bytes):
                octets = octets.public_bytes(serialization.Encoding.DER)
            self.assertIn(words, examine(octets, der(LEAF), der(ISSUER.certificate), NOW).why)
        good = examine(SAMPLE, der(LEAF), der(ISSUER.certificate), NOW)
        self.assertEqual((good.status, good.why, good.until), (OCSPStatus.GOOD, "", NOW + DAY))

    @spec("RFC 7633", "4.3.3")
    def test_mustStaple(self) -> None:
        """A certificate may demand a response; then one that doesn't count is as bad as none."""
        demanding = demandingLeaf()
        root = der(ISSUER.certificate)
        self.assertTrue(mustStaple(der(demanding)))
        self.assertFalse(mustStaple(der(LEAF)))
        self.assertFalse(mustStaple(b"junk"))
        for octets, status in ((b"", OCSPStatus.MISSING), (SAMPLE, OCSPStatus.MISSING),
                               (response(leaf=demanding), OCSPStatus.GOOD),
                               (response(REVOKED, leaf=demanding), OCSPStatus.REVOKED)):  # fmt: skip
            self.assertIs(stapledStatus(octets, (der(demanding), root), NOW), status)
        self.assertIs(stapledStatus(SAMPLE, (der(demanding),), NOW), OCSPStatus.MISSING)
        self.assertIs(stapledStatus(SAMPLE, (der(LEAF), root), NOW), OCSPStatus.GOOD)
        self.assertIsNone(stapledStatus(b"", (der(LEAF), root), NOW))
        self.assertIsNone(stapledStatus(SAMPLE, (), NOW))

    def test_hasResponder(self) -> None:
        """Whether there is a place to ask is said by the certificate."""
        self.assertTrue(hasResponder(der(demandingLeaf())))
        self.assertFalse(hasResponder(der(LEAF)))
        self.assertFalse(hasResponder(b"junk"))

    def test_nothing(self) -> None:
        """No response, an error, one too long, and junk."""
        error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        for octets in (b"", b"junk", b"\x30" * (MAX_RESPONSE + 1), error.public_bytes(serialization.Encoding.DER)):
            self.assertIs(self.status(octets), OCSPStatus.UNKNOWN)
        self.assertIs(statusOf(response(), b"junk", b"junk", NOW), OCSPStatus.UNKNOWN)

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_damaged(self, data: st.DataObject) -> None:
        """A response with a changed byte never makes it raise, and never says that another is revoked."""
        octets = bytearray(SAMPLE)
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        self.assertIn(self.status(bytes(octets)), (OCSPStatus.GOOD, OCSPStatus.UNKNOWN))
