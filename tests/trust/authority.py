"""
Certificates of every kind for tests: a root, an intermediate, and whatever they are asked to sign.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

NOW = 1_900_000_000.0
"""The time in tests; well after today, so that nothing depends on today."""

DAY = 86_400.0

ALWAYS = 4_000_000_000.0
"""A time that won't come, for what OpenSSL compares with the real time."""


def name(common: str) -> x509.Name:
    """A distinguished name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def curveKey(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A key on P-256 or another curve."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsaKey(bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key."""
    return rsa.generate_private_key(65537, bits)


def keyPEM(key: Any, password: bytes | None = None) -> bytes:
    """A private key as PEM."""
    encryption: Any = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as PEM."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def der(certificate: x509.Certificate) -> bytes:
    """A certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


class Authority:
    """Signs certificates."""

    def __init__(self, common: str, parent: Authority | None = None) -> None:
        self.name = name(common)
        self.key = curveKey()
        self.certificate = (parent or self).sign(self.key, subject=self.name, ca=True, start=0, end=ALWAYS)

    def sign(
        self,
        key: Any,
        names: Sequence[x509.GeneralName] = (),
        *,
        subject: x509.Name | None = None,
        ca: bool = False,
        start: float = NOW - DAY,
        end: float = NOW + DAY,
        usages: Sequence[x509.ObjectIdentifier] = (),
        algorithm: Any = None,
    ) -> x509.Certificate:
        """A certificate for a key."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or name("leaf"))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime.fromtimestamp(start, datetime.UTC))
            .not_valid_after(datetime.datetime.fromtimestamp(end, datetime.UTC))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, algorithm or hashes.SHA256())

    def write(self, folder: Path, domain: str, *names: str, key: Any = None, **options: Any) -> Path:
        """Write C{DOMAIN.pem} with a certificate for the DNS names (the domain itself if there are none)."""
        key = key or curveKey()
        leaf = self.sign(key, [x509.DNSName(each) for each in names or (domain,)], **options)
        path = folder / f"{domain}.pem"
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)
        return path


SERVER_ONLY = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT_ONLY = (ExtendedKeyUsageOID.CLIENT_AUTH,)
