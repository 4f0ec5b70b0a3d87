"""
What can be wrong with what a peer sent, and how it is told.

L{PeerError} is the peer's mistake: it is answered, never logged as ours. Its three kinds follow RFC 6120: a
L{StreamError} (section 4.9) ends the stream, a L{StanzaError} (section 8.3) answers one stanza, a L{SASLError}
(section 6.5) answers one attempt at authentication. All conditions defined there are the members of the enums here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute, escapeText, writable


class StreamCondition(StrEnum):
    """The stream error conditions of RFC 6120 section 4.9.3."""

    BAD_FORMAT = "bad-format"
    BAD_NAMESPACE_PREFIX = "bad-namespace-prefix"
    CONFLICT = "conflict"
    CONNECTION_TIMEOUT = "connection-timeout"
    HOST_GONE = "host-gone"
    HOST_UNKNOWN = "host-unknown"
    IMPROPER_ADDRESSING = "improper-addressing"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    INVALID_FROM = "invalid-from"
    INVALID_NAMESPACE = "invalid-namespace"
    INVALID_XML = "invalid-xml"
    NOT_AUTHORIZED = "not-authorized"
    NOT_WELL_FORMED = "not-well-formed"
    POLICY_VIOLATION = "policy-violation"
    REMOTE_CONNECTION_FAILED = "remote-connection-failed"
    RESET = "reset"
    RESOURCE_CONSTRAINT = "resource-constraint"
    RESTRICTED_XML = "restricted-xml"
    SEE_OTHER_HOST = "see-other-host"
    SYSTEM_SHUTDOWN = "system-shutdown"
    UNDEFINED_CONDITION = "undefined-condition"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    UNSUPPORTED_STANZA_TYPE = "unsupported-stanza-type"
    UNSUPPORTED_VERSION = "unsupported-version"


class ErrorType(StrEnum):
    """What the sender of a refused stanza may do about it (RFC 6120 section 8.3.2)."""

    AUTH = "auth"
    CANCEL = "cancel"
    CONTINUE = "continue"
    MODIFY = "modify"
    WAIT = "wait"


class StanzaCondition(StrEnum):
    """The stanza error conditions of RFC 6120 section 8.3.3."""

    BAD_REQUEST = "bad-request"
    CONFLICT = "conflict"
    FEATURE_NOT_IMPLEMENTED = "feature-not-implemented"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    ITEM_NOT_FOUND = "item-not-found"
    JID_MALFORMED = "jid-malformed"
    NOT_ACCEPTABLE = "not-acceptable"
    NOT_ALLOWED = "not-allowed"
    NOT_AUTHORIZED = "not-authorized"
    POLICY_VIOLATION = "policy-violation"
    RECIPIENT_UNAVAILABLE = "recipient-unavailable"
    REDIRECT = "redirect"
    REGISTRATION_REQUIRED = "registration-required"
    REMOTE_SERVER_NOT_FOUND = "remote-server-not-found"
    REMOTE_SERVER_TIMEOUT = "remote-server-timeout"
    RESOURCE_CONSTRAINT = "resource-constraint"
    SERVICE_UNAVAILABLE = "service-unavailable"
    SUBSCRIPTION_REQUIRED = "subscription-required"
    UNDEFINED_CONDITION = "undefined-condition"
    UNEXPECTED_REQUEST = "unexpected-request"


DEFAULT_TYPES: Final[dict[StanzaCondition, ErrorType]] = {
    StanzaCondition.BAD_REQUEST: ErrorType.MODIFY,
    StanzaCondition.CONFLICT: ErrorType.CANCEL,
    StanzaCondition.FEATURE_NOT_IMPLEMENTED: ErrorType.CANCEL,
    StanzaCondition.FORBIDDEN: ErrorType.AUTH,
    StanzaCondition.GONE: ErrorType.CANCEL,
    StanzaCondition.INTERNAL_SERVER_ERROR: ErrorType.CANCEL,
    StanzaCondition.ITEM_NOT_FOUND: ErrorType.CANCEL,
    StanzaCondition.JID_MALFORMED: ErrorType.MODIFY,
    StanzaCondition.NOT_ACCEPTABLE: ErrorType.MODIFY,
    StanzaCondition.NOT_ALLOWED: ErrorType.CANCEL,
    StanzaCondition.NOT_AUTHORIZED: ErrorType.AUTH,
    StanzaCondition.POLICY_VIOLATION: ErrorType.MODIFY,
    StanzaCondition.RECIPIENT_UNAVAILABLE: ErrorType.WAIT,
    StanzaCondition.REDIRECT: ErrorType.MODIFY,
    StanzaCondition.REGISTRATION_REQUIRED: ErrorType.AUTH,
    StanzaCondition.REMOTE_SERVER_NOT_FOUND: ErrorType.CANCEL,
    StanzaCondition.REMOTE_SERVER_TIMEOUT: ErrorType.WAIT,
    StanzaCondition.RESOURCE_CONSTRAINT: ErrorType.WAIT,
    StanzaCondition.SERVICE_UNAVAILABLE: ErrorType.CANCEL,
    StanzaCondition.SUBSCRIPTION_REQUIRED: ErrorType.AUTH,
    StanzaCondition.UNDEFINED_CONDITION: ErrorType.CANCEL,
    StanzaCondition.UNEXPECTED_REQUEST: ErrorType.WAIT,
}
"""The error type that RFC 6120 section 8.3.3 connects with each condition."""


class SASLCondition(StrEnum):
    """The SASL failure conditions of RFC 6120 section 6.5."""

    ABORTED = "aborted"
    ACCOUNT_DISABLED = "account-disabled"
    CREDENTIALS_EXPIRED = "credentials-expired"
    ENCRYPTION_REQUIRED = "encryption-required"
    INCORRECT_ENCODING = "incorrect-encoding"
    INVALID_AUTHZID = "invalid-authzid"
    INVALID_MECHANISM = "invalid-mechanism"
    MALFORMED_REQUEST = "malformed-request"
    MECHANISM_TOO_WEAK = "mechanism-too-weak"
    NOT_AUTHORIZED = "not-authorized"
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure"


def _text(text: str) -> str:
    """Any string as character data: what XML can't hold may have come from a peer's bytes or an exception."""
    return escapeText(writable(text))


class PeerError(Exception):
    """
    A mistake of the entity at the other end.

    @ivar condition: the defined condition that names it.
    @ivar text: one English sentence for a human reader, or None.
    """

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text

    def __str__(self) -> str:
        return f"{self.condition}: {self.text}" if self.text else str(self.condition)

    def textElement(self, namespace: str) -> str:
        """The optional C{<text/>} in C{namespace}, or an empty string."""
        if self.text is None:
            return ""
        return f"<text xmlns='{namespace}' xml:lang='en'>{_text(self.text)}</text>"


class StreamError(PeerError):
    """
    A mistake that ends the stream (RFC 6120 section 4.9).

    @ivar content: character data of the condition element (only C{see-other-host} has any).
    @ivar application: bytes of an application-specific condition element, or empty.
    """

    def __init__(
        self, condition: StreamCondition, text: str | None = None, content: str = "", application: bytes = b""
    ) -> None:
        super().__init__(StreamCondition(condition), text)
        self.content = content
        self.application = application

    def toBytes(self) -> bytes:
        """The C{<stream:error/>} element, for a stream that binds the prefix C{stream}."""
        start = f"<stream:error><{self.condition} xmlns='{ns.STREAM_ERRORS}'"
        rest = f">{_text(self.content)}</{self.condition}>" if self.content else "/>"
        text = self.textElement(ns.STREAM_ERRORS)
        return (start + rest + text).encode() + self.application + b"</stream:error>"


class StanzaError(PeerError):
    """
    A mistake, or a refusal, that answers one stanza (RFC 6120 section 8.3).

    @ivar type: what the sender may do; by default what the RFC connects with the condition.
    @ivar application: bytes of an application-specific condition element (section 8.3.4), or empty.
    @ivar content: character data of the condition element (C{gone} and C{redirect} carry an address).
    @ivar by: the address that refused, where it is not obvious (C{by} attribute), or None.
    """

    def __init__(
        self,
        condition: StanzaCondition,
        text: str | None = None,
        type: ErrorType | None = None,
        application: bytes = b"",
        content: str = "",
        by: str | None = None,
    ) -> None:
        condition = StanzaCondition(condition)
        super().__init__(condition, text)
        self.type = type or DEFAULT_TYPES[condition]
        self.application = application
        self.content = content
        self.by = by

    def toBytes(self) -> bytes:
        """The C{<error/>} element, unprefixed, for the inside of a stanza."""
        by = f" by='{escapeAttribute(writable(self.by))}'" if self.by else ""
        start = f"<error type='{self.type}'{by}><{self.condition} xmlns='{ns.STANZA_ERRORS}'"
        rest = f">{_text(self.content)}</{self.condition}>" if self.content else "/>"
        text = self.textElement(ns.STANZA_ERRORS)
        return (start + rest + text).encode() + self.application + b"</error>"


class SASLError(PeerError):
    """An attempt at authentication that failed (RFC 6120 section 6.5)."""

    def __init__(self, condition: SASLCondition, text: str | None = None) -> None:
        super().__init__(SASLCondition(condition), text)

    def toBytes(self) -> bytes:
        """The C{<failure/>} element."""
        text = self.textElement(ns.SASL)
        return f"<failure xmlns='{ns.SASL}'><{self.condition}/>{text}</failure>".encode()
