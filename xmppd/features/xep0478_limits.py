"""
Stream limits (XEP-0478): tells clients in the stream features how large an element may be, and how long a silence.

Before the login less is accepted, and the whole of it has to come soon; so only the size is told then. Guests are told
what guests may send.
"""

from __future__ import annotations

from functools import lru_cache

from zope.interface import implementer

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IClientStream, IHost, IStreamFeature
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza


@implementer(IStreamFeature)
class StreamLimits:
    """The limits of a client's stream."""

    names: tuple[str, ...] = ()
    requires: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()
    rank = 90

    def __init__(self, host: IHost) -> None:
        self._host = host

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 3.1)."""
        limits = self._host.limits
        if "authenticated" not in stream.facts:
            return told(min(limits.stanzaBytes, limits.unauthenticatedBytes), 0)
        most = limits.stanzaBytes
        if stream.account is not None and stream.account.anonymous and self._host.guests is not None:
            most = min(most, self._host.guests.allowed.stanzaBytes)
        return told(most, int(limits.idleSeconds))

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}: there is nothing to negotiate."""
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED)


@lru_cache(64)
def told(most: int, silence: int) -> bytes:
    """
    The feature.

    @param most: octets of an element.
    @param silence: after how many seconds of it a connection is looked after; 0 for never.
    """
    values = {"max-bytes": most, "idle-seconds": silence}
    children = tuple(Element(name, ns.STREAM_LIMITS, {}, (str(value),)) for name, value in values.items() if value)
    return Element("limits", ns.STREAM_LIMITS, {}, children).toBytes()


def join(host: IHost) -> None:
    """Advertise."""
    host.addStreamFeature(StreamLimits(host))


feature = Feature(
    name="xep0478_limits", specs=(Spec("XEP-0478", "0.2.0"),), namespaces=(ns.STREAM_LIMITS,), join=join
)
