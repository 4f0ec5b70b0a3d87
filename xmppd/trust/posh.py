"""
The POSH prooftype: a document that the domain's web server has, with the fingerprints of the certificates that its XMPP
server may show (RFC 7711, RFC 7712 section 5.2).

Theory of operation. C{net} fetches L{wellKnown} over HTTPS, with the web server's certificate checked for the domain.
L{parse} makes it a L{Fingerprints} document, which holds the fingerprints, or a L{Reference} to one: then C{net}
fetches that, and a second reference is refused. L{collect} joins what was fetched to a L{Material}, which may be kept
until C{Material.until}; L{provePOSH} compares a certificate with it.

Documents are bounded, and read strictly: what isn't understood proves nothing. An address in a reference is somewhere a
stranger sends us, so it has to be HTTPS, with the name of a host that is no address; and it stays for C{net} to refuse
names that lead to private networks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from xmppd.trust.certificatefacts import factsOf, fullWeakness, load, shown, shownTime
from xmppd.trust.certificates import asciiDomain
from xmppd.trust.verdict import Proof, Prooftype, absent, failed, held

MAX_DOCUMENT: Final = 1 << 16
"""No document is larger, in octets; stop fetching there."""

MAX_REDIRECTS: Final = 3
"""How many redirects by HTTP are followed, each to HTTPS (RFC 7711 section 10 allows ten)."""

MAX_FINGERPRINTS: Final = 64
"""How many certificates a document may name."""

MAX_URL: Final = 2048
"""The length of a reference, in characters."""

MAX_LIFE: Final = 7 * 86_400
"""Documents are kept no longer, in seconds, whatever they say (RFC 7711 section 6)."""

_HASHES: Final = {"sha-512": hashlib.sha512, "sha-256": hashlib.sha256}
"""What we can compare, by the names of the IANA registry, the strongest first."""


class POSHError(ValueError):
    """A document that proves nothing; the text says why, in words."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """
    A fingerprints document (RFC 7711 section 3.1).

    @ivar descriptors: for each certificate, hashes by algorithm; only those we know, at least one.
    @ivar expires: for how many seconds it may be kept, at least 1.
    """

    descriptors: tuple[tuple[tuple[str, bytes], ...], ...]
    expires: int

    def match(self, certificate: bytes) -> str | None:
        """
        The algorithm by which a certificate (DER) is one of these, or None. Of one descriptor only the strongest hash
        that we know counts, so that a broken one wouldn't.
        """
        for descriptor in self.descriptors:
            name, expected = descriptor[0]
            if hmac.compare_digest(_HASHES[name](certificate).digest(), expected):
                return name
        return None


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A reference document (RFC 7711 section 3.2).

    @ivar url: where the fingerprints document is; HTTPS.
    @ivar expires: for how many seconds the reference may be kept, at least 1.
    """

    url: str
    expires: int


@dataclass(frozen=True, slots=True)
class Material:
    """
    All that POSH says of a domain.

    @ivar fingerprints: the document with the fingerprints.
    @ivar until: when it has to be fetched again, all of it, in seconds since the epoch.
    @ivar source: the URL it came from in the end, for explanations.
    """

    fingerprints: Fingerprints
    until: float
    source: str


def wellKnown(domain: str, service: str = "xmpp-server") -> str:
    """
    Where a domain's document is (RFC 7712 section 5.2).

    @raise ValueError: C{domain} isn't one.
    """
    return f"https://{asciiDomain(domain)}/.well-known/posh/{service}.json"


# --- reading ------------------------------------------------------------------------------------------------------


def parse(document: bytes) -> Fingerprints | Reference:
    """
    Read a document.

    @raise POSHError: it is none, or one that proves nothing.
    """
    if len(document) > MAX_DOCUMENT:
        raise POSHError(f"the document has more than {MAX_DOCUMENT} octets")
    try:
        value = json.loads(document.decode("utf-8"), object_pairs_hook=_object, parse_constant=_noNumber)
    except POSHError:
        raise
    except (ValueError, RecursionError):
        # Also bytes that aren't UTF-8, and numbers of thousands of digits.
        raise POSHError("the document isn't JSON") from None
    if not isinstance(value, dict):
        raise POSHError("the document isn't a JSON object")
    expires = _expires(value.get("expires"))
    if "url" in value and "fingerprints" in value:
        raise POSHError("the document has fingerprints and a reference")
    if "url" in value:
        return Reference(checkedURL(value["url"]), expires)
    return Fingerprints(_descriptors(value.get("fingerprints")), expires)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name comes twice: whoever reads the first and whoever reads the last would differ."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise POSHError("the document says something twice")
    return value


def _noNumber(text: str) -> NoReturn:
    """NaN and the infinities aren't JSON."""
    raise POSHError("the document isn't JSON")


def _expires(value: Any) -> int:
    """The seconds for which a document may be kept."""
    if type(value) is not int or value < 0:
        raise POSHError("the document doesn't say for how many seconds it is valid")
    if value == 0:
        raise POSHError("the document says that it isn't valid any more")
    return value


def _descriptors(value: Any) -> tuple[tuple[tuple[str, bytes], ...], ...]:
    """The fingerprints in a document."""
    if not isinstance(value, list) or not value:
        raise POSHError("the document has no fingerprints")
    if len(value) > MAX_FINGERPRINTS:
        raise POSHError(f"the document has more than {MAX_FINGERPRINTS} fingerprints")
    known = tuple(descriptor for descriptor in map(_descriptor, value) if descriptor)
    if not known:
        raise POSHError("the document has no fingerprints by SHA-256 or SHA-512")
    return known


def _descriptor(value: Any) -> tuple[tuple[str, bytes], ...]:
    """The hashes of one certificate, the strongest first; empty if we know none of them."""
    if not isinstance(value, dict):
        raise POSHError("a fingerprint isn't a JSON object")
    return tuple((name, _hash(value[name], make().digest_size)) for name, make in _HASHES.items() if name in value)


def _hash(value: Any, size: int) -> bytes:
    """
    One hash from base64. The second example of RFC 7711 section 3.1 lacks its padding, so that may be missing.
    """
    if not isinstance(value, str) or len(value) > 4 * size:
        raise POSHError("a fingerprint isn't base64")
    try:
        octets = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise POSHError("a fingerprint isn't base64") from None
    if len(octets) != size:
        raise POSHError("a fingerprint has the wrong length")
    return octets


def checkedURL(value: Any) -> str:
    """
    The target of a reference or of a redirect, if we go there.

    @raise POSHError: we don't.
    """
    if not isinstance(value, str) or len(value) > MAX_URL or not value.isascii() or not value.isprintable():
        raise POSHError("the reference isn't a URL")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        name = asciiDomain(host)
    except ValueError:
        raise POSHError("the reference isn't a URL") from None
    if parts.scheme != "https":
        raise POSHError("the reference isn't to HTTPS")
    numeric = name.rpartition(".")[2].isdigit() or ":" in name or "[" in name
    if " " in value or "\\" in value or "@" in parts.netloc or port == 0 or "." not in name or numeric:
        raise POSHError("the reference isn't to a host on the Internet")
    return value


def collect(
    first: Fingerprints | Reference, fetched: float, source: str, second: Fingerprints | Reference | None = None
) -> Material:
    """
    Join what was fetched. The lower of two lives counts (RFC 7711 section 6).

    @param first: the document at the well-known place.
    @param fetched: when it was fetched, in seconds since the epoch.
    @param source: where the last document came from.
    @param second: what its reference led to, if it is one.
    @raise POSHError: a reference leads to nothing, or to a reference.
    """
    last = second if isinstance(first, Reference) else first
    if last is None:
        raise POSHError("the reference leads nowhere")
    if isinstance(last, Reference):
        raise POSHError("the reference leads to another reference")
    return Material(last, fetched + min(first.expires, last.expires, MAX_LIFE), source)


# --- the proof ----------------------------------------------------------------------------------------------------


def provePOSH(domain: str, material: Material | None, certificate: bytes | None, now: float, why: str = "") -> Proof:
    """
    Whether a certificate is one of those that a domain's web server names. Never raises for anything a peer can send.

    The certificate's names and its issuer don't matter, its validity does (RFC 7711 section 6).

    @param material: what POSH says, or None if there is nothing.
    @param certificate: DER of what the peer has shown.
    @param now: seconds since the epoch.
    @param why: why there is no material, in words.
    """
    if material is None:
        return absent(Prooftype.POSH, why or f"{shown(domain)} has no POSH document")
    if material.until <= now:
        return absent(Prooftype.POSH, f"the POSH document was valid until {shownTime(material.until)}")
    if certificate is None:
        return failed(Prooftype.POSH, "no certificate was shown")
    try:
        facts, weakness = factsOf(certificate), fullWeakness(load(certificate), signed=False)
    except ValueError:
        return failed(Prooftype.POSH, "the certificate can't be read")
    source = shown(material.source)
    algorithm = material.fingerprints.match(certificate)
    if algorithm is None:
        return failed(Prooftype.POSH, f"the certificate isn't among those that {source} names")
    if not facts.notBefore <= now <= facts.notAfter:
        valid = f"from {shownTime(facts.notBefore)} until {shownTime(facts.notAfter)}"
        return failed(Prooftype.POSH, f"{source} names the certificate, but it is valid {valid} only")
    if weakness is not None:
        return failed(Prooftype.POSH, f"{source} names the certificate, but it has {weakness}")
    good = f"{source} names the certificate by its {algorithm} fingerprint"
    return held(Prooftype.POSH, good, until=min(material.until, facts.notAfter))


# --- publishing ---------------------------------------------------------------------------------------------------


def fingerprintsDocument(certificates: Sequence[bytes], expires: int = 86_400) -> bytes:
    """
    The document to serve at L{wellKnown} for our own certificates.

    @param certificates: DER, the most important first (RFC 7711 section 3.1).
    @param expires: for how many seconds others may keep it.
    @raise ValueError: no certificate, or a life that isn't positive.
    """
    if not certificates or expires <= 0:
        raise ValueError("a POSH document needs a certificate and a life")
    descriptors = [_described(certificate) for certificate in certificates]
    return _written({"fingerprints": descriptors, "expires": expires})


def _described(certificate: bytes) -> dict[str, str]:
    """The descriptor of one certificate."""
    names: Iterable[str] = sorted(_HASHES)
    return {name: base64.b64encode(_HASHES[name](certificate).digest()).decode("ascii") for name in names}


def referenceDocument(url: str, expires: int = 86_400) -> bytes:
    """
    The document to serve at L{wellKnown} for a domain whose fingerprints are elsewhere.

    @param expires: for how many seconds others may keep it.
    @raise ValueError: nobody would follow that.
    """
    if expires <= 0:
        raise ValueError("a POSH document needs a life")
    return _written({"url": checkedURL(url), "expires": expires})


def _written(value: dict[str, Any]) -> bytes:
    """A document as bytes."""
    return json.dumps(value, indent=2).encode("ascii") + b"\n"
