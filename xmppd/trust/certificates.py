"""
The server's own certificates: C{DOMAIN.pem} files in one folder.

Each file holds the private key, the certificate and the intermediate certificates, in any order. The certificate is
the one that the key belongs to; the chain is then followed from issuer to issuer, and whatever doesn't belong to it is
left out. A root that is there is shown, too: peers that know it by a TLSA record need it (RFC 7671 section 5.2.2). All
that is wrong is found at once and told with file and remedy: what makes a file unusable as L{CertificateError}, what
doesn't as L{Problem}s in L{Certificate.warnings}.

Domains are compared as the ASCII that TLS carries (A-labels, lower case). Looking up a domain prefers its own file,
then a certificate that names it, then a file C{*.PARENT.pem}, then a certificate that names C{*.PARENT}; a wildcard
stands for exactly one label (RFC 9525 section 6.3).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from xmppd.trust.identities import CertificateNames, namesOf

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)

MAX_FILE = 1 << 20
"""No certificate file is larger than this many octets."""

MIN_RSA_BITS = 2048
MIN_CURVE_BITS = 256

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    Something wrong with a file.

    @ivar path: the file or folder.
    @ivar what: what is wrong, as the end of a sentence that begins with the file's name.
    @ivar remedy: what to do about it.
    """

    path: Path
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


class CertificateError(Exception):
    """
    Certificates can't be used.

    @ivar problems: all that is wrong.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        Exception.__init__(self, "\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """
    A certificate of this server, with key and chain.

    @ivar domain: what the file is named after, as ASCII; may begin with "*.".
    @ivar path: the file.
    @ivar chain: the certificate itself, then its issuers, as far as the file has them.
    @ivar key: the private key.
    @ivar notBefore: start of validity, seconds since the epoch.
    @ivar notAfter: end of validity, seconds since the epoch.
    @ivar names: what the certificate is issued for.
    @ivar sha256: SHA-256 of the certificate, hexadecimal.
    @ivar publicKeySHA256: SHA-256 of the SubjectPublicKeyInfo, hexadecimal; the same after a renewal with the same key.
    @ivar warnings: what is wrong without making it unusable.
    """

    domain: str
    path: Path
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)
    notBefore: float
    notAfter: float
    names: CertificateNames
    sha256: str
    publicKeySHA256: str
    warnings: tuple[Problem, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate itself in DER."""
        return self.chain[0].public_bytes(serialization.Encoding.DER)

    def covers(self, domain: str) -> bool:
        """Whether an XMPP client that looks for C{domain} (ASCII) accepts the names (RFC 6120 section 13.7.1.2)."""
        if domain in self.names.dnsNames or domain in map(str.lower, self.names.xmppAddresses):
            return True
        if {f"_xmpp-client.{domain}", f"_xmpp-server.{domain}"}.intersection(self.names.serviceNames):
            return True
        return wildcardFor(domain) in self.names.dnsNames


def asciiDomain(domain: str) -> str:
    """
    A domain as TLS carries it: A-labels, lower case, no dot at the end. A leading "*." stays.

    @raise ValueError: it isn't a domain.
    """
    text = domain.lower().removesuffix(".")
    prefix, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    if not rest.isascii():
        try:
            rest = idna.encode(rest, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"not a domain: {error}") from None
    fits = len(rest) <= 253 and all(0 < len(label) <= 63 for label in rest.split("."))
    if not fits or not re.fullmatch(r"[a-z0-9_.:\[\]-]+", rest):
        raise ValueError("not a domain")
    return prefix + rest


def wildcardFor(domain: str) -> str:
    """The wildcard that stands for C{domain}: its first label replaced."""
    return "*." + domain.partition(".")[2]


def findCertificate(certificates: Mapping[str, Certificate], domain: str) -> Certificate | None:
    """
    The certificate to show for a domain, or None. Costs a scan of all certificates when no file is named after it.

    @param certificates: what L{loadCertificates} answers.
    @param domain: the domain in any form; nonsense finds nothing.
    """
    try:
        name = asciiDomain(domain)
    except ValueError:
        return None
    wildcard = wildcardFor(name)
    return (
        certificates.get(name)
        or _naming(certificates, name)
        or certificates.get(wildcard)
        or _naming(certificates, wildcard)
    )


def _naming(certificates: Mapping[str, Certificate], name: str) -> Certificate | None:
    """The first certificate that has C{name} among its DNS names."""
    return next((each for each in certificates.values() if name in each.names.dnsNames), None)


def loadCertificates(folder: Path, now: float) -> Mapping[str, Certificate]:
    """
    Load every C{DOMAIN.pem} of a folder. Hidden files and other suffixes are ignored.

    @param now: the time, in seconds since the epoch.
    @return: certificates by domain (ASCII), in the order of the names.
    @raise CertificateError: the folder or a file can't be used; says all that is wrong in all of them.
    """
    certificates: dict[str, Certificate] = {}
    problems: list[Problem] = []
    for _, loaded in loadEach(folder, now):
        if isinstance(loaded, CertificateError):
            problems.extend(loaded.problems)
        else:
            certificates[loaded.domain] = loaded
    if problems:
        raise CertificateError(problems)
    return certificates


def loadEach(folder: Path, now: float) -> Iterator[tuple[Path, Certificate | CertificateError]]:
    """
    Every C{DOMAIN.pem} of a folder in the order of the names, and what it holds or why it can't be used.

    @raise CertificateError: the folder can't be read.
    """
    for path in _files(folder):
        try:
            yield path, loadCertificate(path, now)
        except CertificateError as error:
            yield path, error


def _files(folder: Path) -> list[Path]:
    """The certificate files of a folder, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".pem" and path.name[0] != ".")
    except OSError as error:
        problem = Problem(folder, f"can't be read ({error.strerror})", "name a folder of DOMAIN.pem files")
        raise CertificateError([problem]) from None


def loadCertificate(path: Path, now: float, domain: str | None = None) -> Certificate:
    """
    Load one file.

    @param domain: what it is for; by default its name without C{.pem}.
    @raise CertificateError: it can't be used.
    """
    domain = domain or _domainOf(path)
    data, mode = _read(path)
    blocks = _blocks(data)
    key = _onlyKey(path, [block for label, block in blocks if label.endswith(b"PRIVATE KEY")])
    _checkStrength(path, key)
    chain = _chain(path, key, [block for label, block in blocks if label == b"CERTIFICATE"])
    leaf = chain[0]
    names = namesOf(leaf)
    certificate = Certificate(
        domain,
        path,
        chain,
        key,
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
        names,
        leaf.fingerprint(hashes.SHA256()).hex(),
        _publicKeySHA256(leaf),
    )
    return replace(certificate, warnings=_warnings(certificate, mode, now))


def certificatesIn(path: Path) -> list[x509.Certificate]:
    """
    All certificates of a file that can be read, in its order, whether they belong together or not.

    @raise CertificateError: the file can't be read.
    """
    certificates = []
    for label, block in _blocks(_read(path)[0]):
        try:
            certificates += [x509.load_pem_x509_certificate(block)] if label == b"CERTIFICATE" else []
        except (ValueError, TypeError):
            continue
    return certificates


def _blocks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The blocks of a PEM file: of each its label, and all of it."""
    return [(match.group(1), match.group(0)) for match in _BLOCK.finditer(data)]


def _failure(path: Path, what: str, remedy: str) -> CertificateError:
    """An error with one problem."""
    return CertificateError([Problem(path, what, remedy)])


def _domainOf(path: Path) -> str:
    """The domain that a file is named after."""
    try:
        return asciiDomain(path.name.removesuffix(".pem"))
    except ValueError:
        raise _failure(path, "isn't named after a domain", "name it DOMAIN.pem or move it out of the folder") from None


def _read(path: Path) -> tuple[bytes, int]:
    """Content and permission bits of a file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        remedy = "let the server's user read it"
        raise _failure(path, f"can't be read ({error.strerror})", remedy) from None
    if len(data) > MAX_FILE:
        raise _failure(path, "is too large for a certificate", "put one key, one certificate and its chain in it")
    return data, stat.S_IMODE(mode)


def _onlyKey(path: Path, blocks: Sequence[bytes]) -> PrivateKey:
    """The one private key of a file."""
    if not blocks:
        raise _failure(path, "has no private key", f"append the key: cat privkey.pem >> {path.name}")
    if len(blocks) > 1:
        raise _failure(path, "has more than one private key", "keep only the one of the certificate")
    if b"ENCRYPTED" in blocks[0]:
        raise _failure(path, "has an encrypted private key", "decrypt it: openssl pkey -in FILE -out FILE")
    try:
        key = serialization.load_pem_private_key(blocks[0], None)
    except Exception:
        # Whatever the library says could quote the key, and there are many ways to be no key.
        raise _failure(path, "has a damaged private key", "copy it again from where it was made") from None
    if not isinstance(key, PrivateKey):
        raise _failure(path, "has a private key of a kind TLS doesn't use", "use an ECDSA P-256 key")
    return key


def _checkStrength(path: Path, key: PrivateKey) -> None:
    """Refuse keys below RFC 9325 section 4.5: RSA under 2048 bits, curves under 256."""
    remedy = "make a new one: ECDSA P-256 or RSA with 2048 bits and more"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise _failure(path, f"has a weak RSA key of {key.key_size} bits", remedy)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size < MIN_CURVE_BITS:
        raise _failure(path, f"has a weak key on {key.curve.name}", remedy)


def _chain(path: Path, key: PrivateKey, blocks: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """The key's certificate and its issuers as far as the file has them."""
    if not blocks:
        raise _failure(path, "has no certificate", f"put the chain in it: cat fullchain.pem >> {path.name}")
    try:
        certificates = [x509.load_pem_x509_certificate(block) for block in blocks]
        own = [each for each in certificates if _samePublicKey(each, key)]
    except (ValueError, TypeError) as error:
        raise _failure(path, f"has a damaged certificate ({error})", "copy it again from its issuer") from None
    if not own:
        raise _failure(path, "has a key that belongs to none of its certificates", "pair the key with its certificate")
    # After a renewal with the same key both may be there: the one that lasts longest.
    leaf = max(own, key=lambda each: each.not_valid_after_utc)
    return _follow(leaf, [each for each in certificates if each not in own])


def _follow(leaf: x509.Certificate, others: list[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The leaf and then issuer after issuer, up to a root."""
    chain = [leaf]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((each for each in others if _issued(each, chain[-1])), None)
        if issuer is None:
            break
        others.remove(issuer)
        chain.append(issuer)
    return tuple(chain)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether one certificate signed another."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        # Another name, another signature, a key of a kind that can't sign: all mean no.
        return False
    return True


def _samePublicKey(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether a certificate is for a key."""
    return _spki(certificate.public_key()) == _spki(key.public_key())


def _spki(key: object) -> bytes:
    """A public key as SubjectPublicKeyInfo."""
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _publicKeySHA256(certificate: x509.Certificate) -> str:
    """Hexadecimal SHA-256 of the SubjectPublicKeyInfo."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(_spki(certificate.public_key()))
    return digest.finalize().hex()


def _warnings(certificate: Certificate, mode: int, now: float) -> tuple[Problem, ...]:
    """All that is wrong with a usable certificate."""
    found: list[tuple[str, str]] = []
    if certificate.notAfter < now:
        found.append(("has expired", "renew it: clients refuse it"))
    if certificate.notBefore > now:
        found.append(("isn't valid yet", "check the server's clock, or wait"))
    if not _coversName(certificate):
        found.append((f"doesn't name {certificate.domain}", "have one issued that does: clients refuse it"))
    if mode & stat.S_IROTH:
        found.append(("can be read by everybody", f"chmod o-rwx {certificate.path}"))
    return tuple(Problem(certificate.path, what, remedy) for what, remedy in found)


def _coversName(certificate: Certificate) -> bool:
    """Whether the certificate names what its file is named after."""
    if certificate.domain.startswith("*."):
        return certificate.domain in certificate.names.dnsNames
    return certificate.covers(certificate.domain)
