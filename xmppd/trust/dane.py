"""
The DANE prooftype: what the DNS, signed, says about certificates (RFC 6698, RFC 7671, RFC 7673, RFC 7712 section 5.1).

Theory of operation. Whoever looks things up in C{net} brings back, for each endpoint of a domain, an L{Endpoint}:
host, port, the TLSA records, and how far each of the answers on the way there can be believed. L{proveDANE} compares
that with the certificates that the peer has shown.

I{Whom to believe.} We don't validate DNSSEC; a resolver does, and says so by the AD bit. The bit means something only
if nobody can have set it under way: if the resolver is on this machine's loopback, or the administrator has listed it
(RFC 6698 section 4.1, appendix A.3; L{securityOf}). Of any other resolver every answer counts as insecure.

I{What counts.} TLSA records count if their own answer is secure, that for the host's address was, and that of the SRV
query was, unless the host is the domain itself (RFC 7673 section 3). Of those, usages DANE-EE(3) and DANE-TA(2) with
known selector and matching type and data of the right length are usable. PKIX-TA(0) and PKIX-EE(1) aren't: that the
PKIX prooftype would have to hold too makes nothing stronger here (RFC 7671 section 4.1).

I{What it means.} If there is a usable record, TLS is a must, and one record has to match. On outgoing streams a
mismatch is final: no other proof makes good what the domain itself has said (RFC 7673 section 4.2). A server that
connects to us may do so with another certificate than it listens with, so there a mismatch only doesn't help.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import crypto

from xmppd.trust.certificatefacts import (
    fullWeakness,
    load,
    nameText,
    publicKeyInfo,
    shown,
    shownNames,
    timestamp,
)
from xmppd.trust.certificates import asciiDomain
from xmppd.trust.pkix import MAX_CHAIN, NameMatch, countingNames, matchNames, usableForTLS
from xmppd.trust.verdict import Proof, Prooftype, absent, failed, held

MAX_RECORDS: Final = 64
"""No more TLSA records of one endpoint are looked at."""


# --- DNSSEC -------------------------------------------------------------------------------------------------------


class Security(StrEnum):
    """How far an answer of the DNS, also one that there is nothing, can be believed (RFC 4035 section 4.3)."""

    SECURE = "secure"
    INSECURE = "insecure"
    FAILED = "failed"


def isTrustedResolver(address: str, listed: Collection[str] = ()) -> bool:
    """
    Whether a resolver's AD bit means something to us.

    @param address: IP address of the resolver as text.
    @param listed: addresses of resolvers whose path to us the administrator vouches for.
    """
    try:
        resolver = ip_address(address)
        return resolver.is_loopback or any(resolver == ip_address(each) for each in listed)
    except ValueError:
        return False


def securityOf(answered: bool, authenticated: bool, trusted: bool) -> Security:
    """
    How far an answer can be believed.

    @param answered: there was an answer: records, or that there are none (NOERROR, NXDOMAIN). A validating resolver
        gives none (SERVFAIL) if the signatures are bad.
    @param authenticated: its AD bit.
    @param trusted: L{isTrustedResolver}.
    """
    if not answered:
        return Security.FAILED
    return Security.SECURE if authenticated and trusted else Security.INSECURE


# --- records ------------------------------------------------------------------------------------------------------


class Usage(IntEnum):
    """Certificate usages (RFC 6698 section 2.1.1, names of RFC 7218)."""

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """What of a certificate is compared (RFC 6698 section 2.1.2)."""

    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    """How it is compared (RFC 6698 section 2.1.3)."""

    FULL = 0
    SHA2_256 = 1
    SHA2_512 = 2


_USAGES: Final = frozenset(map(int, Usage))
_SELECTORS: Final = frozenset(map(int, Selector))
_MATCHINGS: Final = frozenset(map(int, Matching))
_DIGESTS: Final = {Matching.SHA2_256: hashlib.sha256, Matching.SHA2_512: hashlib.sha512}


@dataclass(frozen=True, slots=True)
class TLSARecord:
    """
    A TLSA record as it came; the numbers may be ones that nobody knows.

    @ivar usage: see L{Usage}.
    @ivar selector: see L{Selector}.
    @ivar matching: see L{Matching}.
    @ivar data: the certificate association data.
    """

    usage: int
    selector: int
    matching: int
    data: bytes

    @classmethod
    def parse(cls, rdata: bytes) -> TLSARecord:
        """
        A record from its RDATA (RFC 6698 section 2.1).

        @raise ValueError: it is too short.
        """
        if len(rdata) < 4:
            raise ValueError("a TLSA record has at least four octets")
        return cls(rdata[0], rdata[1], rdata[2], rdata[3:])

    def encode(self) -> bytes:
        """The RDATA."""
        return bytes((self.usage, self.selector, self.matching)) + self.data

    def __str__(self) -> str:
        """The presentation format (RFC 6698 section 2.2)."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    @property
    def unusable(self) -> str | None:
        """Why the record can't be used, in words, or None."""
        if self.usage in (Usage.PKIX_TA, Usage.PKIX_EE):
            return f"usage {self.usage} isn't used between servers"
        if self.usage not in _USAGES:
            return f"usage {self.usage} is unknown"
        if self.selector not in _SELECTORS:
            return f"selector {self.selector} is unknown"
        if self.matching not in _MATCHINGS:
            return f"matching type {self.matching} is unknown"
        digest = _DIGESTS.get(Matching(self.matching))
        if digest is not None and len(self.data) != digest().digest_size:
            return "its data has the wrong length"
        return "its data is no certificate or key" if digest is None and not self._isReadable() else None

    def _isReadable(self) -> bool:
        """Whether the data of matching type 0 is what the selector says."""
        if self.selector == Selector.SPKI:
            return len(self.data) > 2 and self.data[0] == 0x30
        try:
            load(self.data)
        except ValueError:
            return False
        return True

    def matches(self, certificate: bytes) -> bool:
        """Whether a certificate in DER is the one, or has the key, that the record is about."""
        try:
            selected = publicKeyInfo(load(certificate)) if self.selector == Selector.SPKI else certificate
        except ValueError:
            return False
        digest = _DIGESTS.get(Matching(self.matching))
        return self.data == (selected if digest is None else digest(selected).digest())


def tlsaName(host: str, port: int) -> str:
    """
    The name under which the TLSA records of a TCP port are (RFC 6698 section 3), as ASCII.

    @raise ValueError: C{host} is no host name.
    """
    return f"_{port}._tcp.{asciiDomain(host)}"


def usableRecords(records: Iterable[TLSARecord]) -> tuple[TLSARecord, ...]:
    """
    The records to compare with: those that can be used and, of digests over the same thing, the strongest only (RFC
    7671 section 9), lest the weakest of several decides.
    """
    usable = [record for record in records if record.unusable is None][:MAX_RECORDS]
    strongest: dict[tuple[int, int], int] = {}
    for record in usable:
        kind = (record.usage, record.selector)
        strongest[kind] = max(record.matching, strongest.get(kind, 0))
    return tuple(each for each in usable if each.matching in (Matching.FULL, strongest[each.usage, each.selector]))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    What the DNS says of one endpoint of a domain.

    @ivar host: the target of the SRV record, or the domain itself if there is no SRV record.
    @ivar port: its port.
    @ivar srv: the security of the answer to the SRV query.
    @ivar address: the security of the answer for the host's address.
    @ivar tlsa: the security of the answer for its TLSA records; FAILED if it couldn't be had.
    @ivar records: the TLSA records.
    @ivar until: when the first of these answers expires, in seconds since the epoch; None if that isn't known.
    @ivar problem: why the TLSA records couldn't be had, in words.
    """

    host: str
    port: int
    srv: Security = Security.INSECURE
    address: Security = Security.INSECURE
    tlsa: Security = Security.INSECURE
    records: tuple[TLSARecord, ...] = ()
    until: float | None = None
    problem: str = ""

    @property
    def mayConnect(self) -> bool:
        """
        Whether a connection may be tried: not if an answer that should be there is kept from us (RFC 7673 sections 3.1
        to 3.3). Without a secure address nobody looks for TLSA records, so that there are none means nothing.
        """
        if Security.FAILED in (self.srv, self.address):
            return False
        return self.address is not Security.SECURE or self.tlsa is not Security.FAILED

    def isDelegate(self, domain: str) -> bool:
        """Whether the endpoint can be believed to be the domain's: it is secure, or has the domain's own name."""
        try:
            own = asciiDomain(self.host) == asciiDomain(domain)
        except ValueError:
            return False
        return own or self.srv is Security.SECURE

    def usable(self, domain: str) -> tuple[TLSARecord, ...]:
        """The records that count for a domain."""
        secure = self.isDelegate(domain) and self.address is Security.SECURE and self.tlsa is Security.SECURE
        return usableRecords(self.records) if secure else ()


def needsTLS(domain: str, endpoint: Endpoint) -> bool:
    """
    Whether TLS is a must, whatever the policy says: the domain has said so with secure records, even with ones that we
    can't use (RFC 7673 section 3.4, RFC 7671 section 10.3).
    """
    secure = endpoint.address is Security.SECURE and endpoint.tlsa is Security.SECURE
    return bool(endpoint.records) and secure and endpoint.isDelegate(domain)


def secureTargets(domain: str, endpoints: Iterable[Endpoint]) -> list[str]:
    """Host names that count as names of the domain, since secure SRV records say so (RFC 7673 section 4.1)."""
    return [each.host for each in endpoints if each.srv is Security.SECURE and each.isDelegate(domain)]


# --- the proof ----------------------------------------------------------------------------------------------------


def proveDANE(
    domain: str, endpoints: Sequence[Endpoint], chain: Sequence[bytes], now: float, *, outgoing: bool
) -> Proof:
    """
    Whether what a peer has shown is what the DNS says. Never raises for anything a peer or the DNS can send.

    @param endpoints: on an outgoing stream the one that we are connected to; on an incoming stream all of the domain.
    @param chain: DER of the certificates that the peer has shown (L{xmppd.trust.pkix.presentedChain}), its own first,
        the others in any order; empty if there is no TLS.
    @param now: seconds since the epoch.
    @param outgoing: whether we have connected, so that a mismatch vetoes.
    """
    usable = [(endpoint, record) for endpoint in endpoints for record in endpoint.usable(domain)]
    if not usable:
        if outgoing and not chain and any(needsTLS(domain, endpoint) for endpoint in endpoints):
            return failed(Prooftype.DANE_EE, "there is no TLS, which secure TLSA records promise", vetoes=True)
        return absent(Prooftype.DANE_EE, *dict.fromkeys(_whyNone(domain, endpoints)))
    entity = [(endpoint, record) for endpoint, record in usable if record.usage == Usage.DANE_EE]
    authority = [(endpoint, record) for endpoint, record in usable if record.usage == Usage.DANE_TA]
    prooftype = Prooftype.DANE_EE if entity else Prooftype.DANE_TA
    if not chain:
        return failed(prooftype, "no certificate was shown, but there are secure TLSA records", vetoes=outgoing)
    weakness = _weaknessOf(chain[0])
    if weakness is not None:
        return failed(prooftype, weakness, vetoes=outgoing)
    for endpoint, record in entity:
        if record.matches(chain[0]):
            return held(Prooftype.DANE_EE, *_reasons(endpoint, record, "the certificate"), until=endpoint.until)
    reasons = ["no DANE-EE record of " + _places(entity) + " matches the certificate"] if entity else []
    for endpoint, record in authority:
        proof = _proveAuthority(domain, endpoint, record, chain[: MAX_CHAIN + 1], now)
        if proof.held:
            return proof
        reasons.extend(proof.reasons)
    return failed(prooftype, *dict.fromkeys(reasons), vetoes=outgoing)


def _whyNone(domain: str, endpoints: Sequence[Endpoint]) -> Iterable[str]:
    """Why there are no usable records, in words."""
    if not endpoints:
        yield "the DNS names no endpoint"
    for endpoint in endpoints:
        where = f"{shown(endpoint.host)} port {endpoint.port}"
        if not endpoint.isDelegate(domain):
            yield f"the SRV record that names {where} isn't secure by DNSSEC"
        elif endpoint.address is not Security.SECURE:
            yield f"the address of {where} isn't secure by DNSSEC"
        elif endpoint.tlsa is Security.FAILED:
            yield f"the TLSA records of {where} couldn't be had" + (f": {endpoint.problem}" if endpoint.problem else "")
        elif not endpoint.records:
            yield f"{where} has no TLSA records"
        elif endpoint.tlsa is not Security.SECURE:
            yield f"the TLSA records of {where} aren't secure by DNSSEC"
        else:
            for record in endpoint.records[:MAX_RECORDS]:
                yield f"a TLSA record of {where} can't be used: {record.unusable}"


def _places(found: Iterable[tuple[Endpoint, TLSARecord]]) -> str:
    """Where records were found, in words."""
    return ", ".join(dict.fromkeys(f"{shown(each.host)} port {each.port}" for each, _ in found))


def _reasons(endpoint: Endpoint, record: TLSARecord, what: str) -> tuple[str, str]:
    """Why a record proves something, in words."""
    kind = f"TLSA {record.usage} {record.selector} {record.matching}"
    return (
        f"{what} matches a record {kind} of {shown(endpoint.host)} port {endpoint.port}",
        "all records on the way there are secure by DNSSEC",
    )


def _weaknessOf(der: bytes) -> str | None:
    """What makes a certificate useless whatever a record says, in words, or None."""
    try:
        weakness = fullWeakness(load(der), signed=False)
    except ValueError:
        return "the certificate can't be read"
    return None if weakness is None else f"the certificate has {weakness}"


def _proveAuthority(domain: str, endpoint: Endpoint, record: TLSARecord, chain: Sequence[bytes], now: float) -> Proof:
    """Whether one DANE-TA record proves a peer (RFC 7671 section 5.2)."""
    anchors = [der for der in chain[1:] if record.matches(der)]
    if (record.selector, record.matching) == (Selector.CERT, Matching.FULL) and record.data not in anchors:
        # The one kind of record that has the whole certificate, which the peer then needn't show.
        anchors.append(record.data)
    if not anchors:
        return failed(
            Prooftype.DANE_TA, f"no authority in the chain matches a record of {_places([(endpoint, record)])}"
        )
    targets = [endpoint.host] if endpoint.isDelegate(domain) else []
    problems = []
    for anchor in anchors:
        try:
            path = _checkedPath(chain, anchor, now)
            match = _matchPath(domain, targets, path)
        except _NoPath as problem:
            problems.append(str(problem))
            continue
        what = f"the authority {shown(nameText(load(anchor), 'subject'))}"
        named = f"the certificate names {shown(match.name)} ({match.kind})"
        valid = min(timestamp(each.not_valid_after_utc) for each in path)
        until = valid if endpoint.until is None else min(valid, endpoint.until)
        return held(Prooftype.DANE_TA, *_reasons(endpoint, record, what), named, until=until)
    return failed(Prooftype.DANE_TA, *problems)


class _NoPath(Exception):
    """A chain doesn't lead from the domain's certificate to an authority; the text says why, in words."""


def _matchPath(domain: str, targets: Sequence[str], path: Sequence[x509.Certificate]) -> NameMatch:
    """
    The name in a verified certificate that is the domain's or the host's.

    @raise _NoPath: there is none.
    """
    names = countingNames([each.public_bytes(serialization.Encoding.DER) for each in path])
    match = matchNames(names, domain, targets=targets)
    if match is None:
        raise _NoPath(f"the certificate is for {shownNames(names)}, not for {shown(domain)}")
    return match


def _checkedPath(chain: Sequence[bytes], anchor: bytes, now: float) -> list[x509.Certificate]:
    """
    The path from the first certificate of a chain to an anchor.

    @raise _NoPath: there is none that is good for anything.
    """
    try:
        leaf, *others = [load(der) for der in chain]
        verified = _verifiedPath(leaf, others, load(anchor), now)
    except ValueError:
        raise _NoPath("a certificate in the chain can't be read") from None
    except crypto.X509StoreContextError as error:
        raise _NoPath(f"the chain to the authority in the record fails: {shown(str(error))}") from None
    if not usableForTLS(leaf):
        raise _NoPath("the certificate isn't for TLS")
    for index, certificate in enumerate(verified):
        weakness = fullWeakness(certificate, signed=index < len(verified) - 1)
        if weakness is not None:
            raise _NoPath(f"the certificate of {shown(nameText(certificate, 'subject'))} has {weakness}")
    return verified


def _verifiedPath(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], anchor: x509.Certificate, now: float
) -> list[x509.Certificate]:
    """
    The path from a certificate to an anchor, which needn't be a root, checked by OpenSSL.

    @raise X509StoreContextError: there is none, or something on it is wrong.
    @raise ValueError: OpenSSL can't read what it is given.
    """
    store = crypto.X509Store()
    # An intermediate authority can be an anchor; and a path is checked against our time, not OpenSSL's.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(datetime.datetime.fromtimestamp(now, datetime.UTC).replace(tzinfo=None))
    try:
        store.add_cert(crypto.X509.from_cryptography(anchor))
        untrusted = [crypto.X509.from_cryptography(each) for each in others]
        context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted)
        verified = context.get_verified_chain()
    except crypto.Error:
        raise ValueError("not a certificate to OpenSSL") from None
    return [each.to_cryptography() for each in verified]
