"""
What a stapled OCSP response (RFC 6066 section 8, RFC 6960) says about a certificate.

Only a response that the certificate's issuer has signed, or somebody whom the issuer has made its responder, counts.
That there is none is no fault: hardly any server staples, and clients' certificates can't be stapled in TLS 1.2 at all.
"""

from __future__ import annotations

from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from xmppd.trust.certificatefacts import load, publicKeyBits, timestamp

MAX_RESPONSE = 1 << 16
"""No OCSP response that we look at has more octets than this."""

SKEW = 300.0
"""By how many seconds clocks may differ."""


class OCSPStatus(StrEnum):
    """What is known by OCSP."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


def statusOf(response: bytes, leaf: bytes, issuer: bytes, now: float) -> OCSPStatus:
    """
    What a response says. UNKNOWN for one that is too old, for another certificate, not signed as it should be, or none.

    @param response: DER of the OCSP response; empty if none was stapled.
    @param leaf: DER of the certificate.
    @param issuer: DER of its issuer's certificate, verified.
    @param now: seconds since the epoch.
    """
    if not response or len(response) > MAX_RESPONSE:
        return OCSPStatus.UNKNOWN
    try:
        return _statusOf(ocsp.load_der_ocsp_response(response), load(leaf), load(issuer), now)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.ExtensionNotFound):
        return OCSPStatus.UNKNOWN


def _statusOf(response: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate, now: float) -> OCSPStatus:
    """The same; raises for what isn't in order."""
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return OCSPStatus.UNKNOWN
    _verify(response, issuer, now)
    single = next((each for each in response.responses if _isAbout(each, leaf, issuer)), None)
    if single is None:
        return OCSPStatus.UNKNOWN
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        # Nobody becomes unrevoked, so an old answer counts too.
        return OCSPStatus.REVOKED
    after = single.next_update_utc
    fresh = timestamp(single.this_update_utc) <= now + SKEW and after is not None and now - SKEW <= timestamp(after)
    good = fresh and single.certificate_status is ocsp.OCSPCertStatus.GOOD
    return OCSPStatus.GOOD if good else OCSPStatus.UNKNOWN


def _isAbout(single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a response is about a certificate (RFC 6960 section 4.1.1)."""
    ofName = _digest(single.hash_algorithm, issuer.subject.public_bytes())
    ofKey = _digest(single.hash_algorithm, publicKeyBits(issuer))
    sameIssuer = (single.issuer_name_hash, single.issuer_key_hash) == (ofName, ofKey)
    return sameIssuer and single.serial_number == leaf.serial_number


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    """The hash of some octets."""
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _verify(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> None:
    """
    Check who signed a response (RFC 6960 section 4.2.2.2).

    @raise InvalidSignature: the wrong one.
    @raise ValueError: the responder's certificate isn't the issuer's, isn't for that, or isn't valid now.
    """
    algorithm = response.signature_hash_algorithm
    try:
        _checkSignature(issuer.public_key(), response.signature, response.tbs_response_bytes, algorithm)
        return
    except InvalidSignature:
        if not response.certificates:
            raise
    responder = response.certificates[0]
    responder.verify_directly_issued_by(issuer)
    usages = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        raise ValueError("not a responder")
    if not timestamp(responder.not_valid_before_utc) <= now <= timestamp(responder.not_valid_after_utc):
        raise ValueError("a responder of another time")
    _checkSignature(responder.public_key(), response.signature, response.tbs_response_bytes, algorithm)


def _checkSignature(key: object, signature: bytes, data: bytes, algorithm: hashes.HashAlgorithm | None) -> None:
    """
    Check one signature.

    @raise InvalidSignature: it doesn't fit.
    """
    if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
        key.verify(signature, data, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        key.verify(signature, data, ec.ECDSA(algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, data)
    else:
        raise InvalidSignature
