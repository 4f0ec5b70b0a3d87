"""
How SASL data is written inside XML (RFC 6120 sections 6.4 and 13.9.1).

Base64 of RFC 4648 section 4, with one addition: C{=} alone stands for data of zero length, so that an empty element
can mean that there is no data at all.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from typing import Final

from xmppd.sasl.steps import malformed
from xmppd.wire.errors import SASLCondition, SASLError

MAX_TEXT: Final = 8192
"""The most characters of base64 that are decoded; every mechanism stops earlier, at 4096 octets of data."""


def strictBase64(text: str) -> bytes:
    """
    Decode base64, refusing whatever a careful encoder does not write: white space and other foreign characters,
    missing or surplus padding, bits left over in the last character (RFC 4648 sections 3.1 to 3.5).

    @raise ValueError: if C{text} isn't exactly the base64 of something.
    """
    try:
        raw = text.encode("ascii")
        data = binascii.a2b_base64(raw, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("not base64") from None
    if b64encode(data) != raw:
        raise ValueError("not canonical base64")
    return data


def decode(text: str) -> bytes | None:
    """
    The data in an C{<auth/>} or C{<response/>}.

    @return: None for no text at all, which in an C{<auth/>} means that there is no initial response.
    @raise SASLError: C{incorrect-encoding} if it isn't base64, C{malformed-request} if it is too long.
    """
    if not text:
        return None
    if text == "=":
        return b""
    if len(text) > MAX_TEXT:
        raise malformed("The message is too long.")
    try:
        return strictBase64(text)
    except ValueError:
        raise SASLError(SASLCondition.INCORRECT_ENCODING, "This is not base64.") from None


def decodeElement(text: str) -> bytes:
    """
    The data in an element of XEP-0388 section 2.2, where an empty element means data of zero length.

    @raise SASLError: as L{decode} does.
    """
    text = text.strip(" \t\r\n")
    if text == "=":
        raise SASLError(SASLCondition.INCORRECT_ENCODING, "This is not base64.")
    return decode(text) or b""


def encodeElement(data: bytes) -> str:
    """The text of an element of XEP-0388 that carries C{data}."""
    return b64encode(data).decode("ascii")


def encode(data: bytes) -> str:
    """The text of a C{<challenge/>} or C{<success/>} that carries C{data}; C{=} if that is empty."""
    return b64encode(data).decode("ascii") or "="
