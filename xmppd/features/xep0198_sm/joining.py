"""
How stream management joins a host.
"""

from __future__ import annotations

from xmppd.features.xep0198_sm.inline import joinInline
from xmppd.features.xep0198_sm.resumption import NAME, StreamManagement
from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost
from xmppd.wire import ns


def join(host: IHost) -> None:
    """Offer stream management."""
    management = StreamManagement(host)
    management.join()
    joinInline(host, management)


feature = Feature(name=NAME, specs=(Spec("XEP-0198", "1.6.3"),), namespaces=(ns.STREAM_MANAGEMENT,), join=join)
