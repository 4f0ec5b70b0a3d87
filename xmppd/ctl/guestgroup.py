"""
The commands of xmppctl that are about guests: C{check guests} and C{guest}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from xmppd.ctl.exits import EX_CONFIG, complain
from xmppd.ctl.logs import printable
from xmppd.ctl.tables import cell, day, table

Decorator = Callable[[Any], Any]
Show = Callable[[Any, bool, str], None]

domainOption = click.option("--domain", help="The domain, if more than one has guests.")


def join(root: click.Group, check: click.Group, asJSON: Decorator, show: Show) -> None:
    """
    Add the commands.

    @param root: the group C{xmppctl}.
    @param check: the group C{check}.
    @param asJSON: adds what every command takes.
    @param show: prints a result, for programs or for people.
    """
    _addCheck(check, asJSON, show)

    @root.group(cls=type(root))
    @asJSON
    def guest(asJSON: bool) -> None:
        """Guests: bans. What they may do is shown by: xmppctl check guests."""

    _addBan(guest, asJSON, show)
    _addUnban(guest, asJSON, show)
    _addList(guest, asJSON, show)


def _addCheck(check: click.Group, asJSON: Decorator, show: Show) -> None:
    @check.command("guests")
    @asJSON
    @click.pass_obj
    def checkGuests(target: Any, asJSON: bool) -> int:
        """What guests may do on each host, what of it is otherwise than in the profile, and what that risks."""
        from xmppd.config import ConfigurationError, load
        from xmppd.ctl.guests import inForce, inForceText

        try:
            hosts = inForce(load(target.config))
        except ConfigurationError as error:
            complain(*(printable(str(problem)) for problem in error.problems), program="xmppctl")
            return EX_CONFIG
        show({"hosts": hosts}, asJSON, inForceText(hosts, table))
        return 0


def _addBan(guest: click.Group, asJSON: Decorator, show: Show) -> None:
    @guest.command("ban")
    @click.argument("whom")
    @click.option("--hours", type=click.FloatRange(0, 1e6, min_open=True), help="How long it lasts.")
    @click.option("--reason", help="For administrators.")
    @domainOption
    @asJSON
    @click.pass_obj
    def ban(
        target: Any, whom: str, hours: float | None, reason: str | None, domain: str | None, asJSON: bool
    ) -> None:
        """Ban the address of a guest who is here (WHOM is a JID), or an IP address. Sessions from there end at once."""
        answer = target.client.ask("guest ban", whom=whom, hours=hours, reason=reason, domain=domain)
        show(answer, asJSON, f"banned until {day(answer['expires'])} (UTC); id {cell(answer['id'])}")


def _addUnban(guest: click.Group, asJSON: Decorator, show: Show) -> None:
    @guest.command("unban")
    @click.argument("id")
    @domainOption
    @asJSON
    @click.pass_obj
    def unban(target: Any, id: str, domain: str | None, asJSON: bool) -> None:
        """End a ban, by its id or by the IP address."""
        answer = target.client.ask("guest unban", id=id, domain=domain)
        show(answer, asJSON, f"ended the ban {cell(answer['id'])}")


def _addList(guest: click.Group, asJSON: Decorator, show: Show) -> None:
    @guest.command("list")
    @domainOption
    @asJSON
    @click.pass_obj
    def list_(target: Any, domain: str | None, asJSON: bool) -> None:
        """Bans. Whose addresses they are isn't known."""
        items = list(target.client.pages("guest list", domain=domain))
        rows = [(e["id"], e["domain"], day(e["expires"]), e["by"], e["guest"], e["reason"]) for e in items]
        headings = ("ID", "DOMAIN", "UNTIL (UTC)", "BY", "GUEST", "REASON")
        show(items, asJSON, table(headings, rows) or "There are none.")
