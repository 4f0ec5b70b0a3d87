"""
What all commands of xmppctl share: the server that is meant, C{--json}, C{--config} and C{--socket} before or behind
the command, and a hint for somebody who has typed something else.

A group of commands is a module that makes its commands with these; L{xmppd.ctl.main} adds them to the command line.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmppd.ctl.exits import EX_CONFIG
from xmppd.ctl.logs import printable

if TYPE_CHECKING:
    from xmppd.config import Configuration
    from xmppd.ctl.client import Client

CONFIG = Path("/etc/xmppd/xmppd.toml")
"""The configuration that xmppctl asks for the socket if nothing else is named."""

class Commands(click.Group):
    """A group that knows what somebody may have meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """See L{click.Group}."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            close = difflib.get_close_matches(args[0], known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            ctx.fail(f"no such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


class Target:
    """
    The server that is meant, and how it is to be told of. All of that may stand before or behind the command.

    @ivar asJSON: whether the answer is for a program.
    """

    def __init__(self, config: Path | None = None, socket: Path | None = None, asJSON: bool = False) -> None:
        self.asJSON = asJSON
        self._config = config
        self._socket = socket
        self._client: Client | None = None

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self._config or CONFIG

    def mean(self, config: Path | None = None, socket: Path | None = None) -> None:
        """
        Take the configuration, or the socket, from the command line.

        @raise UsageError: both are given: they might contradict each other.
        """
        self._config = config or self._config
        self._socket = socket or self._socket
        if self._config is not None and self._socket is not None:
            raise click.UsageError("--config and --socket exclude each other; give one")

    @property
    def client(self) -> Client:
        """
        A connection to it.

        @raise CommandError: there is none.
        """
        from xmppd.ctl.client import Client, socketOf

        if self._client is None:
            self._client = Client(self._socket or socketOf(self.config))
        return self._client


def _target(context: click.Context) -> Target:
    """What the whole command line is about."""
    target: Target = context.find_root().ensure_object(Target)
    return target


def _json(context: click.Context, option: click.Parameter, given: bool) -> bool:
    """Whether C{--json} stands here or further in front."""
    target = _target(context)
    target.asJSON = target.asJSON or given
    return target.asJSON


def _config(context: click.Context, option: click.Parameter, given: Path | None) -> None:
    """Note C{--config}."""
    _target(context).mean(config=given)


def _socket(context: click.Context, option: click.Parameter, given: Path | None) -> None:
    """Note C{--socket}."""
    _target(context).mean(socket=given)


def asJSON(command: Any) -> Any:
    """Let a command take what may stand before or behind it."""
    path, told = click.Path(path_type=Path), f"The server's configuration. Default: {CONFIG}"
    for option in (
        click.option("--json", "asJSON", is_flag=True, callback=_json, help="For programs."),
        click.option("--socket", type=path, callback=_socket, expose_value=False, help="The server's control socket."),
        click.option("-c", "--config", type=path, callback=_config, expose_value=False, help=told),
    ):
        command = option(command)
    return command


def show(value: Any, asJSON: bool, text: str) -> None:
    """Print a result: for programs, or for people."""
    click.echo(json.dumps(value, indent=2) if asJSON else text)


@contextmanager
def usable() -> Iterator[None]:
    """
    A configuration, or certificates, that can't be used are told like other mistakes.

    @raise CommandError: in place of L{ConfigurationError} and L{CertificateError}.
    """
    from xmppd.config import ConfigurationError
    from xmppd.ctl.socket import CommandError
    from xmppd.trust.certificates import CertificateError

    try:
        yield
    except (ConfigurationError, CertificateError) as error:
        raise CommandError(EX_CONFIG, "\n".join(printable(str(problem)) for problem in error.problems)) from None


def loaded(target: Target) -> Configuration:
    """
    The configuration that is meant.

    @raise CommandError: there is none that could be used.
    """
    from xmppd.config import load

    with usable():
        config = load(target.config)
    return config
