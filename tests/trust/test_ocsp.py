"""Tests for L{xmppd.trust.ocsp}."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.trust.authority import DAY, NOW, Authority, curveKey, der, name, rsaKey
from xmppd.trust.ocsp import MAX_RESPONSE, OCSPStatus, statusOf

ISSUER = Authority("issuer")
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
