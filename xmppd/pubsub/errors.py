"""
The errors of XEP-0060: a condition of RFC 6120 with a condition of publish-subscribe inside.
"""

from __future__ import annotations

from xmppd.pubsub.names import ERRORS
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError


def refusal(
    condition: StanzaCondition,
    name: str,
    text: str | None = None,
    type: ErrorType | None = None,
    feature: str | None = None,
) -> StanzaError:
    """
    An error with a condition of publish-subscribe.

    @param name: the specific condition, for example "closed-node".
    @param feature: which feature is C{unsupported}.
    """
    specific = Element(name, ERRORS, {} if feature is None else {"feature": feature})
    return StanzaError(condition, text, type, specific.toBytes())


def unsupported(feature: str, text: str | None = None) -> StanzaError:
    """A node or the service doesn't have a feature."""
    return refusal(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "unsupported", text, feature=feature)


def notFound(text: str | None = None) -> StanzaError:
    """There is no such node, or no such item."""
    return StanzaError(StanzaCondition.ITEM_NOT_FOUND, text)


def forbidden(text: str | None = None) -> StanzaError:
    """Whoever asks may not."""
    return StanzaError(StanzaCondition.FORBIDDEN, text)


def nodeRequired() -> StanzaError:
    """The request names no node."""
    return refusal(StanzaCondition.BAD_REQUEST, "nodeid-required")


def invalidOptions(text: str) -> StanzaError:
    """Options of a subscription that can't be had (section 6.3.6.2)."""
    return refusal(StanzaCondition.BAD_REQUEST, "invalid-options", text)


class PartlyRefused(StanzaError):
    """
    Some of several changes were refused; all others are made (sections 8.8.2.4 and 8.9.2.4).

    @ivar returned: the C{<pubsub/>} with the refused entries as they still are, in front of the error.
    """

    def __init__(self, returned: Element) -> None:
        super().__init__(StanzaCondition.NOT_ACCEPTABLE)
        self.returned = returned

    def toBytes(self) -> bytes:
        """The entries, then the C{<error/>}."""
        return self.returned.toBytes() + super().toBytes()
