"""
How XEP-0060 joins the domain of a service.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from xmppd.features.xep0060_pubsub.correspondence import Correspondence
from xmppd.features.xep0060_pubsub.ownerless import Ownerless
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.pubsub.configuration import Bounds, NodeConfig
from xmppd.pubsub.departing import Departing
from xmppd.pubsub.discovery import Discovery
from xmppd.pubsub.errors import forbidden
from xmppd.pubsub.names import features
from xmppd.pubsub.profile import Profile
from xmppd.pubsub.requests import PubSub
from xmppd.wire import ns
from xmppd.wire.errors import StanzaError

NAME: Final = "xep0060_pubsub"


class ServiceProfile(Profile):
    """
    The rules of a service at its own domain.

    @ivar create: who may create nodes: "admins", or "users": everybody with an account on this server.
    """

    def __init__(self, host: IHost, bounds: Bounds, create: str) -> None:
        super().__init__(host, bounds, NodeConfig(itemReply="publisher"))
        self._create = create

    def creationRefusal(self, request: Request) -> StanzaError | None:
        """See L{Profile}. A guest's address will be nobody's or somebody else's: guests own nothing."""
        if self.host.isAdmin(request.sender):
            return None
        session = request.session
        if self._create == "users" and session is not None and not session.account.anonymous:
            return None
        return forbidden("Nodes are created by others here.")


def join(host: IHost) -> None:
    """Serve."""

    def option(key: str) -> Any:
        return host.option(NAME, key)

    bounds = Bounds(
        nodes=option("nodes"),
        items=option("items"),
        payload=option("payload_bytes"),
        bytes=option("bytes"),
        subscribers=option("subscribers"),
        subscriptions=option("subscriptions"),
    )
    service = PubSub(host, ServiceProfile(host, bounds, option("create")))
    service.join(host)
    discovery = Discovery(service.shelf)
    host.disco.info.append(lambda request, node: Deferred.fromCoroutine(discovery.info(request, node)))
    host.disco.items.append(lambda request, node: Deferred.fromCoroutine(discovery.items(request, node)))
    host.post = Correspondence(host, service).received
    host.addCommand(service.people.command())
    ownerless = Ownerless(host, service, option("create") == "users")
    deleting = option("create") == "users"
    departing = Departing(service.shelf, service.owning, lambda owner: owner == host.domain, deleting)
    host.hooks.farewell.addObserver(departing.farewell)
    host.hooks.removed.addObserver(ownerless.removed)
    host.hooks.starting.addObserver(ownerless.start)
    host.hooks.stopping.addObserver(ownerless.stop)


def _positive(value: int) -> str | None:
    return None if value > 0 else "it has to be positive"


def _most(limit: int) -> Any:
    return lambda value: None if 0 < value <= limit else f"it has to be from 1 to {limit}"


def _creators(value: str) -> str | None:
    return None if value in ("admins", "users") else 'it is "admins" or "users"'


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0060", "1.30.0"), Spec("XEP-0059", "1.0")),
    namespaces=(*features("access-open", "get-pending"), ns.RESULT_SET),
    identities=(("pubsub", "service", "Publish-Subscribe"),),
    options={
        "create": Option(
            "users", 'Who may create nodes: "admins", or "users" with an account on this server.', _creators
        ),
        "nodes": Option(100, "How many nodes one user may own.", _positive),
        "items": Option(1000, "How many items a node may keep.", _most(10_000)),
        "payload_bytes": Option(65_536, "How many octets the payload of an item may have.", _most(1 << 20)),
        "bytes": Option(1 << 30, "How many octets all nodes together may have.", _positive),
        "subscribers": Option(10_000, "How many subscriptions a node may have.", _positive),
        "subscriptions": Option(1000, "How many subscriptions one entity may have.", _positive),
    },
    join=join,
    joins=(),
    serves="pubsub",
)
