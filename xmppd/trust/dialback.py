"""
Server Dialback (XEP-0220): keys, results, and what TLS and DNSSEC make of it; what is said on the stream is in
L{xmppd.stream.dialback}.

Keys are made as XEP-0185 recommends: nothing is remembered about a key, since whoever knows the secret can make it
again from the two domains and the stream's id. XEP-0344 says when the way to the authoritative server can be spared;
here each of its statements is a function of facts. All of this gives weak identity, never more than its proof (RFC 7590
section 3.4): whoever can bend the DNS, or the path, passes it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from typing import Final

from xmppd.trust.certificatefacts import load, shown
from xmppd.trust.identities import namesOf
from xmppd.trust.pkix import matchNames
from xmppd.trust.verdict import Proof, Prooftype, failed, held

MAX_KEY: Final = 1024
"""No dialback key is longer, in characters; other servers' keys may have any form."""

_WHITESPACE: Final = " \t\r\n"
_KEY = re.compile(r"[0-9a-f]{64}")


# --- keys (XEP-0185) ----------------------------------------------------------------------------------------------


def makeKey(secret: bytes, receiving: str, originating: str, streamID: str) -> str:
    """
    The key for one stream and one pair of domains (XEP-0185 section 2), in hexadecimal.

    @param secret: known to all machines that answer for the originating domain, and to nobody else.
    @param receiving: the domain that the key is sent to, as it stands in C{to}.
    @param originating: the domain that the key speaks for, as it stands in C{from}.
    @param streamID: the id of the stream, which the receiving server made.
    """
    hashed = hashlib.sha256(secret).hexdigest().encode("ascii")
    text = f"{receiving} {originating} {streamID}".encode()
    return hmac.new(hashed, text, hashlib.sha256).hexdigest()


def isKey(secret: bytes, receiving: str, originating: str, streamID: str, key: str) -> bool:
    """
    Whether a key that somebody asks about is ours; takes the same time wherever it differs.

    @param key: the text of C{<db:verify/>}; white space around it doesn't count.
    """
    if " " in receiving or " " in originating:
        # Then it wouldn't be clear where one part ends and the next begins.
        return False
    text = trimKey(key)
    expected = makeKey(secret, receiving, originating, streamID)
    return text is not None and _KEY.fullmatch(text) is not None and hmac.compare_digest(expected, text)


def trimKey(text: str) -> str | None:
    """A key as it came, without the white space around it; None if there is none or it is too long to pass on."""
    if len(text) > MAX_KEY + 64:
        return None
    key = text.strip(_WHITESPACE)
    return key if 0 < len(key) <= MAX_KEY else None


# --- results (XEP-0220) ---------------------------------------------------------------------------------------------


class DialbackResult(StrEnum):
    """The C{type} of C{<db:result/>} and C{<db:verify/>} as an answer; without a type they are requests."""

    VALID = "valid"
    INVALID = "invalid"
    ERROR = "error"


# --- what TLS and DNSSEC make of it (XEP-0344) --------------------------------------------------------------------


def sameCertificate(originating: bytes | None, authoritative: bytes | None, domain: str) -> bool:
    """
    Whether asking about the key can be spared, since the authoritative server has shown the certificate that the
    originating server has, and its names fit the domain (XEP-0344 section 2.6). Both hold its key.

    @param originating: DER of the certificate on the stream with the key, when the key came.
    @param authoritative: DER of the certificate on the stream that we opened to the domain.
    """
    if originating is None or authoritative is None or not hmac.compare_digest(originating, authoritative):
        return False
    try:
        return matchNames(namesOf(load(originating)), domain) is not None
    except ValueError:
        return False


def proveDialback(
    domain: str,
    result: DialbackResult,
    *,
    encrypted: bool,
    srvSecure: bool,
    addressSecure: bool,
    shortcut: bool = False,
) -> Proof:
    """
    What a dialback exchange proves.

    @param result: what the authoritative server has said; VALID with C{shortcut}.
    @param encrypted: both the stream with the key and that to the authoritative server have TLS.
    @param srvSecure: the SRV answer that led to the authoritative server was secure by DNSSEC.
    @param addressSecure: so was that for its address (XEP-0344 section 3.3: both are needed, and TLS).
    @param shortcut: L{sameCertificate} has answered in place of the authoritative server.
    """
    secure = encrypted and srvSecure and addressSecure
    prooftype = Prooftype.DIALBACK_DNSSEC if secure else Prooftype.DIALBACK
    if result is not DialbackResult.VALID:
        return failed(prooftype, _FAILURES[result])
    asked = "shows the same certificate" if shortcut else "knows the key"
    records = _RECORDS_SECURE if secure else _weakness(encrypted, srvSecure and addressSecure)
    return held(prooftype, f"the server that the DNS names for {shown(domain)} {asked}", records)


_RECORDS_SECURE: Final = "its DNS records are secure by DNSSEC"

_FAILURES: Final = {
    DialbackResult.INVALID: "the server that the DNS names for the domain doesn't know the key",
    DialbackResult.ERROR: "the server that the DNS names for the domain couldn't be asked about the key",
}


def _weakness(encrypted: bool, dnssec: bool) -> str:
    """Why a dialback is worth no more."""
    if dnssec and not encrypted:
        return "its DNS records are secure, but without TLS anybody on the path could have answered"
    return "its DNS records aren't secure by DNSSEC, so whoever controls the DNS could have answered"
