"""
Addresses: Jabber Identifiers by RFC 7622, and the escaping of localparts by XEP-0106.

Theory of operation. An address is split first and prepared afterwards, part by part (RFC 7622 section 3.1): the first
C{/} begins the resourcepart, the first C{@} before it ends the localpart. Then each part is

 1. measured in octets, before anything else looks at it, since normalisation costs quadratic time in combining marks;
 2. accepted as it is, but for ASCII case, when one compiled expression knows it to be plain ASCII;
 3. otherwise enforced: the localpart by UsernameCaseMapped, the resourcepart by OpaqueString (RFC 8265), the domainpart
    by IDNA2008 after the mapping of UTS #46;
 4. measured again, for mappings may lengthen it (a name within the limits of the DNS never exceeds 1023 octets).

Almost every address is plain ASCII, and one expression recognises and splits such an address as a whole. A L{JID} that
exists is valid and normalised, therefore equality of addresses is equality of strings.

Where the documents leave a choice we took the strict one:

 - a resourcepart neither begins nor ends with a space: OpaqueString allows both, example 18 of RFC 7622 forbids the
   first;
 - case mapping looks at one code point at a time, hence a capital sigma becomes the plain small one also at the end of
   a word (RFC 7622 section 3.5: the mapping does not account for the final sigma); sharp s and final sigma stay;
 - a domainpart is made of NR-LDH labels and U-labels, so underscores are refused; a name whose last label is a number
   is an IPv4 address or nothing (RFC 1123 section 2.1); IPv6 literals carry no zone, which would mean something on one
   host only, and the unassigned C{IPvFuture} form is refused;
 - the limits of the DNS, 63 octets a label and 253 a name in its ASCII form, apply (RFC 7622 section 3.2).
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NoReturn
from unicodedata import bidirectional

import idna
import idna.uts46data  # a large table, which idna would load at the first name that is not ASCII
from precis_i18n import get_profile

from xmppd.wire.errors import StanzaCondition, StanzaError

MAX_PART: Final = 1023
"""The most octets of UTF-8 in one part of an address (RFC 7622 section 3.1)."""

MAX_TOTAL: Final = 3071
"""The most octets of UTF-8 in an address: three parts and two separators (RFC 7622 section 3.1)."""

MAX_DOMAIN_NAME: Final = 253
"""The most octets of a domain name written in ASCII, without its final dot (RFC 1034 section 3.1)."""

MAX_LABEL: Final = 63
"""The most octets of one label of a domain name written in ASCII (RFC 1034 section 3.1)."""

CACHE_SIZE: Final = 8192
"""How many parsed addresses are remembered."""

CACHED_LENGTH: Final = 255
"""Longer addresses, in code points, are not remembered, so that nobody can fill the cache with megabytes."""

LOCALPART: Final = "localpart"
DOMAINPART: Final = "domainpart"
RESOURCEPART: Final = "resourcepart"

_LOCAL: Final = r"[!#$%()*+,\-.0-9;=?A-Z\[\\\]^_`a-z{|}~]{1,1023}"
_LABEL: Final = r"(?![A-Za-z0-9]{2}--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = rf"(?:{_LABEL}\.)*(?=[0-9-]*[A-Za-z]){_LABEL}"
_RESOURCE: Final = r"[!-~](?:[ -~]{0,1021}[!-~])?"

_plainLocal = re.compile(_LOCAL).fullmatch
_plainDomain = re.compile(_DOMAIN).fullmatch
_plainResource = re.compile(_RESOURCE).fullmatch
_plainAddress = re.compile(rf"(?:({_LOCAL})@)?({_DOMAIN})(?:/({_RESOURCE}))?").fullmatch

_excluded = re.compile(r"[\"&'/:<>@ ]").search
_username = get_profile("UsernameCaseMapped")
_opaqueString = get_profile("OpaqueString")


class JIDMalformed(StanzaError):
    """A string that is no address; it answers a stanza with C{jid-malformed} (RFC 6120 section 8.3.3.8)."""

    def __init__(self, text: str) -> None:
        super().__init__(StanzaCondition.JID_MALFORMED, text)


@total_ordering
class JID:
    """
    An address: valid, normalised, immutable. Equal, ordered and hashed as its full string.

    Don't call the class with text of a peer: it trusts its arguments. L{parse} and L{fromParts} prepare theirs.

    @ivar local: the localpart, or None.
    @ivar domain: the domainpart; internationalised labels are U-labels.
    @ivar resource: the resourcepart, or None.
    @ivar full: the whole address as a string.
    @ivar bare: the address without its resourcepart as a string.
    """

    __slots__ = ("bare", "domain", "full", "local", "resource")

    local: str | None
    domain: str
    resource: str | None
    full: str
    bare: str

    def __init__(self, local: str | None, domain: str, resource: str | None = None) -> None:
        bare = domain if local is None else f"{local}@{domain}"
        _setLocal(self, local)
        _setDomain(self, domain)
        _setResource(self, resource)
        _setBare(self, bare)
        _setFull(self, bare if resource is None else f"{bare}/{resource}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a JID doesn't change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a JID doesn't change: {name}")

    def __reduce__(self) -> tuple[type[JID], tuple[str | None, str, str | None]]:
        return JID, (self.local, self.domain, self.resource)

    def __str__(self) -> str:
        return self.full

    def __repr__(self) -> str:
        return f"JID({self.full!r})"

    def __hash__(self) -> int:
        return hash(self.full)

    def __eq__(self, other: object) -> bool:
        return self.full == other.full if isinstance(other, JID) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.full < other.full if isinstance(other, JID) else NotImplemented

    @property
    def isBare(self) -> bool:
        """Whether there is no resourcepart: C{user@domain} or C{domain}."""
        return self.resource is None

    @property
    def isFull(self) -> bool:
        """Whether there is a resourcepart: C{user@domain/resource} or C{domain/resource}."""
        return self.resource is not None

    @property
    def isDomain(self) -> bool:
        """Whether there is a domainpart and nothing else."""
        return self.resource is None and self.local is None

    def toBare(self) -> JID:
        """This address without its resourcepart."""
        return self if self.resource is None else JID(self.local, self.domain)

    def toDomain(self) -> JID:
        """The domainpart of this address as an address."""
        return self if self.isDomain else JID(None, self.domain)

    def withResource(self, resource: str) -> JID:
        """
        This address with another resourcepart.

        @param resource: raw text, which is prepared here.
        @raise JIDMalformed: if it can't be a resourcepart.
        """
        return JID(self.local, self.domain, prepareResource(resource))


# The way past JID.__setattr__, half as dear as object.__setattr__.
_setLocal, _setDomain, _setResource, _setBare, _setFull = (
    JID.__dict__[name].__set__ for name in ("local", "domain", "resource", "bare", "full")
)


def parse(text: str) -> JID:
    """
    The address that C{text} spells (RFC 7622 section 3). Remembers what it accepted, never what it refused.

    @raise JIDMalformed: if C{text} is no address.
    """
    return _remembered(text) if len(text) <= CACHED_LENGTH else _parse(text)


def fromParts(local: str | None, domain: str, resource: str | None) -> JID:
    """
    The address made of raw parts; None stands for a part that isn't there.

    @raise JIDMalformed: if one of them is invalid, also if it is empty.
    """
    return JID(
        None if local is None else prepareLocal(local),
        prepareDomain(domain),
        None if resource is None else prepareResource(resource),
    )


def prepareLocal(text: str) -> str:
    """
    Normalise a localpart (RFC 7622 section 3.3): UsernameCaseMapped without the eight excluded characters.

    @raise JIDMalformed: if it is empty, longer than L{MAX_PART} octets or holds what a localpart may not.
    """
    return text.lower() if _plainLocal(text) else _enforceLocal(text)


def prepareDomain(text: str) -> str:
    """
    Normalise a domainpart (RFC 7622 section 3.2): a domain name, an IPv4 address or an IPv6 address in brackets.

    @raise JIDMalformed: if it is empty, too long or none of these.
    """
    return text.lower() if len(text) <= MAX_DOMAIN_NAME and _plainDomain(text) else _enforceDomain(text)


def prepareResource(text: str) -> str:
    """
    Normalise a resourcepart (RFC 7622 section 3.4): OpaqueString without a space at either end.

    @raise JIDMalformed: if it is empty, longer than L{MAX_PART} octets or holds what a resourcepart may not.
    """
    return text if _plainResource(text) else _enforceResource(text)


def _parse(text: str) -> JID:
    """L{parse} without a memory."""
    match = _plainAddress(text)
    if match is not None:
        local, domain, resource = match.groups()
        if len(domain) <= MAX_DOMAIN_NAME:
            return JID(local and local.lower(), domain.lower(), resource)
    return fromParts(*_split(text))


_remembered = lru_cache(CACHE_SIZE)(_parse)


def _split(text: str) -> tuple[str | None, str, str | None]:
    """The raw parts of an address: what follows the first slash, then what precedes the first at sign (section 3.2)."""
    _measure("address", text, MAX_TOTAL)
    head, slash, resource = text.partition("/")
    local, at, domain = head.partition("@")
    return (local if at else None), (domain if at else head), (resource if slash else None)


def _measure(part: str, text: str, limit: int = MAX_PART) -> None:
    """Refuse what is empty, what has more than C{limit} octets of UTF-8 and what can't be written in UTF-8 at all."""
    if not text:
        raise JIDMalformed(f"The {part} is empty.")
    if len(text) > limit:  # no code point has less than one octet: never encode a megabyte to learn that it is long
        raise JIDMalformed(f"The {part} is longer than {limit} octets.")
    try:
        octets = len(text.encode())
    except UnicodeEncodeError as error:
        raise JIDMalformed(f"The {part} holds {_where(text, error.start)}, which is not a character.") from None
    if octets > limit:
        raise JIDMalformed(f"The {part} is longer than {limit} octets.")


def _where(text: str, index: int) -> str:
    """Name the code point at C{index} for an error text, without repeating it there."""
    return f"U+{ord(text[index]):04X} at position {index + 1}"


def _precisError(part: str, error: UnicodeEncodeError) -> JIDMalformed:
    """Say what a PRECIS profile disliked: one code point, or a rule that the whole string breaks."""
    reason = error.reason.partition("/")[2].replace("_", " ")
    if error.end - error.start == 1:
        return JIDMalformed(f"The {part} holds {_where(error.object, error.start)}, which is not allowed ({reason}).")
    return JIDMalformed(f"The {part} is not allowed as a whole ({reason}).")


def _enforceLocal(text: str) -> str:
    """L{prepareLocal} for any text (RFC 8265 section 3.3, RFC 7622 section 3.3.1)."""
    _measure(LOCALPART, text)
    try:
        # str.lower, which the profile uses, would make a final sigma of a capital one at the end of a word.
        local: str = _username.enforce(text.replace("\N{GREEK CAPITAL LETTER SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"))
    except UnicodeEncodeError as error:
        raise _precisError(LOCALPART, error) from None
    excluded = _excluded(local)  # after the width mapping, which makes U+0040 of U+FF20
    if excluded:
        raise JIDMalformed(f"The {LOCALPART} holds {_where(local, excluded.start())}, which is not allowed.")
    _measure(LOCALPART, local)
    return local


def _enforceResource(text: str) -> str:
    """L{prepareResource} for any text (RFC 8265 section 4.2)."""
    _measure(RESOURCEPART, text)
    try:
        resource: str = _opaqueString.enforce(text)
    except UnicodeEncodeError as error:
        raise _precisError(RESOURCEPART, error) from None
    if resource[0] == " " or resource[-1] == " ":  # by now all kinds of space are this one
        raise JIDMalformed(f"The {RESOURCEPART} begins or ends with a space.")
    _measure(RESOURCEPART, resource)
    return resource


def _enforceDomain(text: str) -> str:
    """L{prepareDomain} for any text (RFC 7622 section 3.2)."""
    _measure(DOMAINPART, text)
    text = text.removesuffix(".")
    if text.startswith("["):
        return _ipv6Literal(text)
    try:
        return _domainName(text)
    except idna.IDNAError as error:
        raise _idnaError(error) from None


def _idnaError(error: idna.IDNAError) -> JIDMalformed:
    """Say which rule of IDNA2008 a domain name breaks, without repeating the name."""
    rule = (error.code or "invalid").replace("_", " ")
    culprit = "" if error.codepoint is None else f", U+{error.codepoint:04X}"
    return JIDMalformed(f"The {DOMAINPART} is not a domain name ({rule}{culprit}).")


def _ipv6Literal(text: str) -> str:
    """An IPv6 address in brackets, in the one spelling of RFC 5952."""
    try:
        if not text.endswith("]") or "%" in text:
            raise AddressValueError
        address = IPv6Address(text[1:-1])
    except AddressValueError:
        raise JIDMalformed(f"The {DOMAINPART} is not an IPv6 address in brackets.") from None
    if address.ipv4_mapped is not None:  # section 5 of RFC 5952; Python's own spelling depends on its version
        return f"[::ffff:{address.ipv4_mapped}]"
    return f"[{address.compressed}]"


def _domainName(text: str) -> str:
    """
    A domain name in lower case with U-labels, or an IPv4 address.

    @raise idna.IDNAError: if IDNA2008 or the mapping before it forbids the name.
    """
    name = idna.uts46_remap(text)
    if len(name) > MAX_DOMAIN_NAME:  # the ASCII form is never shorter
        raise JIDMalformed(f"The {DOMAINPART} is longer than {MAX_DOMAIN_NAME} octets.")
    labels = name.split(".")
    if labels[-1].isascii() and labels[-1].isdigit():
        return _ipv4Address(name)
    labels = [_label(label) for label in labels]
    domain = ".".join(labels)
    if sum(len(idna.alabel(label)) + 1 for label in labels) - 1 > MAX_DOMAIN_NAME:
        raise JIDMalformed(f"The {DOMAINPART} is longer than {MAX_DOMAIN_NAME} octets.")
    _checkDirection(labels)
    if idna.uts46_remap(domain) != domain:  # an A-label may spell what the mapping would change
        raise JIDMalformed(f"The {DOMAINPART} hides a name that is not in its canonical form.")
    return domain


def _ipv4Address(name: str) -> str:
    """The IPv4 address C{name}, whose last label is a number."""
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        raise JIDMalformed(f"The {DOMAINPART} ends in a number and is not an IPv4 address.") from None


def _label(text: str) -> str:
    """One label as U-label or NR-LDH label (RFC 5891 section 5.4)."""
    if not text:
        raise JIDMalformed(f"The {DOMAINPART} has an empty label.")
    if len(text) > MAX_LABEL:
        raise JIDMalformed(f"The {DOMAINPART} has a label longer than {MAX_LABEL} octets.")
    return idna.ulabel(text)


def _checkDirection(labels: list[str]) -> None:
    """In a name with any right-to-left label, every label obeys the Bidi Rule (RFC 5893 section 2)."""
    if any(not label.isascii() and _isRightToLeft(label) for label in labels):
        for label in labels:
            idna.check_bidi(label, check_ltr=True)


def _isRightToLeft(label: str) -> bool:
    """Whether a valid label begins with a right-to-left letter; by the Bidi Rule no other label holds one."""
    return bidirectional(label[0]) in ("R", "AL")


_escapable = re.compile(r"[ \"&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)").sub
_escaped = re.compile(r"\\(20|22|26|27|2f|3a|3c|3e|40|5c)").sub


def escapeLocal(text: str) -> str:
    """
    Spell a foreign name, say C{d'artagnan}, with the characters of a localpart (XEP-0106 section 4.2).

    The result is not yet prepared, and the escapes are significant in lower case only: lower C{text} first where it may
    hold capitals.

    @raise JIDMalformed: if C{text} begins or ends with a space, for which there is no escape (section 3.2).
    """
    if text.startswith(" ") or text.endswith(" "):
        raise JIDMalformed("A name that begins or ends with a space can't be escaped.")
    return _escapable(lambda match: f"\\{ord(match[0]):02x}", text)


def unescapeLocal(text: str) -> str:
    """
    What an escaped localpart shows to a person or to a foreign system (XEP-0106 section 3.3).

    Never compare or send the result: it is no localpart.
    """
    return _escaped(lambda match: chr(int(match[1], 16)), text)
