"""
What identifies a key, in the forms in which people's clients send keys: those of XML Signature, as in the examples of
XEP-0165, and those of XEP-0189.

An identity is a text that two elements share if they are about the same key. A key itself is hashed (SHA-256); if there
is only a name or a fingerprint of its sender's making, that has to do. No signature is checked here and no trust
derived: a server can say that a key is another than before, or than the one that somebody has recommended.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Final

from xmppd.wire.element import Element

SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
PUBKEY: Final = "urn:xmpp:pubkey:2"

KEY_INFO: Final = f"{SIGNATURE} KeyInfo"
KEY: Final = f"{PUBKEY} pubkey"

MOST: Final = 10
"""How many keys of one element are looked at."""

LONGEST: Final = 200
"""How many characters of a name or fingerprint count."""


def identities(elements: Iterable[Element]) -> tuple[str, ...]:
    """The identities of all keys among some elements, in order."""
    found: dict[str, None] = {}
    for each in elements:
        if each.qname == KEY_INFO:
            identity = _ofKeyInfo(each)
        elif each.qname == KEY:
            identity = _ofPubkey(each)
        else:
            continue
        if identity is not None:
            found[identity] = None
        if len(found) >= MOST:
            break
    return tuple(found)


def _ofKeyInfo(info: Element) -> str | None:
    """Of an element of XML Signature: of the certificate or key in it, else of the name."""
    for child in info.elements():
        if child.name == "X509Data":
            certificate = child.find("X509Certificate")
            if certificate is not None:
                return _hashed("x509", _decoded(certificate.text))
        elif child.name == "KeyValue":
            numbers = [_decoded(each.text) for value in child.elements() for each in value.elements()]
            if numbers:
                return _hashed("key", b"\0".join(number.lstrip(b"\0") for number in numbers))
        elif child.name == "PGPData":
            parts = [each for each in child.elements() if each.name in ("PGPKeyID", "PGPKeyPacket")]
            if parts:
                return _hashed("pgp", b"\0".join(_decoded(each.text) for each in parts))
    name = info.find("KeyName")
    return _named("name", name.text) if name is not None else None


def _ofPubkey(pubkey: Element) -> str | None:
    """Of an element of XEP-0189 section 3: of modulus and exponent, else of the whole key, else of the fingerprint."""
    inside = pubkey.find("rsakey") or pubkey
    modulus, exponent, key = inside.find("modulus"), inside.find("publicExponent"), inside.find("key")
    if modulus is not None and exponent is not None:
        return _hashed("rsa", f"{_digits(modulus.text)}:{_digits(exponent.text)}".encode())
    if key is not None and key.text.strip():
        return _hashed("key", _decoded(key.text))
    fingerprint = inside.find("print")
    return _named("print", fingerprint.text) if fingerprint is not None else None


def _digits(text: str) -> str:
    """A number without the white space and the zeros that it may be written with."""
    return "".join(text.split()).lstrip("0")


def _decoded(text: str) -> bytes:
    """What Base64 stands for; the text itself if it is none."""
    plain = "".join(text.split())
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        return plain.encode()


def _hashed(kind: str, data: bytes) -> str | None:
    return f"{kind}:sha-256:{hashlib.sha256(data).hexdigest()}" if data else None


def _named(kind: str, text: str) -> str | None:
    name = " ".join(text.split())[:LONGEST]
    return f"{kind}:{name}" if name else None
