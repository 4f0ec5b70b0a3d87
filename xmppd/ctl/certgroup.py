"""
The commands of xmppctl that are about our own certificates: C{cert}.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmppd.ctl.exits import EX_USAGE, complain
from xmppd.ctl.line import Commands, Target, asJSON, loaded, show, usable
from xmppd.ctl.logs import printable

if TYPE_CHECKING:
    from xmppd.config import Configuration


@click.group(cls=Commands)
@asJSON
def cert(asJSON: bool) -> None:
    """Certificates of our own: make them, list them, and see what others will think of them."""


@cert.command("make")
@click.argument("domain")
@click.option("--also", multiple=True, metavar="NAME", help="Another domain that it is for. May be repeated.")
@click.option("--key", type=click.Choice(["ec", "rsa"]), default="ec", show_default=True, help="ECDSA P-256, or RSA.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650), help="How long it is valid.")
@click.option("--csr", is_flag=True, help="Make a request for an authority in place of a certificate.")
@click.option("--out", type=click.Path(path_type=Path), help="Into which folder. Default: tls.certificates.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@asJSON
@click.pass_obj
def makeCommand(
    target: Target,
    domain: str,
    also: tuple[str, ...],
    key: str,
    days: int,
    csr: bool,
    out: Path | None,
    force: bool,
    asJSON: bool,
) -> None:
    """A key and a certificate that is signed by itself. Needs no running server, and says what to do next."""
    from xmppd.ctl.certmake import Order, make
    from xmppd.ctl.socket import CommandError
    from xmppd.trust.selfsigned import KeyKind

    config = loaded(target) if out is None else _configured(target)
    folder = out or (config.tls.certificates if config is not None else None)
    if folder is None:
        raise CommandError(EX_USAGE, f"{target.config}: tls.certificates names no folder; name one with --out")
    order = Order((domain, *also), KeyKind(key), days, csr, folder, force)
    made = make(order, config, time.time())
    show(made.facts(), asJSON, "\n".join(map(printable, made.text().splitlines())))


@cert.command("list")
@asJSON
@click.pass_obj
def listCommand(target: Target, asJSON: bool) -> None:
    """What the server has, and for whom; without a running one, what is in the folder."""
    from xmppd.ctl.certs import listingOfFolder, listingText

    answer = _running(target)
    if answer is None:
        with usable():
            answer = {"source": "folder", **listingOfFolder(loaded(target), time.time())}
    else:
        answer = {"source": "server", **answer}
    show(answer, asJSON, listingText(answer))


@cert.command("check")
@click.argument("what", metavar="[FILE|DOMAIN]", required=False)
@asJSON
@click.pass_obj
def checkCommand(target: Target, what: str | None, asJSON: bool) -> int:
    """What clients and other servers wouldn't like about a file, the certificate of a domain, or all of the server."""
    from xmppd.ctl.certcheck import checkAll, checkDomain, checkFile

    now = time.time()
    with usable():
        if what is None:
            found = checkAll(loaded(target), _shown(target), now)
        elif "/" in what or Path(what).exists():
            found = checkFile(Path(what), _configured(target), now)
        else:
            found = checkDomain(_domain(what), loaded(target), _shown(target), now)
    show(found.facts(), asJSON, found.text())
    return found.status


def _domain(text: str) -> str:
    """
    A domain as it is served.

    @raise CommandError: it is none.
    """
    from xmppd.ctl.exits import EX_DATAERR
    from xmppd.ctl.socket import CommandError
    from xmppd.wire.jid import JIDMalformed, prepareDomain

    try:
        return prepareDomain(text.removeprefix("*."))
    except JIDMalformed:
        line = f"{text!r} is neither a file nor a domain; write something like example.org or ./example.org.pem"
        raise CommandError(EX_DATAERR, line) from None


def _configured(target: Target) -> Configuration | None:
    """The configuration that is meant; None, and a complaint, if there is none, where one isn't needed."""
    from xmppd.ctl.socket import CommandError

    try:
        return loaded(target)
    except CommandError as error:
        if target.config.exists():
            complain(*(f"without the configuration: {line}" for line in str(error).splitlines()), program="xmppctl")
        return None


def _running(target: Target) -> dict[str, Any] | None:
    """What the running server has; None if none runs."""
    from xmppd.ctl.socket import CommandError

    try:
        client = target.client
    except CommandError:
        return None
    answer: dict[str, Any] = client.ask("cert list")
    return answer


def _shown(target: Target) -> dict[str, str] | None:
    """By file, the SHA-256 of what the running server has of it; None if none runs."""
    answer = _running(target)
    return None if answer is None else {each["file"]: each["sha256"] for each in answer["certificates"]}
