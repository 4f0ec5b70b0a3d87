"""
The commands of xmppctl that are about TLS and about who is at the other end: C{check tls} and C{dna}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xmppd.ctl.exits import EX_UNAVAILABLE, complain
from xmppd.ctl.line import Commands, Target, asJSON, loaded, show, usable
from xmppd.ctl.logs import printable
from xmppd.ctl.streamsgroup import domainsText, historyText
from xmppd.ctl.tables import cell


@click.command("tls")
@click.option("--all", "everything", is_flag=True, help="Show what is well, too.")
@asJSON
@click.pass_obj
def checkTLSCommand(target: Target, everything: bool, asJSON: bool) -> int:
    """TLS against RFC 9325: configuration, certificates, and the listeners of the running server."""
    from xmppd.ctl.tlscheck import checkTLS

    with usable():
        found = checkTLS(loaded(target), _ports(target))
    show(found.facts(), asJSON, "\n".join(map(printable, found.text(everything).splitlines())))
    return found.status


@click.group(cls=Commands)
@asJSON
def dna(asJSON: bool) -> None:
    """Domain name associations: how domains are proved, ours to others and others to us (RFC 7712)."""


@dna.command("publish")
@click.argument("domain", required=False)
@click.option("--host", help="The name of this machine, that SRV records point to. Default: the domain itself.")
@click.option(
    "--next", "following", multiple=True, type=click.Path(path_type=Path), help="A certificate to be shown soon."
)
@asJSON
@click.pass_obj
def publish(target: Target, domain: str | None, host: str | None, following: tuple[Path, ...], asJSON: bool) -> None:
    """SRV and TLSA records and POSH documents for our domains, or one of them. Nothing is changed anywhere."""
    from xmppd.ctl.dna import publications

    with usable():
        found = publications(loaded(target), domain, host, following)
    text = "\n".join(each.text() for each in found).rstrip()
    show({"domains": [each.facts() for each in found]}, asJSON, text)


@dna.command("explain")
@click.argument("domain")
@click.option("--from", "local", help="Our domain that calls. Default: the first one.")
@asJSON
@click.pass_obj
def explain(target: Target, domain: str, local: str | None, asJSON: bool) -> int:
    """Look another domain up, connect, check every proof, and say what held and what failed."""
    from xmppd.ctl.dna import explained, pastOf

    config = loaded(target)
    found = explained(config, domain, local, pastOf(target, config, domain))
    show(found.facts(), asJSON, "\n".join(map(printable, found.text().splitlines())))
    return 0 if found.accepted else EX_UNAVAILABLE


@dna.command("history")
@click.argument("domain", required=False)
@click.option("--pem", is_flag=True, help="The certificates in PEM, too.")
@asJSON
@click.pass_obj
def history(target: Target, domain: str | None, pem: bool, asJSON: bool) -> None:
    """What a domain has shown over time, and what was warned of; or the domains that were seen."""
    if domain is None:
        items = list(target.client.pages("dna history"))
        show(items, asJSON, domainsText(items) or "There are none.")
        return
    answer = target.client.ask("dna history", domain=domain, pem=pem or None)
    show(answer, asJSON, historyText(answer))


@dna.command("acknowledge")
@click.argument("domain")
@asJSON
@click.pass_obj
def acknowledge(target: Target, domain: str, asJSON: bool) -> None:
    """
    Say that the warnings about a domain were looked at. They are kept, and no longer shown with its streams.

    If one of them is that it was proved by more before, less is enough from now on.
    """
    answer = target.client.ask("dna acknowledge", domain=domain)
    show(answer, asJSON, f"acknowledged {answer['acknowledged']} of {cell(answer['domain'])}")


def _ports(target: Target) -> list[dict[str, Any]] | None:
    """The ports of the server that runs with this configuration; None if none does."""
    from xmppd.ctl.socket import CommandError

    try:
        ports: list[dict[str, Any]] = target.client.ask("status")["ports"]
        return ports
    except CommandError as error:
        complain(printable(str(error)), program="xmppctl")
        return None
