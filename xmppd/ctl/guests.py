"""
What xmppctl says of guests: what they may do by the configuration, and bans on a running server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from xmppd.config import Configuration
from xmppd.ctl.arguments import Arguments, textOf
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.logs import printable
from xmppd.ctl.pages import page
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import Ban, IGuests
from xmppd.restrict.profiles import check, review
from xmppd.wire.addresses import isAddress
from xmppd.wire.element import writable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse

if TYPE_CHECKING:
    from xmppd.tap import Server

log = Logger(namespace="xmppd.control")

BY = "xmppctl"
"""Who bans, as it is kept."""


class GuestCommands:
    """
    The commands about guests.

    @ivar commands: them, by name.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.commands: Mapping[str, Callable[[Arguments], Awaitable[Any]]] = {
            "guest ban": self.ban,
            "guest unban": self.unban,
            "guest list": self.list,
        }

    def _hosts(self, domain: str | None) -> dict[str, IGuests]:
        """
        The guests of the domain that is named, or of all that have any.

        @raise CommandError: there are none.
        """
        hosts = self._server.hosts
        if domain is not None and domain not in hosts:
            raise CommandError(EX_NOHOST, f"{domain} is not served here; served are: {', '.join(hosts)}")
        found = {
            host.domain: host.guests
            for host in hosts.values()
            if host.guests is not None and domain in (None, host.domain)
        }
        if not found:
            names = domain or ", ".join(hosts)
            raise CommandError(EX_UNAVAILABLE, f'{names}: no guests; set guests = "public" and restart')
        return found

    def _one(self, domain: str | None) -> tuple[str, IGuests]:
        found = self._hosts(domain)
        if len(found) > 1:
            raise CommandError(EX_USAGE, f"say for which domain: {', '.join(found)}")
        return next(iter(found.items()))

    async def ban(self, arguments: Arguments) -> dict[str, Any]:
        """Ban the address of the guest C{whom}, or the address C{whom}; for C{hours}."""
        whom = textOf(arguments, "whom")
        domain = textOf(arguments, "domain") if "domain" in arguments else None
        if not isAddress(whom):
            try:
                jid = parse(whom)
            except JIDMalformed:
                raise CommandError(EX_DATAERR, f"{whom!r} is neither a guest's JID nor an IP address") from None
            whom, domain = jid.bare, jid.domain
        domain, guests = self._one(domain)
        hours = arguments.get("hours")
        if hours is not None and (not isinstance(hours, int | float) or not 0 < hours < 1e6):
            raise CommandError(EX_DATAERR, "a ban lasts for more than no time")
        reason = writable(textOf(arguments, "reason")) if "reason" in arguments else ""
        try:
            ban = await guests.ban(whom, BY, reason, None if hours is None else hours * 3600.0)
        except StanzaError as error:
            if error.condition == StanzaCondition.ITEM_NOT_FOUND:
                line = f"there is no guest {whom}; see: xmppctl session list"
                raise CommandError(EX_NOUSER, line) from None
            raise
        return banOf(domain, ban)

    async def unban(self, arguments: Arguments) -> dict[str, Any]:
        """End the ban C{id}, or that of an address."""
        id = textOf(arguments, "id")
        hosts = self._hosts(textOf(arguments, "domain") if "domain" in arguments else None)
        ended = [domain for domain, guests in hosts.items() if await guests.unban(id)]
        if not ended:
            raise CommandError(EX_DATAERR, f"there is no ban {id}; see: xmppctl guest list")
        log.info("xmppctl ended the ban {id} of guests", id=id)
        return {"id": id, "domains": ended}

    async def list(self, arguments: Arguments) -> dict[str, Any]:
        """A page of the bans of a domain, or of all."""
        hosts = self._hosts(textOf(arguments, "domain") if "domain" in arguments else None)
        found = [(f"{domain} {ban.id}", (domain, ban)) for domain, guests in hosts.items() for ban in guests.bans()]
        return page(found, textOf(arguments, "after", ""), lambda _, each: banOf(*each))


def banOf(domain: str, ban: Ban) -> dict[str, Any]:
    """What administrators may see of a ban: all but whose it is."""
    return {
        "domain": domain,
        "id": ban.id,
        "since": ban.since,
        "expires": ban.expires,
        "by": ban.by,
        "guest": ban.guest,
        "reason": ban.reason,
    }


# --- what is in force


def inForce(config: Configuration) -> list[dict[str, Any]]:
    """
    What guests may do on each host, compared with the profiles.

    @raise ConfigurationError: the configuration contradicts itself.
    """
    check(config)
    paces = config.limits.enabled
    return [
        {
            "domain": domain,
            "profile": host.guests,
            "values": [
                {
                    "key": verdict.key,
                    "about": verdict.about,
                    "value": plain(verdict.value),
                    "profile": plain(verdict.usual),
                    "change": verdict.change,
                    "risk": verdict.risk,
                }
                for verdict in (review(host, paces) if host.guests != "off" else ())
            ],
        }
        for domain, host in config.hosts.items()
    ]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def shown(value: Any) -> str:
    """A value for people, as one would write it in the configuration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(value) if value else "none"
    return str(value)


def inForceText(hosts: list[dict[str, Any]], table: Callable[..., str]) -> str:
    """
    The same for people.

    @param table: makes a table of headings and rows.
    """
    return "\n\n".join("\n".join(_host(each, table)) for each in hosts)


def _host(each: dict[str, Any], table: Callable[..., str]) -> Iterator[str]:
    if each["profile"] == "off":
        yield f"{each['domain']}: no guests."
        return
    relaxed = [value for value in each["values"] if value["change"] == "relaxed"]
    tightened = [value for value in each["values"] if value["change"] == "tightened"]
    counts = f"{len(relaxed)} relaxed, {len(tightened)} tightened"
    yield f"{each['domain']}: guests of the profile {each['profile']}, {counts}"
    rows = [
        (value["key"], shown(value["value"]), shown(value["profile"]), value["change"], value["about"])
        for value in each["values"]
    ]
    yield table(("OPTION", "VALUE", "PROFILE", "CHANGE", "WHAT"), rows)
    for value in relaxed:
        yield f"relaxed: {value['key']} = {printable(shown(value['value']))}: {value['risk']}"
