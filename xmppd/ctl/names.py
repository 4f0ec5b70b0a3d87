"""
What xmppctl can ask about names that look like other names (XEP-0165): what the hosts of a running server would make of
one, what holds for each of them and why, and what there is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.task import deferLater

from xmppd.config import hostsAbove
from xmppd.ctl.arguments import Arguments, domainOf, textOf
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_USAGE
from xmppd.ctl.nameaudit import Audit
from xmppd.ctl.pages import page
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import IHost, NameVerdict
from xmppd.naming import NamesConfig
from xmppd.readers import snake
from xmppd.wire.jid import JID, JIDMalformed, parse, prepareLocal, prepareResource
from xmppd.wire.lookalikes import keysOf

if TYPE_CHECKING:
    from xmppd.tap import Server

HOSTS: Final = 50
"""Hosts of a page that have been asked about a name."""

TOLD: Final = 20
"""How many look-alikes of a name are told."""

TURN: Final = 500
"""With how many rooms a name is compared in one turn of the reactor."""

ACCOUNT: Final = "account"
ROOM: Final = "room"
NICKNAME: Final = "nickname"
HANDLE: Final = "handle"
ADDRESS: Final = "address"

KINDS: Final = (ACCOUNT, ROOM, NICKNAME, HANDLE, ADDRESS)
"""What a name may be."""

OF_HOSTS: Final = ("accounts", "handles", "met", "protected", "level", "nicknameLevel", "languages", "disclose")
OF_ROOMS: Final = ("rooms", "nicknames", "protected", "level", "nicknameLevel", "disclose")
"""What the configuration says that matters there."""


def canonical(kind: str, name: str) -> str:
    """
    A name as it would be kept.

    @raise JIDMalformed: it can't be such a name.
    """
    if kind in (ACCOUNT, ROOM):
        return prepareLocal(name)
    if kind == NICKNAME:
        return prepareResource(name)
    return parse(name).bare if kind == ADDRESS else name


class NameCommands:
    """
    The commands about names.

    @ivar commands: them, by name.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._audit = Audit(server)
        self.commands: Mapping[str, Callable[[Arguments], Awaitable[Any]]] = {
            "names check": self.check,
            "names audit": self.audit,
            "names policy": self.policy,
        }

    def _domains(self, arguments: Arguments) -> list[str]:
        """
        The domain that is meant, and the services of rooms that belong to it; or all.

        @raise CommandError: it is none where there are names.
        """
        rooms = [host.domain for host in self._server.serviceHosts.values() if host.rooms is not None]
        if "domain" not in arguments:
            return sorted((*self._server.hosts, *rooms))
        domain = domainOf(arguments)
        host = self._server.hosts.get(domain)
        if host is not None:
            return [domain, *sorted(each for each in rooms if each in host.services)]
        if domain in rooms:
            return [domain]
        there = ", ".join((*self._server.hosts, *rooms))
        raise CommandError(EX_NOHOST, f"{domain} has no accounts or rooms here; these have: {there}")

    def _host(self, domain: str) -> Any:
        """The host, or the service, of a domain."""
        return self._server.hosts.get(domain) or self._server.serviceHosts[domain]

    # --- one name

    async def check(self, arguments: Arguments) -> dict[str, Any]:
        """A page of what each host, or service, makes of the C{name}, if it were given as C{kind}."""
        kind = textOf(arguments, "kind", ACCOUNT)
        if kind not in KINDS:
            raise CommandError(EX_USAGE, f"{kind!r} is no kind of name; there are: {', '.join(KINDS)}")
        try:
            name = canonical(kind, textOf(arguments, "name"))
        except JIDMalformed as error:
            reason = str(error.text or error).removesuffix(".")
            raise CommandError(EX_DATAERR, f"this can't be the name of an {kind}: {reason}; write another") from None
        domains = [each for each in self._domains(arguments) if self._has(each, kind)]
        after = textOf(arguments, "after", "")
        wanted = sorted(each for each in domains if each > after)
        items = [await self._judge(self._host(domain), kind, name) for domain in wanted[:HOSTS]]
        return {"items": items, "after": wanted[HOSTS - 1] if len(wanted) > HOSTS else None}

    def _has(self, domain: str, kind: str) -> bool:
        """Whether there are names of a kind in a domain."""
        host = self._host(domain)
        if kind in (ROOM, NICKNAME):
            return host.rooms is not None
        return domain in self._server.hosts and (kind != ACCOUNT or host.config.accounts)

    async def _judge(self, host: Any, kind: str, name: str) -> dict[str, Any]:
        """What a host makes of a name, and what it would say if nothing were let through."""
        watchful = self._audit.watchful(host)
        if kind == ADDRESS:
            jid = parse(name)
            taken, alike = await self._accounts(host, jid)
            verdict, found = (each.judgeAddress(jid, alike) for each in (host.names, watchful))
        else:
            taken, alike = await self._alike(host, kind, name)
            verdict, found = (each.judge(kind, name, alike) for each in (host.names, watchful))
        return {
            "domain": host.domain,
            "policy": host.names.action("met" if kind == ADDRESS else kind),
            "action": verdict.action,
            **factsOf(found),
            "taken": taken,
        }

    async def _alike(self, host: Any, kind: str, name: str) -> tuple[bool, Sequence[str]]:
        """Whether a name is taken, and which of those that are it looks like."""
        if kind == ACCOUNT:
            taken, owners = await self._accounts(host, parse(f"{name}@{host.domain}"))
            return taken, [owner.rpartition("@")[0] for owner in owners]
        if kind != ROOM:
            return False, ()
        return await among(host, name, [jid.rpartition("@")[0] for jid in host.rooms.names()])

    async def _accounts(self, host: Any, jid: JID) -> tuple[bool, Sequence[str]]:
        """Whether an address is that of an account, and which accounts it looks like."""
        if jid.local is None or not host.config.accounts or keysOf(jid.domain).isdisjoint(keysOf(host.domain)):
            return False, ()
        alike = [each.owner for each in await host.nameIndex.alike(ACCOUNT, host.domain, jid.local, TOLD)]
        same = await host.accounts.get(f"{jid.local}@{host.domain}")
        if same is not None and same.jid != jid.bare:
            alike.insert(0, same.jid)
        return same is not None and same.jid == jid.bare, alike[:TOLD]

    # --- what there is

    async def audit(self, arguments: Arguments) -> dict[str, Any]:
        """A page of the names that may deceive in the C{domain}, or in all."""
        return await self._audit.page(self._domains(arguments), textOf(arguments, "after", ""))

    # --- what holds

    async def policy(self, arguments: Arguments) -> dict[str, Any]:
        """A page of what holds for names in each domain, and why."""
        found = [(domain, self._host(domain)) for domain in self._domains(arguments)]
        return page(found, textOf(arguments, "after", ""), self._policyOf)

    def _policyOf(self, domain: str, host: IHost) -> dict[str, Any]:
        """What holds in one domain."""
        server = self._server
        isHost = domain in server.hosts
        above = {} if isHost else {each.domain: each.names for each in hostsAbove(domain, server.config.hosts)}
        config = host.names.config
        values = {}
        for key in OF_HOSTS if isHost else OF_ROOMS:
            value = getattr(config, key)
            why = configured(domain, key, value) if isHost else followed(above, key, value)
            values[snake(key)] = {"value": list(value) if isinstance(value, tuple) else value, "why": why}
        ours = sorted({*server.hosts, *server.serviceHosts, *server.config.components})
        return {"domain": domain, "kind": host.config.table, "values": values, "domains": ours}


def factsOf(verdict: NameVerdict) -> dict[str, Any]:
    """A verdict, for administrators, who may know what a name looks like."""
    return {
        "reasons": list(verdict.reasons),
        "alike": list(dict.fromkeys(verdict.alike))[:TOLD],
        "scripts": list(verdict.scripts),
        "protected": verdict.protected,
    }


async def among(host: Any, name: str, others: Sequence[str]) -> tuple[bool, Sequence[str]]:
    """Whether a name is one of several, and which of them it looks like."""
    mine, found = keysOf(name), []
    for start in range(0, len(others), TURN):
        if start:
            await deferLater(host.clock, 0)
        found += [each for each in others[start : start + TURN] if not mine.isdisjoint(keysOf(each))]
    return name in found, [each for each in found if each != name][:TOLD]


def configured(domain: str, key: str, value: Any) -> str:
    """Why a host has a value."""
    default = next(each.default for each in fields(NamesConfig) if each.name == key)
    return "default" if value == default else f'[host."{domain}".names]'


def followed(above: Mapping[str, NamesConfig], key: str, value: Any) -> str:
    """Why a service has a value: whom it follows."""
    if len(above) == 1:
        return f"as {next(iter(above))} has it"
    same = [domain for domain, config in above.items() if getattr(config, key) == value]
    if not same:
        return "what all hosts have, together"
    return f"the strictest, as {listed(same)} {'has' if len(same) == 1 else 'have'} it"


def listed(names: Iterable[str], most: int = 3) -> str:
    """Names in a sentence, not endless."""
    all_ = list(names)
    return ", ".join(all_[:most]) + (f" and {len(all_) - most} more" if len(all_) > most else "")
