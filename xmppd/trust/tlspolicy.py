"""
What TLS may be: the policy as data, OpenSSL contexts made from it, and the facts of a finished handshake.

Follows RFC 9325 (BCP 195), which RFC 7590 takes in for XMPP: TLS 1.2 and 1.3 (section 3.1), forward secrecy with
authenticated encryption only (4.2), no compression (3.3), no renegotiation (3.5), no early data (3.10; OpenSSL takes
none unless told to), tickets with a bounded life (3.4). A context of pyOpenSSL can't be changed once it has made a
connection, so everything is set here, before.

Client certificates
===================

They are asked for only if the policy names authorities, and never demanded: a handshake doesn't fail for a certificate
that can't be verified; instead the failure is noted (L{peerVerified}), and SASL EXTERNAL isn't offered. One error is no
failure: "unsuitable certificate purpose" at the certificate itself, since public authorities have stopped issuing
certificates for clients. OpenSSL doesn't ask again about the certificate of a resumed session, so such contexts don't
resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL, crypto

from xmppd.ixmppd import TLSFacts
from xmppd.trust.certificates import Certificate, CertificateError, Problem
from xmppd.trust.openssl import OP_PRIORITIZE_CHACHA, hasExtendedMasterSecret, setGroups, setSignatures, wasResumed

EXPORTER_LABEL = b"EXPORTER-Channel-Binding"
EXPORTER_LENGTH = 32

_INVALID_PURPOSE = 26
_OP_NO_RENEGOTIATION = 1 << 30


@dataclass(frozen=True, slots=True)
class TLSPolicy:
    """
    What TLS may be.

    @ivar suites12: cipher suites of TLS 1.2, by OpenSSL's names, in the order of preference.
    @ivar suites13: cipher suites of TLS 1.3, in the order of preference.
    @ivar groups: groups for key exchange, in the order of preference.
    @ivar signatures: signature algorithms for handshakes, in the order of preference; "?" before one that older
        OpenSSLs don't know. None with SHA-1 (RFC 9325 section 4.5, RFC 9155).
    @ivar ticketLife: how long a session can be resumed, in seconds.
    @ivar contextLife: how long contexts, and with them the keys that encrypt tickets, are used, in seconds.
    @ivar clientAuthorities: file of the authorities whose client certificates are asked for, or None: not asked for.
    """

    suites12: Sequence[str] = (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
    suites13: Sequence[str] = (
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    )
    groups: Sequence[str] = ("X25519MLKEM768", "X25519", "P-256", "P-384")
    signatures: Sequence[str] = (
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "ecdsa_secp521r1_sha512",
        "ed25519",
        "ed448",
        "rsa_pss_rsae_sha256",
        "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512",
        "rsa_pss_pss_sha256",
        "rsa_pss_pss_sha384",
        "rsa_pss_pss_sha512",
        "rsa_pkcs1_sha256",
        "rsa_pkcs1_sha384",
        "rsa_pkcs1_sha512",
        "?mldsa44",
        "?mldsa65",
        "?mldsa87",
    )
    ticketLife: int = 2 * 3600
    contextLife: float = 12 * 3600
    clientAuthorities: Path | None = None


def serverContext(certificate: Certificate, policy: TLSPolicy) -> SSL.Context:
    """
    A context that serves with C{certificate}. ALPN and SNI callbacks can still be added.

    @raise OpenSSL.SSL.Error: OpenSSL refuses the certificate or the policy.
    @raise CertificateError: there are no client authorities where the policy names some.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _applyPolicy(context, policy)
    context.use_certificate(certificate.chain[0])
    context.use_privatekey(certificate.key)
    context.check_privatekey()
    for issuer in certificate.chain[1:]:
        context.add_extra_chain_cert(issuer)
    # A session made under one certificate isn't resumed under another.
    context.set_session_id(bytes.fromhex(certificate.sha256))
    if policy.clientAuthorities is not None:
        _askForCertificates(context, policy.clientAuthorities)
    return context


def clientContext(certificate: Certificate | None, policy: TLSPolicy) -> SSL.Context:
    """
    A context that connects to other servers, and shows C{certificate} to those that ask. What to verify, and ALPN, can
    still be added.

    @raise OpenSSL.SSL.Error: OpenSSL refuses the certificate or the policy.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    _applyPolicy(context, policy)
    if certificate is not None:
        context.use_certificate(certificate.chain[0])
        context.use_privatekey(certificate.key)
        context.check_privatekey()
        for issuer in certificate.chain[1:]:
            context.add_extra_chain_cert(issuer)
    return context


def _applyPolicy(context: SSL.Context, policy: TLSPolicy) -> None:
    """Versions, suites, groups, options, modes."""
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(0)
    context.set_cipher_list(":".join(policy.suites12).encode("ascii"))
    context.set_tls13_ciphersuites(":".join(policy.suites13).encode("ascii"))
    setGroups(context, ":".join(f"?{name}" for name in policy.groups))
    setSignatures(context, ":".join(policy.signatures))
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | getattr(SSL, "OP_NO_RENEGOTIATION", _OP_NO_RENEGOTIATION)
        | OP_PRIORITIZE_CHACHA
    )
    # An idle connection would otherwise hold two buffers of the size of the largest record: 32 KiB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Tickets keep the state at the client; a cache would keep it here.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_timeout(policy.ticketLife)


def _askForCertificates(context: SSL.Context, authorities: Path) -> None:
    """
    Ask for client certificates and note whether they are any good.

    @raise CertificateError: there are no authorities in the file, or it can't be read.
    """
    try:
        context.load_verify_locations(str(authorities))
        context.load_client_ca(str(authorities).encode())
    except SSL.Error:
        remedy = "write the certificates of those who vouch for clients there, in PEM"
        raise CertificateError([Problem(authorities, "has no certificates, or can't be read", remedy)]) from None
    context.set_options(SSL.OP_NO_TICKET)
    context.set_verify(SSL.VERIFY_PEER, _noteVerification)


_verifications: WeakKeyDictionary[SSL.Connection, bool] = WeakKeyDictionary()
"""For connections whose peer offered a certificate: whether every step of verification so far has succeeded."""


def _noteVerification(connection: SSL.Connection, certificate: Any, error: int, depth: int, ok: int) -> bool:
    """OpenSSL's verify callback: called for each error and for each certificate that passed; never objects."""
    good = bool(ok) or (error == _INVALID_PURPOSE and depth == 0)
    _verifications[connection] = good and _verifications.get(connection, True)
    return True


def peerVerified(connection: SSL.Connection) -> bool:
    """Whether the peer offered a certificate that chains to a trusted authority."""
    return _verifications.get(connection, False)


# --- what a handshake came to -------------------------------------------------------------------------------------


def tlsFacts(connection: SSL.Connection, certificateDER: bytes | None = None) -> TLSFacts:
    """
    The facts of a connection whose handshake is complete.

    @param certificateDER: the certificate that was shown to the peer; by default the connection is asked for it.
    """
    if certificateDER is None:
        own = connection.get_certificate(as_cryptography=True)
        certificateDER = b"" if own is None else own.public_bytes(serialization.Encoding.DER)
    # As it came: cryptography refuses to read some that OpenSSL takes.
    peer = connection.get_peer_certificate()
    serverName = connection.get_servername()
    return TLSFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        channelBindings=channelBindings(connection, certificateDER),
        peerCertificate=None if peer is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, peer),
        peerVerified=peer is not None and peerVerified(connection),
        serverName=None if serverName is None else serverName.decode("ascii", "replace"),
        alpn=connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None,
    )


def channelBindings(connection: SSL.Connection, certificateDER: bytes) -> dict[str, bytes]:
    """
    Channel binding data by name, for the server's side of a connection: those that are sound on this connection.
    """
    version = connection.get_protocol_version()
    bindings: dict[str, bytes] = {}
    if version >= SSL.TLS1_3_VERSION or hasExtendedMasterSecret(connection):
        # RFC 9266 section 2: a context of length zero. Up to TLS 1.2 that isn't the same as no context.
        bindings["tls-exporter"] = connection.export_keying_material(EXPORTER_LABEL, EXPORTER_LENGTH, b"")
    endPoint = serverEndPoint(certificateDER)
    if endPoint is not None:
        bindings["tls-server-end-point"] = endPoint
    unique = _unique(connection) if version < SSL.TLS1_3_VERSION else None
    if unique:
        bindings["tls-unique"] = unique
    return bindings


def _unique(connection: SSL.Connection) -> bytes | None:
    """
    The first Finished message of the latest handshake (RFC 5929 section 3): the client's in a full handshake, ours in
    an abbreviated one. Without the extended master secret it can be the same on two connections (RFC 7627 section 1).
    """
    resumed = wasResumed(connection)
    if resumed is None or not hasExtendedMasterSecret(connection):
        return None
    return connection.get_finished() if resumed else connection.get_peer_finished()


@lru_cache(maxsize=256)
def serverEndPoint(certificateDER: bytes) -> bytes | None:
    """
    The hash of a certificate by its signature's hash algorithm, SHA-256 in place of MD5 and SHA-1 (RFC 5929 section
    4.1); None where that names none, as for Ed25519.
    """
    if not certificateDER:
        return None
    try:
        algorithm = x509.load_der_x509_certificate(certificateDER).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        return hashlib.sha256(certificateDER).digest()
    digest = hashes.Hash(algorithm)
    digest.update(certificateDER)
    return digest.finalize()


def alpnSelector(protocols: Sequence[bytes]) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    """
    A callback for L{SSL.Context.set_alpn_select_callback}: takes the first of C{protocols} that the client offers; if
    there is none the handshake ends with the fatal alert no_application_protocol(120) (RFC 7301 section 3.2). OpenSSL
    doesn't call it for a client that offers nothing.
    """

    def select(connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in protocols:
            if protocol in offered:
                return protocol
        # The library turns any exception into that alert and raises it again from do_handshake, where only an Error
        # of this form is taken for a failed handshake.
        raise SSL.Error([("SSL routines", "", "no application protocol")])

    return select
