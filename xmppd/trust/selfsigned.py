"""
Certificates signed by themselves, for the demo and for tests. Nobody should trust them anywhere else.
"""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from xmppd.trust.certificates import asciiDomain
from xmppd.trust.identities import serviceName, xmppAddress


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

    @param now: the time, in seconds since the epoch; validity begins an hour before, for clocks that are slow.
    @param days: how long it is valid.
    @raise OSError: the file can't be written.
    @raise ValueError: no domain, or something that is none.
    """
    names = [asciiDomain(domain) for domain in domains]
    if not names:
        raise ValueError("a certificate needs a domain")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + _sign(names, key, now, days).public_bytes(serialization.Encoding.PEM)
    path = folder / f"{names[0]}.pem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _writeAtomically(path, pem)
    return path


def _sign(names: Sequence[str], key: ec.EllipticCurvePrivateKey, now: float, days: int) -> x509.Certificate:
    """The certificate, without the key."""
    # A common name has at most 64 characters, and nobody looks at it.
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(hours=1))
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    """DNS names for all; SRV names and XMPP addresses for those that aren't wildcards."""
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    for name in names:
        if not name.startswith("*."):
            alternatives += [serviceName("xmpp-client", name), serviceName("xmpp-server", name), xmppAddress(name)]
    return alternatives


def _writeAtomically(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 beside its place, then move it there."""
    # mkstemp makes the file with mode 0600, so that the key is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
