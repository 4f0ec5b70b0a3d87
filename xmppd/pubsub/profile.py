"""
What a service at its own domain and the personal service of an account do differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from xmppd.ixmppd import IHost, Request, RosterItem, VetoPredicate
from xmppd.pubsub.configuration import Bounds, NodeConfig
from xmppd.pubsub.shelf import Node
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import parse

SHOWN = ("from", "both")
"""The states of a roster item whose contact sees the owner's presence."""

OWNERS_ASKED = 10
"""The rosters of how many owners of a node are asked."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """
    Who is notified without having subscribed (section 9.1).

    @ivar jid: the full JID.
    @ivar contact: whether it sees the owner's presence, and so may know the publishing resource.
    """

    jid: str
    contact: bool


class Profile:
    """
    The rules of one kind of service. What is here is common ground; see the subclasses in the features.

    @ivar target: whose IQs it answers, as L{IHost.respond} has it.
    @ivar bounds: what nobody may exceed.
    @ivar defaults: the configuration of nodes whose creator doesn't say otherwise.
    @ivar autoCreate: whether publishing creates a node that isn't there.
    """

    target = "host"
    autoCreate = False

    def __init__(self, host: IHost, bounds: Bounds, defaults: NodeConfig) -> None:
        self.host = host
        self.bounds = bounds
        self.defaults = defaults

    def owner(self, request: Request) -> str:
        """Whose nodes a request is about."""
        return self.host.domain

    async def admit(self, request: Request) -> None:
        """Let a request in. Raises StanzaError."""

    @overload
    async def conceal(self, request: Request, error: StanzaError) -> StanzaError: ...

    @overload
    async def conceal(self, request: Request, error: None) -> StanzaError | None: ...

    async def conceal(self, request: Request, error: StanzaError | None) -> StanzaError | None:
        """
        What to say in place of an answer that is about no node.

        @param error: the answer; None for one that isn't an error, and then None lets it go.
        """
        return error

    def reigns(self, owner: str, bare: str) -> bool:
        """Whether somebody owns all nodes there."""
        return self.host.isAdmin(parse(bare))

    def creationRefusal(self, request: Request) -> StanzaError | None:
        """Why somebody may not create nodes, or None."""
        raise NotImplementedError

    def defaultsFor(self, name: str) -> NodeConfig:
        """The configuration of a node of that name whose creator doesn't say otherwise."""
        return self.defaults

    async def contacts(self, node: Node) -> Mapping[str, RosterItem]:
        """Who sees the presence of the owners of a node, with what they have in the roster, by bare JID."""
        found: dict[str, RosterItem] = {}
        for owner in node.owners()[:OWNERS_ASKED]:
            for item in (await self.host.rosters.get(owner)).items:
                if item.subscription in SHOWN:
                    found[item.jid] = item
        return found

    async def seesPresence(self, node: Node, bare: str) -> bool:
        """Whether somebody sees the presence of the owner of a node."""
        return bare in await self.contacts(node)

    async def watchers(self, node: Node) -> Sequence[Watcher]:
        """Who is notified without having subscribed."""
        return ()

    async def veto(self, owner: str) -> VetoPredicate | None:
        """What says of an address that no notification may go there from an owner, or None."""
        return None

    async def hears(self, owner: str, jid: str) -> bool:
        """Whether notifications may go from an owner to somebody."""
        vetoed = await self.veto(owner)
        return vetoed is None or not vetoed(jid)

    def retold(self, owner: str) -> None:
        """The nodes of an owner, or their configuration, have changed."""
