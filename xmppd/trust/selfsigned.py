"""
Keys, certificates signed by themselves, and requests to have one signed by an authority.

All of them name a domain in every way in which clients and servers look for it (RFC 6120 section 13.7.1.2): as DNS-ID,
as SRV-ID of both services, and as XMPP address; and say that the key is for both ends of TLS, since a server calls
others, too. A certificate signed by itself is known by nobody: it is for the demo, for tests, and for who publishes it
by DANE or POSH.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from xmppd.trust.certificates import asciiDomain
from xmppd.trust.identities import serviceName, xmppAddress

NewKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

RSA_BITS = 3072
"""The size of RSA keys that are made: 128 bits of security, as P-256 has (RFC 9325 section 4.1)."""

MOST_NAMES = 100
"""Of how many domains a certificate is made; public authorities sign no more."""


class KeyKind(StrEnum):
    """Which key to make."""

    EC = "ec"
    RSA = "rsa"


def makeCertificates(domains: Sequence[str], folder: Path, now: float, days: int = 90) -> list[Path]:
    """
    One certificate for each domain, each in its own C{DOMAIN.pem}.

    @param now: the time, in seconds since the epoch.
    """
    return [makeCertificate([domain], folder, now, days) for domain in domains]


def makeCertificate(domains: Sequence[str], folder: Path, now: float, days: int = 90) -> Path:
    """
    Make a P-256 key and a certificate for all of C{domains}, and write both to C{DOMAIN.pem}, named after the first.

    The file appears whole or not at all, readable by its owner only. The folder is made if it isn't there.

    @param now: the time, in seconds since the epoch.
    @param days: how long it is valid.
    @raise OSError: the file can't be written.
    @raise ValueError: no domain, or something that is none.
    """
    names = namesFor(domains)
    key = newKey(KeyKind.EC)
    path = folder / f"{names[0]}.pem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    writePrivately(path, keyPEM(key) + pemOf(signedByItself(names, key, now, days)), replace=True)
    return path


def namesFor(domains: Sequence[str]) -> tuple[str, ...]:
    """
    Domains as ASCII, each once.

    @raise ValueError: there is none, there are too many, or something is none.
    """
    names = tuple(dict.fromkeys(asciiDomain(domain) for domain in domains))
    if not names:
        raise ValueError("a certificate needs a domain")
    if len(names) > MOST_NAMES:
        raise ValueError(f"more than {MOST_NAMES} domains")
    return names


def newKey(kind: KeyKind) -> NewKey:
    """A key: ECDSA on P-256, or RSA."""
    if kind is KeyKind.RSA:
        return rsa.generate_private_key(65537, RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def keyPEM(key: NewKey) -> bytes:
    """A key as PEM, not encrypted."""
    encoding, format = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, format, serialization.NoEncryption())


def pemOf(signed: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """A certificate, or a request for one, as PEM."""
    return signed.public_bytes(serialization.Encoding.PEM)


def signedByItself(names: Sequence[str], key: NewKey, now: float, days: int) -> x509.Certificate:
    """
    A certificate for domains (ASCII) that its own key has signed.

    @param now: seconds since the epoch; validity begins an hour before, for clocks that are slow.
    """
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(names))
        .issuer_name(_subject(names))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(hours=1))
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    certificate: x509.Certificate = _described(builder, names).sign(key, hashes.SHA256())
    return certificate


def signingRequest(names: Sequence[str], key: NewKey) -> x509.CertificateSigningRequest:
    """What an authority is given to have it sign a certificate for domains (ASCII)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(names))
    request: x509.CertificateSigningRequest = _described(builder, names).sign(key, hashes.SHA256())
    return request


def _subject(names: Sequence[str]) -> x509.Name:
    """The subject: a common name has at most 64 characters, and nobody looks at it."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])


def _described(builder: Any, names: Sequence[str]) -> Any:
    """What a certificate is for, added to it or to a request."""
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        builder.add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usages, critical=False)
    )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    """DNS names for all; SRV names and XMPP addresses for those that aren't wildcards."""
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    for name in names:
        if not name.startswith("*."):
            alternatives += [serviceName("xmpp-client", name), serviceName("xmpp-server", name), xmppAddress(name)]
    return alternatives


def writePrivately(
    path: Path, data: bytes, replace: bool, owner: tuple[int, int] | None = None, mode: int = 0o600
) -> None:
    """
    Write a file beside its place, then move it there: it appears whole or not at all.

    @param replace: whether it may take the place of another.
    @param owner: user and group that get it; None: who writes it.
    @raise FileExistsError: there is another that may not be replaced.
    @raise OSError: it can't be written.
    """
    # mkstemp makes the file with mode 0600, so that the key is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # which fails if something is there
            os.unlink(temporary)
    except BaseException:
        os.unlink(temporary)
        raise
