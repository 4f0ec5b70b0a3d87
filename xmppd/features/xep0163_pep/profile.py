"""
The rules of an account's own publish-subscribe service (XEP-0163 section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from xmppd.features.xep0163_pep.audience import Audience
from xmppd.ixmppd import IHost, Request, VetoPredicate
from xmppd.pubsub.configuration import Bounds, NodeConfig, changed
from xmppd.pubsub.errors import forbidden
from xmppd.pubsub.profile import SHOWN, Profile, Watcher
from xmppd.pubsub.shelf import Node
from xmppd.wire.errors import StanzaCondition, StanzaError

MODELS: Final = ("open", "presence", "roster", "whitelist")

DEFAULTS: Final = NodeConfig(accessModel="presence", maxItems=1, notifyRetract=True, sendLast="on_sub_and_presence")
"""The smart defaults: contacts see one item, and whoever becomes available gets it."""


class PersonalProfile(Profile):
    """The rules of accounts. See L{Profile}."""

    target = "account"
    autoCreate = True

    def __init__(self, host: IHost, bounds: Bounds, audience: Audience) -> None:
        super().__init__(host, replace(bounds, models=MODELS), DEFAULTS)
        self._audience = audience
        self._named: dict[str, NodeConfig] = {}

    def owner(self, request: Request) -> str:
        """See L{Profile}."""
        return request.target.bare

    async def admit(self, request: Request) -> None:
        """See L{Profile}. Accounts that don't exist answer like resources that aren't there."""
        if request.sender.bare != request.target.bare and not await self.host.exists(request.target.bare):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    async def conceal(self, request: Request, error: Any) -> Any:
        """See L{Profile}. To those who don't see its presence, an account without such a node is as good as none."""
        bare, account = request.sender.bare, request.target.bare
        if bare != account and await self.host.presence.subscription(account, bare) not in SHOWN:
            return StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        return error

    def reigns(self, owner: str, bare: str) -> bool:
        """See L{Profile}."""
        return owner == bare

    def creationRefusal(self, request: Request) -> StanzaError | None:
        """See L{Profile}. Everybody publishes at home (section 2.2)."""
        return None if request.sender.bare == request.target.bare else forbidden()

    def configure(self, name: str, values: Mapping[str, tuple[str, ...]]) -> None:
        """Have nodes of a name created with other defaults."""
        self._named[name] = changed(self.defaultsFor(name), values, self.bounds)

    def defaultsFor(self, name: str) -> NodeConfig:
        """See L{Profile}."""
        return self._named.get(name, self.defaults)

    async def seesPresence(self, node: Node, bare: str) -> bool:
        """See L{Profile}."""
        return await self.host.presence.subscription(node.owner, bare) in SHOWN

    async def watchers(self, node: Node) -> Sequence[Watcher]:
        """See L{Profile}."""
        return await self._audience.watchers(node)

    async def veto(self, owner: str) -> VetoPredicate | None:
        """See L{Profile}."""
        return await self.host.presence.vetoOf(owner)

    def retold(self, owner: str) -> None:
        """See L{Profile}."""
        self._audience.retold(owner)
