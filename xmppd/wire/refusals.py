"""
What the stream parser refuses, and in which words (RFC 6120 sections 4.9.3 and 11.1).
"""

from __future__ import annotations

import re
from typing import Final

from xmppd.wire.errors import StreamCondition, StreamError

_CHARACTERS: Final = r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2}"
_URI: Final = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]*:(?!//)|[A-Za-z][A-Za-z0-9+.\-]*://[A-Za-z0-9\-._~]*(?::[0-9]{{1,5}})?(?=[/?#]|$)|"
    rf"(?=[^:/?#]*(?:[/?#]|$))(?!//))(?:{_CHARACTERS})*(?:#(?:{_CHARACTERS})*)?"
)
"""
What the name of a namespace looks like: a URI reference (RFC 3986), without user information and IP literals. Other
names are looked upon differently by different parsers: some refuse the document, and what we pass on must not break the
stream of whoever receives it.
"""


def tooMany(limit: int, what: str) -> StreamError:
    """The error for what there are too many of."""
    return StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limit} {what}.")


def refuseNamespace(name: str, most: int) -> None:
    """
    Refuse the name of a namespace that is longer than C{most} characters, or no URI.
    """
    if len(name) > most:
        raise StreamError(StreamCondition.POLICY_VIOLATION, "The name of a namespace is too long.")
    if not _URI.fullmatch(name):
        raise StreamError(StreamCondition.NOT_WELL_FORMED, "The name of a namespace is no URI.")


def textBetween() -> StreamError:
    """The error for character data outside of stanzas."""
    return StreamError(StreamCondition.BAD_FORMAT, "There is text between stanzas.")


def tooBig(what: str) -> StreamError:
    """The error for a stanza, or a tag, over its limit."""
    return StreamError(StreamCondition.POLICY_VIOLATION, f"The {what} is too big.")


def restricted(what: str) -> StreamError:
    """The error for XML that XMPP does not allow (RFC 6120 section 11.1)."""
    return StreamError(StreamCondition.RESTRICTED_XML, f"{what} is not allowed.")


def refuseComment(data: str) -> None:
    """Expat has met a comment."""
    raise restricted("A comment")


def refuseInstruction(target: str, data: str) -> None:
    """Expat has met a processing instruction."""
    raise restricted("A processing instruction")


def refuseDoctype(*names: object) -> None:
    """Expat has met a document type declaration."""
    raise restricted("A document type")


def refuseDeclaration(version: str, encoding: str | None, standalone: int) -> None:
    """Expat has met an XML declaration: refuse any encoding but UTF-8 (RFC 6120 section 11.6)."""
    if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8"):
        raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "The encoding has to be UTF-8.")
    if version != "1.0":
        raise StreamError(StreamCondition.NOT_WELL_FORMED, "The version of XML has to be 1.0.")
