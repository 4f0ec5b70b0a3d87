"""
What can be read in anybody's certificate: names, validity, key, signature, fingerprints; and what is too weak in it.

A peer's certificate is whatever the peer sends, so everything here copes with anything: bytes that are no certificate
raise C{ValueError}, a part that can't be read is C{None} or empty, and a key nobody knows counts as weak.
"""

from __future__ import annotations

import datetime
import hashlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from xmppd.trust.identities import CertificateNames, namesOf

MAX_CERTIFICATE = 1 << 16
"""No certificate that we look at has more octets than this."""

MIN_RSA_BITS = 2048
"""RFC 9325 section 4.5."""

MIN_CURVE_BITS = 256
"""Where an elliptic curve gives 128 bits of security (RFC 9325 section 4.5)."""

WEAK_HASHES = ("md5", "sha1")
"""Hash algorithms with which nothing may be signed (RFC 9325 section 4.5)."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """
    A certificate as people look at it.

    @ivar subject: RFC 4514 text, as the certificate has it.
    @ivar issuer: RFC 4514 text, as the certificate has it.
    @ivar serial: hexadecimal.
    @ivar notBefore: start of validity, seconds since the epoch.
    @ivar notAfter: end of validity, seconds since the epoch.
    @ivar names: what it is issued for.
    @ivar key: "RSA", "ECDSA secp256r1", "Ed25519" and so on; "unknown" if it can't be read.
    @ivar keyBits: size of the key; 0 if it can't be read.
    @ivar signatureHash: "sha256"; empty for signatures that have none, as Ed25519.
    @ivar sha256: SHA-256 of the certificate, hexadecimal.
    @ivar publicKeySHA256: SHA-256 of the SubjectPublicKeyInfo, hexadecimal; the same after a renewal with the same key.
    @ivar selfIssued: whether issuer and subject are the same.
    """

    subject: str
    issuer: str
    serial: str
    notBefore: float
    notAfter: float
    names: CertificateNames
    key: str
    keyBits: int
    signatureHash: str
    sha256: str
    publicKeySHA256: str
    selfIssued: bool


def load(der: bytes) -> x509.Certificate:
    """
    A certificate from DER.

    @raise ValueError: too long, or no certificate.
    """
    if len(der) > MAX_CERTIFICATE:
        raise ValueError("too long for a certificate")
    try:
        return x509.load_der_x509_certificate(der)
    except (UnsupportedAlgorithm, TypeError, x509.InvalidVersion) as error:
        raise ValueError(f"no certificate: {error}") from None


def factsOf(der: bytes) -> CertificateFacts:
    """
    The facts of a certificate in DER.

    @raise ValueError: these aren't the bytes of a certificate.
    """
    certificate = load(der)
    key, bits = keyOf(certificate)
    subject, issuer = nameText(certificate, "subject"), nameText(certificate, "issuer")
    return CertificateFacts(
        subject,
        issuer,
        f"{certificate.serial_number:x}",
        timestamp(certificate.not_valid_before_utc),
        timestamp(certificate.not_valid_after_utc),
        namesOf(certificate),
        key,
        bits,
        signatureHash(certificate),
        hashlib.sha256(der).hexdigest(),
        hashlib.sha256(publicKeyInfo(certificate)).hexdigest(),
        subject == issuer,
    )


def chainFacts(chain: Iterable[bytes]) -> list[CertificateFacts]:
    """The facts of all certificates in a chain that can be read, in its order."""
    facts = []
    for der in chain:
        try:
            facts.append(factsOf(der))
        except ValueError:
            continue
    return facts


def toPEM(chain: Iterable[bytes]) -> bytes:
    """Certificates in DER as PEM, one after the other, whatever is in them (RFC 7468 section 5.1)."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, chain)).encode("ascii")


def fromPEM(text: bytes) -> tuple[bytes, ...]:
    """
    The reverse of L{toPEM}.
    """
    ends = text.decode("ascii").split(ssl.PEM_FOOTER)[:-1]
    return tuple(ssl.PEM_cert_to_DER_cert(f"{each.strip()}\n{ssl.PEM_FOOTER}") for each in ends)


def timestamp(when: datetime.datetime) -> float:
    """Seconds since the epoch; certificates say 9999 for "never", which all platforms can count."""
    return (when - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds()


def nameText(certificate: x509.Certificate, which: str) -> str:
    """The subject or the issuer as text; empty if it can't be read."""
    try:
        return str(getattr(certificate, which).rfc4514_string())
    except (ValueError, TypeError, AttributeError):
        return ""


def publicKeyInfo(certificate: x509.Certificate) -> bytes:
    """
    The SubjectPublicKeyInfo in DER, byte for byte as the certificate has it, whatever kind of key it is.

    @raise ValueError: the certificate can't be taken apart.
    """
    try:
        return certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # A kind of key that the library doesn't know: find it in the bytes.
        return _publicKeyInfoBytes(certificate.tbs_certificate_bytes)


def _publicKeyInfoBytes(tbs: bytes) -> bytes:
    """The SubjectPublicKeyInfo inside a TBSCertificate (RFC 5280 section 4.1): the sixth field after version."""
    position, end = _element(tbs, 0, len(tbs))
    if tbs[position:end].startswith(b"\xa0"):
        position = _element(tbs, position, end)[1]
    for _ in range(5):  # serialNumber, signature, issuer, validity, subject
        position = _element(tbs, position, end)[1]
    return tbs[position : _element(tbs, position, end)[1]]


def publicKeyBits(certificate: x509.Certificate) -> bytes:
    """
    The content of the SubjectPublicKeyInfo's bit string, which OCSP names an issuer by (RFC 6960 section 4.1.1).

    @raise ValueError: the certificate can't be taken apart.
    """
    info = publicKeyInfo(certificate)
    position, end = _element(info, 0, len(info))
    content, after = _element(info, _element(info, position, end)[1], end)
    if after != end or content == after or info[content] != 0:
        raise ValueError("no public key")
    return info[content + 1 : end]


def _element(data: bytes, start: int, limit: int) -> tuple[int, int]:
    """
    Where the content of the DER element at C{start} begins and ends.

    @raise ValueError: there is none.
    """
    if start + 2 > limit:
        raise ValueError("truncated")
    length, content = data[start + 1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[content : content + octets], "big")
        content += octets
    if content + length > limit:
        raise ValueError("truncated")
    return content, content + length


def keyOf(certificate: x509.Certificate) -> tuple[str, int]:
    """Kind and size of a certificate's key; "unknown" and 0 if it can't be read."""
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unknown", 0
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}", key.curve.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256
    if isinstance(key, ed448.Ed448PublicKey):
        return "Ed448", 448
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return "unknown", 0


def signatureHash(certificate: x509.Certificate) -> str:
    """Name of the hash under a certificate's signature; empty if it has none, "unknown" if it can't be told."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    return "" if algorithm is None else algorithm.name


def keyWeakness(certificate: x509.Certificate) -> str | None:
    """Why a certificate's key is too weak (RFC 9325 section 4.5), in words, or None."""
    kind, bits = keyOf(certificate)
    if kind == "unknown":
        return "a key of an unknown kind"
    if kind == "DSA":
        return "a DSA key, which TLS doesn't use any more"
    if kind == "RSA" and bits < MIN_RSA_BITS:
        return f"an RSA key of {bits} bits, less than {MIN_RSA_BITS}"
    if kind.startswith("ECDSA") and bits < MIN_CURVE_BITS:
        return f"a key on {kind.removeprefix('ECDSA ')}, a curve of less than {MIN_CURVE_BITS} bits"
    return None


def signatureWeakness(certificate: x509.Certificate) -> str | None:
    """Why the signature under a certificate is too weak (RFC 9325 section 4.5), in words, or None."""
    name = signatureHash(certificate)
    if name == "unknown":
        return "a signature of an unknown kind"
    return f"a signature with {name.upper()}" if name in WEAK_HASHES else None


def fullWeakness(certificate: x509.Certificate, signed: bool = True) -> str | None:
    """
    What of a certificate is too weak, in words, or None.

    @param signed: whether its signature matters; that of a trust anchor, or of what a record names, doesn't.
    """
    return keyWeakness(certificate) or (signatureWeakness(certificate) if signed else None)


def shown(text: str, limit: int = 200) -> str:
    """A peer's text as one harmless line for people: nothing that a terminal takes for a command, and not too long."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in text)


def shownNames(names: CertificateNames, most: int = 8) -> str:
    """The names of a certificate as a list for people, without doubles."""
    services = [name.partition(".")[2] for name in names.serviceNames]
    every: Sequence[str] = list(dict.fromkeys([*names.dnsNames, *names.xmppAddresses, *services]))
    listed = ", ".join(shown(each, 100) for each in every[:most])
    return f"{listed} and {len(every) - most} more" if len(every) > most else listed or "nobody"


def shownTime(seconds: float) -> str:
    """A time as people and ISO 8601 write it, in UTC."""
    try:
        when = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    except OverflowError:
        return "never"
    return when.strftime("%Y-%m-%d %H:%M UTC")
