"""
Ad-hoc commands (XEP-0050): what features offer by C{host.addCommand}, to be found by disco and run by stages.

Theory of operation: a command is one callable. It is called without values first; if it answers a form, a session is
kept for the requester, and each submission is added to the values of the stages before and given to the callable
again. C{prev} drops the latest values. Sessions are few, short, and die with their time; commands for administrators
are not listed for anybody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from xmppd.hooks import (
    EVERYWHERE,
    Command,
    CommandAnswer,
    CommandForm,
    CommandResult,
    DiscoInfo,
    DiscoItem,
    Feature,
    Spec,
)
from xmppd.ixmppd import IHost, Request
from xmppd.wire import forms, ns
from xmppd.wire.element import LANG, Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

COMMAND = ns.COMMANDS + " command"

ACTIONS = frozenset({"execute", "cancel", "prev", "next", "complete"})

SESSION_SECONDS = 900
"""How long a session waits for its next stage."""

SESSIONS = 1000
"""How many sessions there may be at a time; administrators are not kept out by those of others."""

SESSIONS_EACH = 10
"""How many of them one requester may have."""

STAGES = 20
"""How many forms one session may go through."""

log = Logger(namespace="xmppd.features.commands")

Values = dict[str, tuple[str, ...]]


@dataclass(slots=True, eq=False)
class Execution:
    """
    A session of one command (section 3.3).

    @ivar owner: full JID of the requester; nobody else can go on with it.
    @ivar stages: the values submitted so far, stage by stage.
    @ivar asked: the form that waits to be filled in.
    @ivar busy: whether the command is at work.
    """

    id: str
    command: Command
    owner: str
    stages: list[Values] = field(default_factory=list)
    asked: CommandForm | None = None
    busy: bool = False
    timeout: IDelayedCall | None = None


class Commands:
    """Lists and runs the commands of one host, or those of each address at a service."""

    def __init__(self, host: IHost, commands: Mapping[str, Command]) -> None:
        self._host = host
        self._commands = commands
        self._executions: dict[str, Execution] = {}

    # --- discovery

    def info(self, request: Request, node: str) -> DiscoInfo | None:
        """The list of commands as a node, and each command (section 2.2)."""
        if node == ns.COMMANDS:
            return DiscoInfo((("automation", "command-list", "Commands"),), (ns.DISCO_INFO, ns.DISCO_ITEMS))
        command = self._commands.get(node)
        if command is None:
            return None
        self._checkAllowed(request, command)
        return DiscoInfo((("automation", "command-node", command.title),), (ns.COMMANDS, ns.DATA_FORMS))

    def items(self, request: Request, node: str) -> Sequence[DiscoItem] | None:
        """The commands that the requester may execute (section 2.2)."""
        if node in self._commands:
            return ()
        if node != ns.COMMANDS:
            return None
        return [
            DiscoItem(self._host.domain, command.title, command.node)
            for command in sorted(self._commands.values(), key=lambda command: command.node)
            if self._allowed(request, command)
        ]

    def _allowed(self, request: Request, command: Command) -> bool:
        return not command.admin or self._host.isAdmin(request.sender)

    def _checkAllowed(self, request: Request, command: Command) -> None:
        if not self._allowed(request, command):
            raise StanzaError(StanzaCondition.FORBIDDEN)

    # --- execution

    async def respond(self, request: Request) -> Element:
        """A command, or the next stage of one (section 2.4)."""
        payload = request.payload
        node = payload.get("node", "")
        command = self._commands.get(node or "")
        if command is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        self._checkAllowed(request, command)
        action = payload.get("action") or "execute"
        if action not in ACTIONS:
            raise _mistake("malformed-action")
        id = payload.get("sessionid")
        if id is None:
            if action != "execute":
                raise _mistake("bad-action")
            return await self._begin(request, command)
        return await self._continue(request, self._execution(request, command, id), action)

    def _execution(self, request: Request, command: Command, id: str) -> Execution:
        """The session to go on with; to anybody but its owner there is none."""
        execution = self._executions.get(id)
        if execution is None or execution.owner != request.sender.full:
            application = _condition("session-expired")
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "There is no such session.", application=application)
        if execution.command is not command:
            raise _mistake("bad-sessionid")
        if execution.busy:
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST, "The command is at work.")
        return execution

    async def _begin(self, request: Request, command: Command) -> Element:
        """The first stage."""
        owner = request.sender.full
        mine = sum(each.owner == owner for each in self._executions.values())
        if mine >= SESSIONS_EACH or (len(self._executions) >= SESSIONS and not command.admin):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many commands are being executed.")
        execution = Execution(self._host.entropy.token(), command, owner)
        self._executions[execution.id] = execution
        self._renew(execution)
        try:
            answer = await self._run(request, execution, None)
        except BaseException:
            self._forget(execution)
            raise
        return self._answer(execution, answer)

    async def _continue(self, request: Request, execution: Execution, action: str) -> Element:
        """A later stage, or the end."""
        if action == "cancel":
            self._forget(execution)
            return _element(execution, "canceled")
        if action == "prev":
            return await self._back(request, execution)
        asked = execution.asked
        assert asked is not None
        if action not in ("execute", "complete" if asked.last else "next"):
            raise _mistake("bad-action")
        form = forms.formIn(request.payload)
        given = forms.values(form) if form is not None else {}
        if forms.missing(asked.form, given) or len(execution.stages) >= STAGES:
            raise _mistake("bad-payload")
        answer = await self._run(request, execution, {**_merged(execution.stages), **given})
        execution.stages.append(given)
        return self._answer(execution, answer)

    async def _back(self, request: Request, execution: Execution) -> Element:
        """The stage before (section 2.4.2)."""
        if not execution.stages:
            raise _mistake("bad-action")
        before = execution.stages[:-1]
        answer = await self._run(request, execution, _merged(before) if before else None)
        execution.stages = before
        return self._answer(execution, answer)

    async def _run(self, request: Request, execution: Execution, values: Values | None) -> CommandAnswer:
        """Call the command, and tell the log of what administrators do."""
        execution.busy = True
        try:
            answer: Any = execution.command.execute(request, values)
            if isinstance(answer, Awaitable):
                answer = await answer
        finally:
            execution.busy = False
        if execution.command.admin and isinstance(answer, CommandResult):
            log.info("command {node} executed by {sender}", node=execution.command.node, sender=execution.owner)
        result: CommandAnswer = answer
        return result

    def _answer(self, execution: Execution, answer: CommandAnswer) -> Element:
        """Tell the requester, and keep or end the session."""
        if isinstance(answer, CommandResult):
            self._forget(execution)
            payload = [] if answer.form is None else [answer.form]
            if answer.note is not None:
                payload.append(Element("note", ns.COMMANDS, {"type": answer.noteType}, (answer.note,)))
            return _element(execution, "completed", *payload)
        execution.asked = answer
        if execution.id in self._executions:
            self._renew(execution)
        return _element(execution, "executing", _actions(answer, bool(execution.stages)), answer.form)

    # --- sessions

    def _renew(self, execution: Execution) -> None:
        """Wait for the next stage, but not for ever."""
        if execution.timeout is not None and execution.timeout.active():
            execution.timeout.cancel()
        execution.timeout = self._host.clock.callLater(SESSION_SECONDS, self._expired, execution)

    def _expired(self, execution: Execution) -> None:
        self._executions.pop(execution.id, None)

    def _forget(self, execution: Execution) -> None:
        self._executions.pop(execution.id, None)
        execution.stages = []
        if execution.timeout is not None and execution.timeout.active():
            execution.timeout.cancel()


def _merged(stages: Sequence[Values]) -> Values:
    merged: Values = {}
    for stage in stages:
        merged.update(stage)
    return merged


def _element(execution: Execution, status: str, *children: Element) -> Element:
    """What the requester hears (section 4.1)."""
    attrs = {"node": execution.command.node, "sessionid": execution.id, "status": status, LANG: "en"}
    return Element("command", ns.COMMANDS, attrs, children)


def _actions(answer: CommandForm, back: bool) -> Element:
    """What the requester can do next (section 3.4)."""
    forward = "complete" if answer.last else "next"
    names = ["prev", forward] if back else [forward]
    children = tuple(Element(name, ns.COMMANDS) for name in names)
    return Element("actions", ns.COMMANDS, {"execute": forward}, children)


def _condition(name: str) -> bytes:
    """A condition of XEP-0050's own (section 4.4)."""
    return Element(name, ns.COMMANDS).toBytes()


def _mistake(name: str) -> StanzaError:
    return StanzaError(StanzaCondition.BAD_REQUEST, type=ErrorType.MODIFY, application=_condition(name))


def join(host: IHost) -> None:
    """Answer for the domain, and be found. The service says itself what commands its addresses have."""
    if host.config.table != "host":
        host.respond("account", "set", COMMAND, Commands(host, host.inboxCommands).respond)
    commands = Commands(host, host.commands)
    host.respond("host", "set", COMMAND, commands.respond)
    host.disco.info.append(commands.info)
    host.disco.items.append(commands.items)


feature = Feature(
    name="xep0050_commands",
    specs=(Spec("XEP-0050", "1.3.0"), Spec("XEP-0004", "2.13.2")),
    namespaces=(ns.COMMANDS, ns.DATA_FORMS),
    join=join,
    joins=EVERYWHERE,
)
