"""
The commands of xmppctl that are about guests: C{check guests} and C{guest}.
"""

from __future__ import annotations

import click

from xmppd.ctl.line import Commands, Target, asJSON, loaded, show, usable
from xmppd.ctl.tables import cell, day, table

domainOption = click.option("--domain", help="The domain, if more than one has guests.")


@click.command("guests")
@asJSON
@click.pass_obj
def checkGuests(target: Target, asJSON: bool) -> int:
    """What guests may do on each host, what of it is otherwise than in the profile, and what that risks."""
    from xmppd.ctl.guests import inForce, inForceText

    with usable():
        hosts = inForce(loaded(target))
    show({"hosts": hosts}, asJSON, inForceText(hosts, table))
    return 0


@click.group(cls=Commands)
@asJSON
def guest(asJSON: bool) -> None:
    """Guests: bans. What they may do is shown by: xmppctl check guests."""


@guest.command("ban")
@click.argument("whom")
@click.option("--hours", type=click.FloatRange(0, 1e6, min_open=True), help="How long it lasts.")
@click.option("--reason", help="For administrators.")
@domainOption
@asJSON
@click.pass_obj
def ban(target: Target, whom: str, hours: float | None, reason: str | None, domain: str | None, asJSON: bool) -> None:
    """Ban the address of a guest who is here (WHOM is a JID), or an IP address. Sessions from there end at once."""
    answer = target.client.ask("guest ban", whom=whom, hours=hours, reason=reason, domain=domain)
    show(answer, asJSON, f"banned until {day(answer['expires'])} (UTC); id {cell(answer['id'])}")


@guest.command("unban")
@click.argument("id")
@domainOption
@asJSON
@click.pass_obj
def unban(target: Target, id: str, domain: str | None, asJSON: bool) -> None:
    """End a ban, by its id or by the IP address."""
    answer = target.client.ask("guest unban", id=id, domain=domain)
    show(answer, asJSON, f"ended the ban {cell(answer['id'])}")


@guest.command("list")
@domainOption
@asJSON
@click.pass_obj
def list_(target: Target, domain: str | None, asJSON: bool) -> None:
    """Bans. Whose addresses they are isn't known."""
    items = list(target.client.pages("guest list", domain=domain))
    rows = [(e["id"], e["domain"], day(e["expires"]), e["by"], e["guest"], e["reason"]) for e in items]
    headings = ("ID", "DOMAIN", "UNTIL (UTC)", "BY", "GUEST", "REASON")
    show(items, asJSON, table(headings, rows) or "There are none.")
