"""
The commands of xmppctl that are about TLS and about who is at the other end: C{check tls} and C{dna}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from xmppd.ctl.exits import EX_CONFIG, complain
from xmppd.ctl.logs import printable

if TYPE_CHECKING:
    from xmppd.config import Configuration

Decorator = Callable[[Any], Any]
Show = Callable[[Any, bool, str], None]


def join(root: click.Group, check: click.Group, asJSON: Decorator, show: Show) -> None:
    """
    Add the commands.

    @param root: the group C{xmppctl}.
    @param check: the group C{check}.
    @param asJSON: adds what every command takes.
    @param show: prints a result, for programs or for people.
    """
    _addCheck(check, asJSON, show)


def _addCheck(check: click.Group, asJSON: Decorator, show: Show) -> None:
    @check.command("tls")
    @click.option("--all", "everything", is_flag=True, help="Show what is well, too.")
    @asJSON
    @click.pass_obj
    def checkTLSCommand(target: Any, everything: bool, asJSON: bool) -> int:
        """TLS against RFC 9325: configuration, certificates, and the listeners of the running server."""
        from xmppd.ctl.tlscheck import checkTLS

        with usable():
            found = checkTLS(loaded(target), _ports(target))
        show(found.facts(), asJSON, "\n".join(map(printable, found.text(everything).splitlines())))
        return found.status


@contextmanager
def usable() -> Iterator[None]:
    """
    Certificates that can't be used are told like other mistakes.

    @raise CommandError: in place of L{CertificateError}.
    """
    from xmppd.ctl.socket import CommandError
    from xmppd.trust.certificates import CertificateError

    try:
        yield
    except CertificateError as error:
        raise CommandError(EX_CONFIG, "\n".join(printable(str(problem)) for problem in error.problems)) from None


def loaded(target: Any) -> Configuration:
    """
    The configuration that is meant.

    @raise CommandError: there is none that could be used.
    """
    from xmppd.config import ConfigurationError, load
    from xmppd.ctl.socket import CommandError

    try:
        return load(target.config)
    except ConfigurationError as error:
        raise CommandError(EX_CONFIG, "\n".join(printable(str(problem)) for problem in error.problems)) from None


def _ports(target: Any) -> list[dict[str, Any]] | None:
    """The ports of the server that runs with this configuration; None if none does."""
    from xmppd.ctl.socket import CommandError

    try:
        ports: list[dict[str, Any]] = target.client.ask("status")["ports"]
        return ports
    except CommandError as error:
        complain(printable(str(error)), program="xmppctl")
        return None
