"""
The two commands: C{xmppd} runs a server, C{xmppctl} asks a running one.

Whatever goes wrong is a line on standard error, with the remedy, and an exit status after sysexits.h.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xmppd import __version__
from xmppd.ctl.certgroup import cert
from xmppd.ctl.exits import (
    EX_CONFIG,
    EX_DATAERR,
    EX_TEMPFAIL,
    EX_USAGE,
    CannotStart,
    complain,
    explain,
    flush,
    kindOf,
    leave,
)
from xmppd.ctl.guestgroup import checkGuests, guest
from xmppd.ctl.line import Commands, Target, asJSON, show
from xmppd.ctl.logs import printable
from xmppd.ctl.namesgroup import names
from xmppd.ctl.streamsgroup import streams
from xmppd.ctl.tables import cell, day, span, table
from xmppd.ctl.texts import roomText, statusText
from xmppd.ctl.trustgroup import checkTLSCommand, dna

if TYPE_CHECKING:
    from xmppd.config import Configuration
    from xmppd.ctl.demo import Demo
    from xmppd.ctl.process import RunningServer
    from xmppd.tap import Server

DRAINED = 60.0
"""How many seconds C{xmppctl stop} waits for the server to end."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def run(group: click.Group, name: str) -> None:
    """
    Run a command line.

    @raise SystemExit: always.
    """
    from xmppd.ctl.socket import CommandError

    try:
        status = group.main(prog_name=name, standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = EX_USAGE
    except click.ClickException as error:
        line = " ".join(error.format_message().split()).removesuffix(".")
        status = _complain(name, EX_USAGE, line if ";" in line else f"{line}; see {name} --help")
    except click.exceptions.Exit as error:
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except CommandError as error:
        status = _complain(name, error.status, str(error))
    except BrokenPipeError:
        sys.stderr.close()
        status = 0
    flush()
    raise SystemExit(status)


def _complain(name: str, status: int, *lines: str) -> int:
    """Tell what is wrong, to a program if one asks; answers the status."""
    if "--json" in sys.argv[1:]:
        error = {"type": kindOf(status), "status": status, "text": "\n".join(lines)}
        complain(json.dumps({"error": error}), program=None)
    else:
        complain(*map(printable, lines), program=name)
    return status


def xmppd() -> None:
    """The command C{xmppd}."""
    run(xmppdGroup, "xmppd")


def xmppctl() -> None:
    """The command C{xmppctl}."""
    run(xmppctlGroup, "xmppctl")


# --- xmppd


@click.group(cls=Commands, name="xmppd", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="xmppd %(version)s")
def xmppdGroup() -> None:
    """An XMPP server."""


@xmppdGroup.command("run")
@click.option("-c", "--config", required=True, type=click.Path(path_type=Path), help="The configuration file.")
def runCommand(config: Path) -> int:
    """Run the server in the foreground."""
    from xmppd.config import ConfigurationError, load

    try:
        configuration = load(config)
    except ConfigurationError as error:
        leave(*_unpacked(explain(error)))
    return serve(configuration).finish()


@xmppdGroup.command("demo")
@click.option("--data", type=click.Path(path_type=Path), help="Keep everything in this folder.")
@click.option("--port", default=5222, show_default=True, type=click.IntRange(0, 65_535), help="The first port to try.")
def demoCommand(data: Path | None, port: int) -> int:
    """Run a server for example.org on this machine, with three accounts, to try things."""
    if data is not None:
        return _demo(data.absolute(), True, port).finish()
    with tempfile.TemporaryDirectory(prefix="xmppd-") as folder:
        running = _demo(Path(folder), False, port)
    return running.finish()


def _demo(folder: Path, kept: bool, port: int) -> RunningServer:
    """Run the demo until it ends."""
    from twisted.internet.defer import Deferred

    from xmppd.ctl.demo import DOMAIN, Demo

    try:
        demo: Demo = Demo(folder, kept, port)
    except CannotStart as error:
        leave(error.status, *error.lines)

    servers: list[Server] = []

    def prepare(server: Server) -> None:
        servers.append(server)
        server.hosts[DOMAIN].hooks.starting.addObserver(lambda: Deferred.fromCoroutine(demo.populate(server)))

    def ready() -> None:
        Deferred.fromCoroutine(demo.furnish(servers[0])).addCallback(welcome)

    def welcome(_: object) -> None:
        click.echo(demo.welcome(Path(sys.argv[0]).absolute().parent, shlex.quote(sys.executable)))

    return serve(demo.config, prepare, ready)


def serve(
    config: Configuration,
    prepare: Callable[[Server], None] = lambda server: None,
    ready: Callable[[], None] = lambda: None,
) -> RunningServer:
    """
    Run a server until it ends.

    @param prepare: called with the server before it starts.
    @param ready: called when it serves.
    """
    from twisted.internet import reactor as installed

    from xmppd.ctl import logs
    from xmppd.ctl.process import RunningServer
    from xmppd.tap import makeServer

    reactor: Any = installed
    try:
        log = logs.begin(config.log)
    except OSError as error:
        leave(EX_CONFIG, f"{config.file}: log.file: {error.strerror}; name a file that can be written")
    server = makeServer(config, reactor)
    prepare(server)
    running = RunningServer(server, ready, log, quiet=config.log.file is None)
    reactor.callWhenRunning(running.startService)
    reactor.addSystemEventTrigger("before", "shutdown", running.stopService)
    reactor.run()
    log.close()
    return running


def _unpacked(explanation: tuple[int, Sequence[str]]) -> tuple[Any, ...]:
    """Status and lines as the arguments of L{leave}."""
    status, lines = explanation
    return (status, *lines)


# --- xmppctl


@click.group(cls=Commands, name="xmppctl", context_settings={"help_option_names": ["-h", "--help"]})
@asJSON
@click.version_option(__version__, message="xmppctl %(version)s")
def xmppctlGroup(asJSON: bool) -> None:
    """Ask a running xmppd, or tell it what to do."""


@xmppctlGroup.command()
@asJSON
@click.pass_obj
def status(target: Target, asJSON: bool) -> None:
    """What the server is and does."""
    answer = target.client.ask("status")
    show(answer, asJSON, statusText(answer))


@xmppctlGroup.group(cls=Commands, invoke_without_command=True)
@asJSON
@click.pass_context
def check(context: click.Context, asJSON: bool) -> int:
    """
    Would the server start with this configuration? Works without a running one, too. A command after it looks closer
    at one thing.
    """
    from xmppd.ctl.check import check as lookAtEverything

    if context.invoked_subcommand is not None:
        return 0
    target: Target = context.obj
    found = lookAtEverything(target.config, _runs(target))
    lines = [f"error: {printable(line)}" for line in found.errors]
    lines += [f"warning: {printable(line)}" for line in found.warnings]
    verdict = f"{target.config}: the server {'would not' if found.errors else 'can'} start"
    show({"errors": found.errors, "warnings": found.warnings}, asJSON, "\n".join([*lines, verdict]))
    return EX_CONFIG if found.errors else 0


def _runs(target: Target) -> bool:
    """Whether a server runs with the configuration that is meant."""
    from xmppd.ctl.socket import CommandError

    try:
        return bool(Path(target.client.ask("status")["config"]) == target.config.absolute())
    except CommandError:
        return False


@xmppctlGroup.command()
@asJSON
@click.pass_obj
def reload(target: Target, asJSON: bool) -> int:
    """Read configuration and certificates again. What is wrong with them changes nothing."""
    answer = target.client.ask("reload")
    lines = [f"error: {cell(line)}" for line in answer["problems"]]
    lines += [f"warning: {cell(line)}" for line in answer["remarks"]]
    verdict = "what is wrong stays as it was" if answer["problems"] else "reloaded"
    show(answer, asJSON, "\n".join([*lines, verdict]))
    return EX_CONFIG if answer["problems"] else 0


@xmppctlGroup.command()
@asJSON
@click.pass_obj
def stop(target: Target, asJSON: bool) -> int:
    """Shut the server down, and wait until it has ended."""
    answer = target.client.ask("stop")
    if not target.client.awaitEnd(DRAINED):
        return _complain("xmppctl", EX_TEMPFAIL, f"process {answer['pid']} has not ended yet; look at its log")
    show(answer, asJSON, "stopped")
    return 0


# --- users


@xmppctlGroup.group(cls=Commands)
@asJSON
def user(asJSON: bool) -> None:
    """Accounts. The server has to run: it alone writes to its database."""


def password(fromStdin: bool, again: bool) -> str:
    """
    A password, from standard input or asked for. Never from the command line, which everybody on the machine can read.

    @raise CommandError: there is none.
    """
    from xmppd.ctl.socket import CommandError

    if fromStdin:
        text = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=again, err=True)
    else:
        raise CommandError(EX_USAGE, "there is no terminal to ask for the password; use --stdin")
    if not text:
        raise CommandError(EX_DATAERR, "the password is empty; write it in one line")
    return text


stdinOption = click.option("--stdin", "fromStdin", is_flag=True, help="Read the password from standard input.")


anywayOption = click.option("--anyway", is_flag=True, help="Whatever other names it looks like.")


@user.command("add")
@click.argument("jid")
@stdinOption
@anywayOption
@asJSON
@click.pass_obj
def userAdd(target: Target, jid: str, fromStdin: bool, anyway: bool, asJSON: bool) -> None:
    """Make an account."""
    client = target.client
    answer = client.ask("user add", jid=jid, password=password(fromStdin, True), anyway=anyway)
    show(answer, asJSON, f"added {cell(answer['jid'])}")


@user.command("passwd")
@click.argument("jid")
@stdinOption
@asJSON
@click.pass_obj
def userPasswd(target: Target, jid: str, fromStdin: bool, asJSON: bool) -> None:
    """Change a password."""
    client = target.client
    answer = client.ask("user passwd", jid=jid, password=password(fromStdin, True))
    show(answer, asJSON, f"changed the password of {cell(answer['jid'])}")


@user.command("del")
@click.argument("jid")
@asJSON
@click.pass_obj
def userDel(target: Target, jid: str, asJSON: bool) -> None:
    """Remove an account with all it stored; its contacts are told."""
    answer = target.client.ask("user del", jid=jid)
    show(answer, asJSON, f"removed {cell(answer['jid'])}")


@user.command("disable")
@click.argument("jid")
@asJSON
@click.pass_obj
def userDisable(target: Target, jid: str, asJSON: bool) -> None:
    """Refuse login, and end the account's sessions."""
    answer = target.client.ask("user disable", jid=jid)
    show(answer, asJSON, f"disabled {cell(answer['jid'])}")


@user.command("enable")
@click.argument("jid")
@asJSON
@click.pass_obj
def userEnable(target: Target, jid: str, asJSON: bool) -> None:
    """Allow login again."""
    answer = target.client.ask("user enable", jid=jid)
    show(answer, asJSON, f"enabled {cell(answer['jid'])}")


@user.command("list")
@click.argument("domain", required=False)
@asJSON
@click.pass_obj
def userList(target: Target, domain: str | None, asJSON: bool) -> None:
    """All accounts, or those of a domain."""
    items = list(target.client.pages("user list", domain=domain))
    rows = [
        (each["jid"], day(each["created"]), day(each["last_activity"]), each["sessions"], each["disabled"])
        for each in items
    ]
    headings = ("JID", "CREATED (UTC)", "LAST SEEN (UTC)", "SESSIONS", "DISABLED")
    show(items, asJSON, table(headings, rows) or "There are none.")


# --- sessions


@xmppctlGroup.group(cls=Commands)
@asJSON
def session(asJSON: bool) -> None:
    """Sessions: who is logged in."""


@session.command("list")
@click.argument("jid", required=False)
@asJSON
@click.pass_obj
def sessionList(target: Target, jid: str | None, asJSON: bool) -> None:
    """All sessions, or those of an account."""
    items = list(target.client.pages("session list", jid=jid))
    keys = ("jid", "address", "state", "presence", "priority", "guest")
    rows = [(*(each[key] for key in keys), span(each["age"])) for each in items]
    headings = ("JID", "ADDRESS", "STATE", "PRESENCE", "PRIORITY", "GUEST", "AGE")
    show(items, asJSON, table(headings, rows) or "There are none.")


@session.command("end")
@click.argument("jid")
@asJSON
@click.pass_obj
def sessionEnd(target: Target, jid: str, asJSON: bool) -> None:
    """End a session (USER@DOMAIN/RESOURCE), or all of an account (USER@DOMAIN)."""
    answer = target.client.ask("session end", jid=jid)
    show(answer, asJSON, f"ended {answer['ended']}")


for each in (guest, dna, names, streams, cert):
    xmppctlGroup.add_command(each)
for lookingCloser in (checkGuests, checkTLSCommand):
    check.add_command(lookingCloser)


# --- invitations


@xmppctlGroup.group(cls=Commands)
@asJSON
def invite(asJSON: bool) -> None:
    """Invitations to register an account."""


domainOption = click.option("--domain", help="The domain, if more than one has invitations.")


@invite.command("create")
@domainOption
@click.option("--user", "username", help="The user name that it is for, reserved meanwhile.")
@click.option("--hours", type=click.FloatRange(0, 1e6, min_open=True), help="How long it holds.")
@anywayOption
@asJSON
@click.pass_obj
def inviteCreate(
    target: Target, domain: str | None, username: str | None, hours: float | None, anyway: bool, asJSON: bool
) -> None:
    """Make an invitation and show its link, which can't be shown again."""
    seconds = None if hours is None else hours * 3600
    answer = target.client.ask("invite create", domain=domain, username=username, seconds=seconds, anyway=anyway)
    text = f"{cell(answer['uri'])}\nholds until {day(answer['expires'])} (UTC); id {cell(answer['id'])}"
    show(answer, asJSON, text)


@invite.command("list")
@domainOption
@asJSON
@click.pass_obj
def inviteList(target: Target, domain: str | None, asJSON: bool) -> None:
    """Invitations that nobody has used yet."""
    items: Iterable[dict[str, Any]] = list(target.client.pages("invite list", domain=domain))
    rows = [(each["id"], each["domain"], each["username"], day(each["expires"]), each["creator"]) for each in items]
    show(items, asJSON, table(("ID", "DOMAIN", "USER", "EXPIRES (UTC)", "MADE BY"), rows) or "There are none.")


@invite.command("revoke")
@click.argument("id")
@domainOption
@asJSON
@click.pass_obj
def inviteRevoke(target: Target, id: str, domain: str | None, asJSON: bool) -> None:
    """Make an invitation useless."""
    answer = target.client.ask("invite revoke", id=id, domain=domain)
    show(answer, asJSON, f"revoked {cell(answer['id'])}")


# --- rooms


@xmppctlGroup.group(cls=Commands)
@asJSON
def room(asJSON: bool) -> None:
    """Chat rooms."""


@room.command("list")
@click.option("--service", help="The domain of the service, if not all.")
@asJSON
@click.pass_obj
def roomList(target: Target, service: str | None, asJSON: bool) -> None:
    """All rooms, or those of a service."""
    items = list(target.client.pages("room list", service=service))
    keys = ("jid", "name", "occupants", "persistent", "public", "members_only", "password", "locked")
    headings = ("ROOM", "NAME", "OCCUPANTS", "PERSISTENT", "PUBLIC", "MEMBERS ONLY", "PASSWORD", "LOCKED")
    show(items, asJSON, table(headings, [[each[key] for key in keys] for each in items]) or "There are none.")


@room.command("info")
@click.argument("room")
@asJSON
@click.pass_obj
def roomInfo(target: Target, room: str, asJSON: bool) -> None:
    """A room: its subject, configuration, and affiliations."""
    answer = target.client.ask("room info", room=room)
    show(answer, asJSON, roomText(answer))


@room.command("destroy")
@click.argument("room")
@click.option("--reason", help="What the occupants are told.")
@click.option("--venue", help="The room where they may go.")
@asJSON
@click.pass_obj
def roomDestroy(target: Target, room: str, reason: str | None, venue: str | None, asJSON: bool) -> None:
    """Destroy a room with all that is stored of it; whoever is in it is told."""
    answer = target.client.ask("room destroy", room=room, reason=reason, venue=venue)
    show(answer, asJSON, f"destroyed {cell(answer['jid'])}, with {answer['occupants']} occupants")


@room.command("affiliation")
@click.argument("room")
@click.argument("jid")
@click.argument("affiliation", required=False)
@asJSON
@click.pass_obj
def roomAffiliation(target: Target, room: str, jid: str, affiliation: str | None, asJSON: bool) -> None:
    """Show somebody's affiliation with a room, or make it AFFILIATION: owner, admin, member, none or outcast."""
    answer = target.client.ask("room affiliation", room=room, jid=jid, affiliation=affiliation)
    text = f"{cell(answer['jid'])} is {answer['affiliation']} in {cell(answer['room'])}"
    if affiliation is not None:
        text += f", and was {answer['before']}"
    if answer["administrator"]:
        text += "; whoever administrates the service owns every room"
    show(answer, asJSON, text)
