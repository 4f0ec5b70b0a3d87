"""
The PKIX prooftype: a chain to a trusted authority, and a name in the certificate that is the domain's (RFC 6120 section
13.7, RFC 9525, RFC 7712 section 4, XEP-0178).

Theory of operation. OpenSSL builds and checks the chain during the handshake. It is never let abort the handshake: its
verify callback, L{VerificationRecorder.note}, writes down the chain and every error and says yes, since a stream whose
certificate fails may still be proved otherwise (DANE, POSH, dialback). What was written down is a L{Verification};
L{provePKIX} judges it later, as often as needed, for as many domains as come over the stream.

One error is tolerated: "unsuitable certificate purpose". Public authorities have stopped to put the clientAuth usage
into certificates and intermediates, and a server that connects is a client to TLS. A certificate that has usages must
still have that of a TLS server or client, or the one that means any.

Names. Of a server's certificate these count, and never the common name (RFC 9525 section 2):

 - xmppAddr (RFC 6120 section 13.7.1.4) without localpart and resource, compared as domains;
 - SRV-ID (RFC 4985) with the service asked for, without wildcards;
 - DNS-ID, where C{*} may be the whole left-most label, stands for exactly one label (RFC 9525 section 6.3), and isn't
   directly below a top-level domain.

Domains are compared as A-labels in lower case. If an authority in the chain may issue for some names only, no more than
DNS-IDs count: its constraints are on those, and OpenSSL lets pass all names of other kinds (RFC 5280 section 4.2.1.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto

from xmppd.trust.certificatefacts import (
    keyWeakness,
    load,
    nameText,
    shown,
    shownNames,
    shownTime,
    signatureWeakness,
    timestamp,
)
from xmppd.trust.certificates import asciiDomain, wildcardFor
from xmppd.trust.identities import CertificateNames, namesOf
from xmppd.trust.ocsp import OCSPStatus
from xmppd.trust.verdict import Proof, Prooftype, failed, held
from xmppd.wire.jid import JIDMalformed, parse

SERVER: Final = "xmpp-server"
"""The service of SRV names between servers."""

CLIENT: Final = "xmpp-client"
"""The service of SRV names that clients look for."""

MAX_CHAIN: Final = 12
"""Certificates further from the leaf aren't written down; a chain that long isn't accepted."""

MAX_OTHER_NAMES: Final = 64
"""How many names of each kind but DNS-ID are looked at."""

MAX_ERRORS: Final = 64
"""How many errors are written down."""


# --- what OpenSSL found -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verification:
    """
    What OpenSSL found while it verified a peer's chain.

    @ivar chain: DER of the certificates as OpenSSL has ordered them: the peer's, its issuer, and so on up to the trust
        anchor if there is one. Empty: no certificate was shown, or nothing was verified.
    @ivar errors: code (C{X509_V_ERR_...}) and depth of every error, in the order of their appearance.
    """

    chain: tuple[bytes, ...] = ()
    errors: tuple[tuple[int, int], ...] = ()


class VerificationRecorder:
    """
    Collects the verifications of many connections; forgets those of connections that are gone.

    C{context.set_verify(SSL.VERIFY_PEER, recorder.note)}. OpenSSL doesn't verify again when a session is resumed, so
    contexts that use it must not resume sessions.
    """

    def __init__(self) -> None:
        self._notes: WeakKeyDictionary[SSL.Connection, tuple[dict[int, bytes], list[tuple[int, int]]]]
        self._notes = WeakKeyDictionary()

    def note(self, connection: SSL.Connection, certificate: Any, error: int, depth: int, ok: int) -> bool:
        """OpenSSL's verify callback: once for each error, and once for each certificate that passes. Never objects."""
        chain, errors = self._notes.setdefault(connection, ({}, []))
        if depth < MAX_CHAIN and certificate is not None:
            chain[depth] = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        if not ok and (error, depth) not in errors and len(errors) < MAX_ERRORS:
            errors.append((error, depth))
        return True

    def of(self, connection: SSL.Connection) -> Verification:
        """What was found; an empty verification if nothing was, which proves nothing."""
        chain, errors = self._notes.get(connection, ({}, []))
        if sorted(chain) != list(range(len(chain))):
            # A gap: there is a certificate whose issuer was never looked at.
            return Verification()
        return Verification(tuple(chain[depth] for depth in sorted(chain)), tuple(errors))


def presentedChain(connection: SSL.Connection) -> tuple[bytes, ...]:
    """
    DER of the certificates that a peer has shown, its own first, the others as they came and not verified; empty if it
    has shown none.
    """
    own = connection.get_peer_certificate()
    if own is None:
        return ()
    every = [own, *(connection.get_peer_cert_chain() or ())][: MAX_CHAIN + 1]
    return tuple(dict.fromkeys(crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in every))


# --- what is wrong with a chain -----------------------------------------------------------------------------------


class Fault(StrEnum):
    """A kind of fault of a chain; the values are for logs and JSON."""

    NO_CERTIFICATE = "no-certificate"
    UNREADABLE = "unreadable"
    SELF_SIGNED = "self-signed"
    UNKNOWN_ISSUER = "unknown-issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_USAGE = "wrong-usage"
    WEAK_KEY = "weak-key"
    WEAK_SIGNATURE = "weak-signature"
    BAD_SIGNATURE = "bad-signature"
    REVOKED = "revoked"
    NOT_STAPLED = "not-stapled"
    BAD_CHAIN = "bad-chain"


@dataclass(frozen=True, slots=True)
class ChainFault:
    """
    One thing that is wrong with a chain.

    @ivar fault: what kind.
    @ivar depth: 0 for the peer's certificate, 1 for its issuer's, and so on.
    @ivar text: in words, as a sentence without a full stop.
    """

    fault: Fault
    depth: int
    text: str


_INVALID_PURPOSE = 26

_FAULTS: Final[dict[int, Fault]] = {
    2: Fault.UNKNOWN_ISSUER,  # unable to get issuer certificate
    7: Fault.BAD_SIGNATURE,
    9: Fault.NOT_YET_VALID,
    10: Fault.EXPIRED,
    18: Fault.SELF_SIGNED,
    19: Fault.UNKNOWN_ISSUER,  # self-signed certificate in the chain
    20: Fault.UNKNOWN_ISSUER,  # unable to get local issuer certificate
    21: Fault.UNKNOWN_ISSUER,  # unable to verify the first certificate
    23: Fault.REVOKED,
    27: Fault.UNKNOWN_ISSUER,  # certificate not trusted
    66: Fault.WEAK_KEY,
    67: Fault.WEAK_KEY,
    68: Fault.WEAK_SIGNATURE,
}
"""OpenSSL's errors (x509_vfy.h) by kind. Whatever isn't here is a bad chain, the wrong purpose excepted."""

_WORDS: Final = {
    Fault.SELF_SIGNED: "is signed by itself",
    Fault.UNKNOWN_ISSUER: "is issued by {issuer}, which isn't trusted here",
    Fault.BAD_SIGNATURE: "has a signature that doesn't fit",
    Fault.REVOKED: "is revoked",
    Fault.NOT_STAPLED: "demands a stapled answer of its authority (OCSP), and none that counts came with it",
    Fault.EXPIRED: "has expired on {notAfter}",
    Fault.NOT_YET_VALID: "isn't valid before {notBefore}",
    Fault.WEAK_KEY: "has a key that is too weak",
    Fault.WEAK_SIGNATURE: "has a signature that is too weak",
    Fault.WRONG_USAGE: "isn't for TLS",
}


def faultsOf(verification: Verification, now: float, ocsp: OCSPStatus | None = None) -> tuple[ChainFault, ...]:
    """
    Everything that is wrong with a chain; nothing if it can be trusted.

    @param now: seconds since the epoch.
    @param ocsp: what a stapled OCSP response says (L{xmppd.trust.ocsp.stapledStatus}), if there is one or has to be.
    """
    if not verification.chain:
        return (ChainFault(Fault.NO_CERTIFICATE, 0, "no certificate was shown"),)
    try:
        chain = [load(der) for der in verification.chain]
    except ValueError:
        return (ChainFault(Fault.UNREADABLE, 0, "the certificate can't be read"),)
    found: dict[tuple[Fault, int], ChainFault] = {}
    for fault in _allFaults(chain, verification.errors, now, ocsp):
        found.setdefault((fault.fault, fault.depth), fault)
    if any(fault is Fault.SELF_SIGNED for fault, _ in found):
        # That its issuer is unknown is the same said again.
        found.pop((Fault.UNKNOWN_ISSUER, 0), None)
    return tuple(found.values())


def _allFaults(
    chain: Sequence[x509.Certificate], errors: Iterable[tuple[int, int]], now: float, ocsp: OCSPStatus | None
) -> Iterable[ChainFault]:
    """All faults, with doubles, the detailed ones first."""
    for depth, certificate in enumerate(chain):
        yield from _ownFaults(certificate, depth, now, depth and depth == len(chain) - 1)
    if ocsp is OCSPStatus.REVOKED:
        yield _fault(Fault.REVOKED, 0, chain)
    elif ocsp is OCSPStatus.MISSING:
        yield _fault(Fault.NOT_STAPLED, 0, chain)
    for code, depth in errors:
        if code != _INVALID_PURPOSE:
            yield _fault(_FAULTS.get(code, Fault.BAD_CHAIN), depth, chain, f"fails by OpenSSL's error {code}")
        elif depth >= len(chain) or not usableForTLS(chain[depth], leaf=depth == 0):
            yield _fault(Fault.WRONG_USAGE, depth, chain)


def _ownFaults(certificate: x509.Certificate, depth: int, now: float, last: bool | int) -> Iterable[ChainFault]:
    """The faults that a certificate shows by itself: time, key, and signature unless it is the last, an anchor."""
    where = _whose(depth, certificate)
    if timestamp(certificate.not_valid_after_utc) < now:
        words = _WORDS[Fault.EXPIRED].format(notAfter=shownTime(timestamp(certificate.not_valid_after_utc)))
        yield ChainFault(Fault.EXPIRED, depth, f"{where} {words}")
    if timestamp(certificate.not_valid_before_utc) > now:
        words = _WORDS[Fault.NOT_YET_VALID].format(notBefore=shownTime(timestamp(certificate.not_valid_before_utc)))
        yield ChainFault(Fault.NOT_YET_VALID, depth, f"{where} {words}")
    weakness = keyWeakness(certificate)
    if weakness is not None:
        yield ChainFault(Fault.WEAK_KEY, depth, f"{where} has {weakness}")
    weakness = None if last else signatureWeakness(certificate)
    if weakness is not None:
        yield ChainFault(Fault.WEAK_SIGNATURE, depth, f"{where} has {weakness}")


def _fault(fault: Fault, depth: int, chain: Sequence[x509.Certificate], otherwise: str = "") -> ChainFault:
    """A fault in words."""
    certificate = chain[min(depth, len(chain) - 1)]
    words = _WORDS.get(fault, otherwise).format(
        issuer=shown(nameText(certificate, "issuer")) or "nobody",
        notAfter=shownTime(timestamp(certificate.not_valid_after_utc)),
        notBefore=shownTime(timestamp(certificate.not_valid_before_utc)),
    )
    return ChainFault(fault, depth, f"{_whose(depth, certificate)} {words}")


def _whose(depth: int, certificate: x509.Certificate) -> str:
    """Which certificate a sentence is about."""
    return "the certificate" if depth == 0 else f"the issuer's certificate ({shown(nameText(certificate, 'subject'))})"


_USAGES: Final = frozenset(
    {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


def usableForTLS(certificate: x509.Certificate, leaf: bool = True) -> bool:
    """
    Whether a certificate's usages fit a TLS server, whichever end of the connection it is.

    @param leaf: whether it signs handshakes; an authority's signs certificates, which OpenSSL checks by itself.
    """
    try:
        extensions = certificate.extensions
        keyUsage = _extension(extensions, x509.KeyUsage)
        extended = _extension(extensions, x509.ExtendedKeyUsage)
    except (ValueError, x509.DuplicateExtension):
        return False
    if leaf and keyUsage is not None and not keyUsage.digital_signature:
        # All suites that we allow have the peer sign.
        return False
    return extended is None or not _USAGES.isdisjoint(extended)


def _extension(extensions: x509.Extensions, kind: Any) -> Any:
    """The value of an extension, or None."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


# --- names --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NameMatch:
    """
    A name in a certificate that fits.

    @ivar kind: "xmppAddr", "SRV-ID" or "DNS-ID".
    @ivar name: as it stands in the certificate.
    @ivar reference: what it was compared with, as ASCII.
    """

    kind: str
    name: str
    reference: str


def matchNames(
    names: CertificateNames, domain: str, service: str = SERVER, targets: Iterable[str] = ()
) -> NameMatch | None:
    """
    The first name of a certificate that is the domain's (RFC 6120 section 13.7.2.1), or None.

    @param domain: the domain in question, in any form; what is no domain fits nothing.
    @param service: which service's SRV names count.
    @param targets: host names that stand for the domain as DNS-ID and SRV-ID as well. Only those that a I{secure} SRV
        answer names for it (RFC 7673 section 4.1); without DNSSEC none.
    """
    reference = _ascii(domain)
    if reference is None:
        return None
    for name in names.xmppAddresses[:MAX_OTHER_NAMES]:
        if _addressDomain(name) == reference:
            return NameMatch("xmppAddr", name, reference)
    for each in (reference, *filter(None, map(_ascii, targets))):
        found = _matchInDNS(names, each, service)
        if found is not None:
            return found
    return None


def _matchInDNS(names: CertificateNames, reference: str, service: str) -> NameMatch | None:
    """The first SRV-ID or DNS-ID that fits an ASCII domain."""
    prefix = f"_{service}."
    for name in names.serviceNames[:MAX_OTHER_NAMES]:
        if name.startswith(prefix) and _ascii(name.removeprefix(prefix)) == reference:
            return NameMatch("SRV-ID", name, reference)
    accepted = {reference}
    # A wildcard below a top-level domain would stand for everybody.
    if reference.count(".") >= 2:
        accepted.add(wildcardFor(reference))
    for name in names.dnsNames:
        if name.removesuffix(".") in accepted:
            return NameMatch("DNS-ID", name, reference)
    return None


def isForOthers(names: CertificateNames, domain: str, known: Iterable[str] = ()) -> bool:
    """
    Whether a certificate names servers, and none that has to do with a domain: not the domain, nor one above or below.

    @param known: host names that count as having to do with it.
    """
    own = _ascii(domain)
    hosts = [name.removeprefix("*.") for name in names.dnsNames]
    hosts += [name.partition(".")[2] for name in names.serviceNames[:MAX_OTHER_NAMES] if name.startswith("_")]
    hosts += filter(None, map(_addressDomain, names.xmppAddresses[:MAX_OTHER_NAMES]))
    found = {name for name in map(_ascii, hosts) if name is not None}
    if own is None or not found:
        return False
    familiar = {own, *filter(None, map(_ascii, known))}
    return not any(isRelated(name, each) for name in found for each in familiar)


def isRelated(one: str, other: str) -> bool:
    """Whether two host names (ASCII) are the same, or one is above the other; top-level domains are above nobody."""
    short, long = sorted((one, other), key=len)
    return short == long or ("." in short and long.endswith(f".{short}"))


def countingNames(chain: Sequence[bytes]) -> CertificateNames:
    """
    The names that count of a certificate in a chain: all, or DNS-IDs only, if one of its issuers is constrained.

    @param chain: DER of the certificate and of its issuers.
    @raise ValueError: one of these isn't a certificate.
    """
    leaf, *issuers = map(load, chain)
    names = namesOf(leaf)
    return replace(names, xmppAddresses=(), serviceNames=()) if any(map(_isConstrained, issuers)) else names


def _isConstrained(issuer: x509.Certificate) -> bool:
    """Whether an authority has constraints on names, or something there that can't be read."""
    try:
        return _extension(issuer.extensions, x509.NameConstraints) is not None
    except (ValueError, x509.DuplicateExtension):
        return True


def _ascii(domain: str) -> str | None:
    """A host name as ASCII; None for what is none: wildcards, addresses, names with empty labels."""
    try:
        name = asciiDomain(domain)
    except ValueError:
        return None
    literal = name.replace(".", "").isdigit() or ":" in name or "[" in name
    return None if literal or "*" in name or "" in name.split(".") else name


def _addressDomain(text: str) -> str | None:
    """The domain, as ASCII, of an XMPP address that is nothing but a domain; else None."""
    if text.isascii() and "@" not in text and "/" not in text:
        # Nothing that needs to be prepared, which is what takes time.
        return _ascii(text)
    try:
        address = parse(text)
    except JIDMalformed:
        return None
    return _ascii(address.domain) if address.isDomain else None


# --- the proof ----------------------------------------------------------------------------------------------------


def provePKIX(
    domain: str,
    verification: Verification,
    now: float,
    *,
    targets: Iterable[str] = (),
    ocsp: OCSPStatus | None = None,
    known: Iterable[str] = (),
    service: str = SERVER,
) -> Proof:
    """
    Whether a peer's certificate proves that it is a domain. Never raises for anything a peer can send. If its authority
    has revoked it somebody else may have its key: no other proof makes up for that.

    @param now: seconds since the epoch.
    @param targets: see L{matchNames}; L{xmppd.trust.dane.secureTargets} knows them.
    @param ocsp: what the stapled OCSP response says, if there is one.
    @param known: host names that nobody has to wonder about, though they prove nothing.
    """
    faults = faultsOf(verification, now, ocsp)
    if any(each.fault in (Fault.NO_CERTIFICATE, Fault.UNREADABLE) for each in faults):
        return failed(Prooftype.PKIX, *(each.text for each in faults))
    leaf = load(verification.chain[0])
    names = countingNames(verification.chain)
    match = matchNames(names, domain, service, targets)
    reasons = [each.text for each in faults]
    if match is None:
        reasons.insert(0, f"the certificate is for {shownNames(names)}, not for {shown(domain)}")
    if reasons:
        misdirects = not faults and isForOthers(names, domain, known)
        return failed(Prooftype.PKIX, *reasons, vetoes=ocsp is OCSPStatus.REVOKED, misdirects=misdirects)
    assert match is not None
    good = [f"the certificate names {shown(match.name)} ({match.kind})", f"it is issued by {_anchor(verification)}"]
    if ocsp is OCSPStatus.GOOD:
        good.append("the authority's stapled answer says that it isn't revoked")
    return held(Prooftype.PKIX, *good, until=timestamp(leaf.not_valid_after_utc))


def _anchor(verification: Verification) -> str:
    """Who vouches for a chain without faults, in words."""
    return f"the trusted authority {shown(nameText(load(verification.chain[-1]), 'subject'))}"
