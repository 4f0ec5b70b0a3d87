"""
What the stream parser refuses, and in which words (RFC 6120 sections 4.9.3 and 11.1).
"""

from __future__ import annotations

from xmppd.wire.errors import StreamCondition, StreamError


def tooMany(limit: int, what: str) -> StreamError:
    """The error for what there are too many of."""
    return StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limit} {what}.")


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
