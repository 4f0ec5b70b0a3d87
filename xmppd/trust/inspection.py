"""
What clients and other servers wouldn't like about a certificate of ours, before they see it.

L{inspect} looks at one certificate with the chain that is sent with it, L{arrangement} at the file that they come from.
Whether a chain is complete can't be known for certain: it leads to an authority that this system trusts, or it doesn't,
and then either an intermediate certificate is missing or the authority is one that nobody here knows. Where the
certificate stands alone and says itself where its issuer's is to be had, it is missing.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto

from xmppd.trust.certificatefacts import (
    keyWeakness,
    nameText,
    shown,
    shownNames,
    shownTime,
    signatureWeakness,
    timestamp,
)
from xmppd.trust.expiry import DAY, WARNING_DAYS, stage
from xmppd.trust.identities import namesOf
from xmppd.trust.pkix import matchNames

SERVICES: Final = ("xmpp-client", "xmpp-server")
"""Who looks for names: clients, and other servers."""


class Grade(StrEnum):
    """How bad something is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Remark:
    """
    Something about a certificate.

    @ivar grade: ERROR: clients or servers refuse it. WARNING: some do, or will. INFO: nobody minds.
    @ivar kind: what kind of thing, in a word for programs.
    @ivar text: what, as the end of a sentence that begins with the file's name.
    @ivar remedy: what to do; empty if nothing has to be done.
    """

    grade: Grade
    kind: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.grade}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


class Completeness(StrEnum):
    """Where a chain leads to."""

    COMPLETE = "complete"
    SELF_SIGNED = "self-signed"
    UNKNOWN_AUTHORITY = "unknown-authority"
    INCOMPLETE = "incomplete"


class Authorities:
    """The authorities that this system trusts, or those of a file."""

    def __init__(self, file: Path | None = None) -> None:
        """
        @raise OpenSSL.SSL.Error: there are none in the file.
        """
        # The store lives no longer than its context.
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if file is None:
            self._context.set_default_verify_paths()
        else:
            self._context.load_verify_locations(str(file))

    def completeness(self, chain: Sequence[x509.Certificate]) -> Completeness:
        """
        Where a chain leads to, whether it is valid at the moment or not.

        @param chain: the certificate, its issuer, and so on.
        """
        leaf, *issuers = (crypto.X509.from_cryptography(each) for each in chain)
        store: Any = self._context.get_cert_store()
        try:
            crypto.X509StoreContext(store, leaf, issuers).verify_certificate()
        except crypto.X509StoreContextError as error:
            # OpenSSL first looks for issuers, and only then at everything else.
            code = error.errors[0]
            if code == _SELF_SIGNED:
                return Completeness.SELF_SIGNED
            if code in _NO_ISSUER:
                alone = len(chain) == 1 and bool(issuersPlaces(chain[0]))
                return Completeness.INCOMPLETE if alone else Completeness.UNKNOWN_AUTHORITY
        return Completeness.COMPLETE


_SELF_SIGNED: Final = 18
_NO_ISSUER: Final = frozenset({2, 19, 20, 21, 27})
"""OpenSSL's errors (x509_vfy.h) that mean that no way leads to a trusted authority."""


def issuersPlaces(certificate: x509.Certificate) -> list[str]:
    """The URLs at which a certificate says that its issuer's is to be had (RFC 5280 section 4.2.2.1)."""
    access = _extension(certificate, x509.AuthorityInformationAccess)
    return [
        str(each.access_location.value)
        for each in access or ()
        if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    """The value of an extension; None if it isn't there or can't be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def inspect(
    chain: Sequence[x509.Certificate],
    domains: Iterable[str],
    now: float,
    authorities: Authorities,
    days: Sequence[int] = WARNING_DAYS,
) -> list[Remark]:
    """
    Everything about a certificate and its chain.

    @param chain: the certificate, its issuer, and so on, as it is sent.
    @param domains: whom it is to be shown for.
    @param now: seconds since the epoch.
    @param days: with how many days left to warn (L{xmppd.trust.expiry}).
    """
    remarks = [
        *_times(chain, now, days),
        *_completeness(chain, authorities),
        *_strength(chain),
        *_names(chain[0], domains),
        *_usages(chain[0]),
    ]
    return sorted(remarks, key=lambda remark: tuple(Grade).index(remark.grade))


def _times(chain: Sequence[x509.Certificate], now: float, days: Sequence[int]) -> Iterable[Remark]:
    for depth, each in enumerate(chain):
        whose = "" if depth == 0 else f"with an issuer's certificate ({_subject(each)}) that "
        start, end = timestamp(each.not_valid_before_utc), timestamp(each.not_valid_after_utc)
        if now >= end:
            yield Remark(Grade.ERROR, "expired", f"{whose}has expired on {shownTime(end)}", "renew it")
        elif start > now:
            remedy = "check this machine's clock, or wait"
            yield Remark(Grade.ERROR, "not-yet-valid", f"{whose}isn't valid before {shownTime(start)}", remedy)
        elif stage(start, end, now, days) is not None:
            left = f"{whose}expires in {int((end - now) // DAY)} days, on {shownTime(end)}"
            yield Remark(Grade.WARNING, "expires-soon", left, "see why it wasn't renewed")


def _completeness(chain: Sequence[x509.Certificate], authorities: Authorities) -> Iterable[Remark]:
    found = authorities.completeness(chain)
    issuer = shown(nameText(chain[-1], "issuer")) or "nobody"
    if found is Completeness.SELF_SIGNED:
        remedy = "have an authority sign one, or publish it by DANE: xmppctl dna publish"
        text = "is signed by itself: clients ask their users, and other servers fall back to dialback or refuse it"
        yield Remark(Grade.WARNING, "self-signed", text, remedy)
    elif found is Completeness.INCOMPLETE:
        where = shown(issuersPlaces(chain[0])[0])
        text = f"lacks the certificate of its issuer ({issuer})"
        remedy = f"append that: it is in fullchain.pem of your ACME client, or at {where}"
        yield Remark(Grade.ERROR, "chain-incomplete", text, remedy)
    elif found is Completeness.UNKNOWN_AUTHORITY:
        text = f"leads to {issuer}, which this system doesn't trust"
        remedy = "unless that is an authority of your own, append the missing certificate"
        yield Remark(Grade.WARNING, "unknown-authority", text, remedy)


def _strength(chain: Sequence[x509.Certificate]) -> Iterable[Remark]:
    """Keys and signatures (RFC 9325 section 4.5)."""
    for depth, each in enumerate(chain):
        where = "" if depth == 0 else f"an issuer's certificate ({_subject(each)}) with "
        weakness = keyWeakness(each)
        if weakness is not None:
            yield Remark(Grade.ERROR, "weak-key", f"has {where}{weakness}", "have one issued for a new key on P-256")
        weakness = signatureWeakness(each) if each.issuer != each.subject else None
        if weakness is not None:
            yield Remark(Grade.ERROR, "weak-signature", f"has {where}{weakness}", "have a new one issued")


def _names(leaf: x509.Certificate, domains: Iterable[str]) -> Iterable[Remark]:
    """RFC 6120 section 13.7.1.2, RFC 9525."""
    names = namesOf(leaf)
    nobody = not (names.dnsNames or names.serviceNames or names.xmppAddresses)
    if nobody:
        common = [shown(str(each.value), 80) for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        text = f"names {', '.join(common) or 'nobody'} in its common name only, where nobody looks"
        yield Remark(Grade.ERROR, "common-name-only", text, "have one issued with subjectAltName")
        return
    for domain in domains:
        example = domain.replace("*.", "any.", 1)
        missing = [each for each in SERVICES if matchNames(names, example, each) is None]
        if missing:
            whom = {1: f" for {missing[0]}", 2: ""}[len(missing)]
            text = f"is for {shownNames(names)}, not for {domain}{whom}"
            yield Remark(Grade.ERROR, "no-matching-name", text, f"have one issued that names {domain}")
    if not (names.serviceNames or names.xmppAddresses):
        text = "has neither SRV-ID nor xmppAddr: DNS-ID, which it has, is enough, but is good for every service there"
        yield Remark(Grade.INFO, "no-service-names", text)


def _usages(leaf: x509.Certificate) -> Iterable[Remark]:
    """What the certificate says that it may be used for."""
    extended, usage = _extension(leaf, x509.ExtendedKeyUsage), _extension(leaf, x509.KeyUsage)
    if extended is not None and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in extended:
        if ExtendedKeyUsageOID.SERVER_AUTH not in extended:
            yield Remark(Grade.ERROR, "no-server-usage", "isn't for TLS servers", "have one issued with serverAuth")
        if ExtendedKeyUsageOID.CLIENT_AUTH not in extended:
            text = (
                "isn't for TLS clients (clientAuth), as those of Let's Encrypt: calling other servers works, but for"
                " those that insist on it, which then want dialback"
            )
            yield Remark(Grade.INFO, "no-client-usage", text)
    if usage is not None and not usage.digital_signature:
        text = "isn't for signatures, without which there is no TLS with forward secrecy"
        yield Remark(Grade.ERROR, "no-digital-signature", text, "have one issued with digitalSignature")
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        text = "is an authority's certificate: several programs refuse it as a server's"
        yield Remark(Grade.WARNING, "authority", text, "have one issued that isn't (CA:FALSE)")
    features = _extension(leaf, x509.TLSFeature)
    if features is not None and x509.TLSFeatureType.status_request in features:
        text = "demands a stapled OCSP response (must-staple)"
        yield Remark(Grade.INFO, "must-staple", text, "keep one that is good in DOMAIN.ocsp, beside it")


def arrangement(listed: Sequence[x509.Certificate], chain: Sequence[x509.Certificate]) -> Iterable[Remark]:
    """
    How the certificates lie in their file.

    @param listed: all of the file, in its order.
    @param chain: those of them that are sent, the server's own first.
    """
    sent = [each for each in dict.fromkeys(listed) if each in chain]
    if sent != list(chain):
        text = "has its certificates out of order: xmppd sorts them, other programs may not"
        yield Remark(Grade.INFO, "chain-order", text, "put the server's own first, then its issuer's, and so on")
    for each in dict.fromkeys(listed):
        if each.issuer == each.subject and each != chain[0]:
            text = f"holds a root ({_subject(each)}), which others need only if a TLSA record names it (DANE-TA)"
            yield Remark(Grade.INFO, "root-included", text, "leave it out, unless you publish it so")
        elif each not in chain:
            text = f"holds a certificate without use ({_subject(each)}): it isn't sent"
            yield Remark(Grade.INFO, "unrelated", text, "leave it out")
    if len(dict.fromkeys(listed)) < len(listed):
        yield Remark(Grade.INFO, "double", "holds a certificate twice", "remove one")


def permissions(path: Path, mode: int, folderMode: int) -> Iterable[Remark]:
    """
    Who else can get at a file with a private key.

    @param mode: of the file, as C{os.stat} has it; C{folderMode}: that of its folder.
    """
    if mode & stat.S_IROTH:
        remedy = f"chmod o-rwx {path}, and have a new one issued for a new key if strangers could log in here"
        yield Remark(Grade.WARNING, "readable", "can be read by everybody, with its key", remedy)
    if mode & (stat.S_IWOTH | stat.S_IWGRP):
        yield Remark(Grade.WARNING, "writable", "can be written by others than its owner", f"chmod go-w {path}")
    if folderMode & stat.S_IWOTH and not folderMode & stat.S_ISVTX:
        text = "is in a folder in which everybody can replace it"
        yield Remark(Grade.WARNING, "folder-writable", text, f"chmod o-w {path.parent}")


def _subject(certificate: x509.Certificate) -> str:
    return shown(nameText(certificate, "subject"), 100) or "nobody"
