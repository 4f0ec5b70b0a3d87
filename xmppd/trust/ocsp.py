"""
What a stapled OCSP response (RFC 6066 section 8, RFC 6960) says about a certificate.

Only a response that the certificate's issuer has signed, or somebody whom the issuer has made its responder, counts.
That there is none is no fault, since hardly any server staples, unless the certificate says that there has to be one
(RFC 7633, "must-staple"). Clients' certificates can't be stapled in TLS 1.2 at all, and OpenSSL doesn't in TLS 1.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from OpenSSL import SSL

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
    MISSING = "missing"
    """Not known, though the certificate says that it has to be."""


@dataclass(frozen=True, slots=True)
class Examined:
    """
    What a response comes to.

    @ivar status: what it says; UNKNOWN for one that doesn't count.
    @ivar why: why it is UNKNOWN, as the end of a sentence that begins with the response.
    @ivar until: when there is to be a newer one, in seconds since the epoch.
    """

    status: OCSPStatus
    why: str = ""
    until: float = 0.0


def statusOf(response: bytes, leaf: bytes, issuer: bytes, now: float) -> OCSPStatus:
    """
    What a response says. UNKNOWN for one that is too old, for another certificate, not signed as it should be, or none.

    @param response: DER of the OCSP response; empty if none was stapled.
    @param leaf: DER of the certificate.
    @param issuer: DER of its issuer's certificate, verified.
    @param now: seconds since the epoch.
    """
    return examine(response, leaf, issuer, now).status


def stapledStatus(response: bytes, chain: Sequence[bytes], now: float) -> OCSPStatus | None:
    """
    What a server's stapled response says about the certificate that came with it; None if there is none, and needn't
    be. Never raises for anything a peer can send.

    @param chain: DER of the server's certificate, its issuer's, and so on, verified.
    @param now: seconds since the epoch.
    """
    if not chain:
        return None
    status = statusOf(response, chain[0], chain[1], now) if response and len(chain) > 1 else None
    if status in (OCSPStatus.GOOD, OCSPStatus.REVOKED) or not mustStaple(chain[0]):
        return status
    return OCSPStatus.MISSING


def mustStaple(leaf: bytes) -> bool:
    """Whether a certificate, DER, says that a response has to be stapled (RFC 7633 section 4)."""
    try:
        features = load(leaf).extensions.get_extension_for_class(x509.TLSFeature).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    return x509.TLSFeatureType.status_request in features


def hasResponder(leaf: bytes) -> bool:
    """Whether a certificate, DER, says where its authority answers by OCSP; many don't any more."""
    try:
        places = load(leaf).extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False
    return any(each.access_method == AuthorityInformationAccessOID.OCSP for each in places)


class StapleRecorder:
    """
    Keeps the responses that servers have stapled; forgets those of connections that are gone.

    C{context.set_ocsp_client_callback(recorder.note)}, and C{connection.request_ocsp()}.
    """

    def __init__(self) -> None:
        self._responses: WeakKeyDictionary[SSL.Connection, bytes] = WeakKeyDictionary()

    def note(self, connection: SSL.Connection, response: bytes, data: object) -> bool:
        """OpenSSL's callback, also if there is no response. Never objects: the verdict comes later."""
        if 0 < len(response) <= MAX_RESPONSE:
            self._responses[connection] = response
        return True

    def of(self, connection: SSL.Connection) -> bytes:
        """The response; empty if there is none."""
        return self._responses.get(connection, b"")


def examine(response: bytes, leaf: bytes, issuer: bytes, now: float) -> Examined:
    """The same as L{statusOf}, with reasons."""
    if not response or len(response) > MAX_RESPONSE:
        return Examined(OCSPStatus.UNKNOWN, "has a size that no response has")
    try:
        return _examine(ocsp.load_der_ocsp_response(response), load(leaf), load(issuer), now)
    except InvalidSignature:
        return Examined(OCSPStatus.UNKNOWN, "isn't signed by the certificate's issuer, nor by its responder")
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        return Examined(OCSPStatus.UNKNOWN, f"can't be used ({error})")


def _examine(response: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate, now: float) -> Examined:
    """The same; raises for what isn't in order."""
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Examined(OCSPStatus.UNKNOWN, "says that the responder had no answer")
    _verify(response, issuer, now)
    single = next((each for each in response.responses if _isAbout(each, leaf, issuer)), None)
    if single is None:
        return Examined(OCSPStatus.UNKNOWN, "is about another certificate")
    until = 0.0 if single.next_update_utc is None else timestamp(single.next_update_utc)
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        # Nobody becomes unrevoked, so an old answer counts too.
        return Examined(OCSPStatus.REVOKED, "says that the certificate is revoked", until)
    if timestamp(single.this_update_utc) > now + SKEW:
        return Examined(OCSPStatus.UNKNOWN, "isn't valid yet", until)
    if now - SKEW > until:
        return Examined(OCSPStatus.UNKNOWN, "is too old" if until else "doesn't say until when it is valid", until)
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        return Examined(OCSPStatus.UNKNOWN, "says that the responder doesn't know the certificate", until)
    return Examined(OCSPStatus.GOOD, until=until)


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
