"""
How a guest is told of a bound: the errors of XEP-0205 section 4.

Those that are answered often are made once: they are never raised, and hold nothing of the stanza they answer.
"""

from __future__ import annotations

from typing import Final

from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError, StreamCondition, StreamError

NAMESPACE: Final = "urn:xmpp:errors"


def condition(name: str) -> bytes:
    """An application-specific condition of XEP-0205 section 8."""
    return f"<{name} xmlns='{NAMESPACE}'/>".encode()


TOO_BIG: Final = StanzaError(
    StanzaCondition.NOT_ALLOWED,
    "Guests may not send stanzas this large.",
    ErrorType.MODIFY,
    condition("stanza-too-big"),
)
"""Section 4.5."""

TOO_MANY: Final = StanzaError(
    StanzaCondition.UNEXPECTED_REQUEST, "Guests may not send so much so fast.", None, condition("too-many-stanzas")
)
"""The pace of stanzas and octets (section 4.7)."""

TOO_MANY_RECIPIENTS: Final = StanzaError(
    StanzaCondition.UNEXPECTED_REQUEST,
    "Guests may not write to so many addresses in a minute.",
    ErrorType.WAIT,
    condition("too-many-stanzas"),
)
"""Section 4.6."""


def exceeded(text: str, type: ErrorType = ErrorType.CANCEL) -> StanzaError:
    """There is no more of something (section 4.4)."""
    return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text, type, condition("resource-limit-exceeded"))


def flooding() -> StreamError:
    """The end of a session that goes too fast again and again."""
    text = "Too much was sent too fast, again and again."
    return StreamError(StreamCondition.POLICY_VIOLATION, text, application=condition("too-many-stanzas"))
