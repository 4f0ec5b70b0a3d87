"""
How chat rooms join a domain.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred

from xmppd.features.xep0045_muc.departures import Departures
from xmppd.features.xep0045_muc.information import SERVICE_FEATURES
from xmppd.features.xep0045_muc.options import OPTIONS, read
from xmppd.features.xep0045_muc.service import Service
from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost

NAME: Final = "xep0045_muc"


def join(host: IHost) -> None:
    """Make a domain a service of chat rooms."""
    service = Service(host, read(lambda key: host.option(NAME, key)))
    host.rooms = service
    host.inbox = service.inbox
    host.identities.append(("conference", "text", service.options.name))
    host.disco.listing = service.listing

    def starting() -> Deferred[None]:
        return Deferred.fromCoroutine(service.start())

    host.hooks.starting.addObserver(starting)
    host.hooks.stopping.addObserver(service.stop)
    host.hooks.farewell.addObserver(Departures(service).farewell)
    host.hooks.removed.addObserver(service.forgetUser)
    host.hooks.loading.addObserver(service.loading)
    host.hooks.ended.addObserver(service.ended)


feature = Feature(
    name=NAME,
    specs=(
        Spec("XEP-0045", "1.35.5"),
        Spec("XEP-0249", "1.2"),
        Spec("XEP-0317", "0.3.1"),
        Spec("XEP-0410", "1.1.0"),
        Spec("XEP-0421", "1.0.1"),
        Spec("XEP-0425", "0.3.0"),
        Spec("XEP-0486", "0.1.0"),
        Spec("XEP-0500", "0.1.1"),
    ),
    namespaces=SERVICE_FEATURES,
    options=OPTIONS,
    join=join,
    joins=(),
    serves="rooms",
)
