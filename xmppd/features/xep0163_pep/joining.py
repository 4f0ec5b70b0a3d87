"""
How XEP-0163 joins a host.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from xmppd.features.xep0163_pep.audience import Audience
from xmppd.features.xep0163_pep.capabilities import Capabilities
from xmppd.features.xep0163_pep.personal import PersonalNodes
from xmppd.features.xep0163_pep.profile import PersonalProfile
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import Departure, IHost
from xmppd.pubsub.configuration import Bounds
from xmppd.pubsub.departing import Departing
from xmppd.pubsub.discovery import Discovery
from xmppd.pubsub.names import features
from xmppd.pubsub.requests import PubSub

NAME: Final = "xep0163_pep"

FEATURES: Final = features(
    "access-presence",
    "auto-create",
    "auto-subscribe",
    "filtered-notifications",
    "last-published",
    "presence-notifications",
    "presence-subscribe",
)


def join(host: IHost) -> None:
    """Make every account a service."""

    def option(key: str) -> Any:
        return host.option(NAME, key)

    bounds = Bounds(
        nodes=option("nodes"), items=option("items"), payload=option("payload_bytes"), bytes=option("bytes")
    )
    capabilities = Capabilities(host)
    audience = Audience(host, capabilities)
    profile = PersonalProfile(host, bounds, audience)
    service = PubSub(host, profile)
    audience.shelf, audience.notices = service.shelf, service.notices
    service.join(host)
    host.personal = PersonalNodes(service, profile)
    _discoverable(host, service)
    _listen(host, capabilities, audience, service)


def _discoverable(host: IHost, service: PubSub) -> None:
    """Tell disco of accounts' nodes."""
    discovery = Discovery(service.shelf)
    host.disco.accountIdentities.append(("pubsub", "pep", ""))
    host.disco.accountInfo.append(lambda request, node: Deferred.fromCoroutine(discovery.info(request, node)))
    host.disco.accountItems.append(lambda request, node: Deferred.fromCoroutine(discovery.items(request, node)))


def _listen(host: IHost, capabilities: Capabilities, audience: Audience, service: PubSub) -> None:
    """Join the moments that matter."""

    departing = Departing(service.shelf, service.owning, lambda owner: owner.endswith("@" + host.domain))

    async def farewell(departure: Departure) -> None:
        await departing.farewell(departure)
        audience.removed(departure.bare)

    host.hooks.starting.addObserver(capabilities.load)
    host.hooks.bound.addObserver(audience.bound)
    host.hooks.available.addObserver(audience.available)
    host.hooks.unavailable.addObserver(audience.unavailable)
    host.hooks.shown.addObserver(audience.shown)
    host.hooks.arriving.addChange(audience.arriving)
    host.hooks.removed.addObserver(audience.removed)
    host.hooks.farewell.addObserver(farewell)


def _positive(value: int) -> str | None:
    return None if value > 0 else "it has to be positive"


def _most(limit: int) -> Any:
    return lambda value: None if 0 < value <= limit else f"it has to be from 1 to {limit}"


feature = Feature(
    name=NAME,
    specs=(
        Spec("XEP-0163", "1.2.2"),
        Spec("XEP-0060", "1.30.0"),
        Spec("XEP-0222", "1.0"),
        Spec("XEP-0223", "1.1.1"),
    ),
    namespaces=FEATURES,
    accountNamespaces=(*FEATURES, "http://jabber.org/protocol/pubsub#pubsub-on-a-jid"),
    identities=(("pubsub", "pep", ""),),
    options={
        "nodes": Option(100, "How many nodes an account may have.", _positive),
        "items": Option(1000, "How many items a node may keep.", _most(10_000)),
        "payload_bytes": Option(131_072, "How many octets the payload of an item may have.", _most(1 << 20)),
        "bytes": Option(16 << 20, "How many octets all nodes of an account may have.", _positive),
    },
    join=join,
    after=("rfc6121_im",),
)
