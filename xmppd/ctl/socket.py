"""
The UNIX socket that xmppctl talks to.

Theory of operation
===================

A request is a JSON object in one line, C{{"command": "user add", "arguments": {…}}}; so is the response:
C{{"result": …}}, or C{{"error": "a line for people", "status": 67}} with an exit status after sysexits.h. One request
at a time is answered on a connection; a client that sends the next one early waits. Lists come in pages (the commands
say how), so that no response is endless and no turn of the reactor long.

Whoever can talk here administrates the server: the socket has mode 0600, and the kernel is asked who is at the other
end: the server's own user, or root.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from xmppd.ctl.exits import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOPERM,
    EX_OSERR,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    CannotStart,
)
from xmppd.ixmppd import StoreUnavailable
from xmppd.readers import LONGEST_SOCKET_PATH
from xmppd.wire.errors import StanzaError

log = Logger(namespace="xmppd.control")

LONGEST_REQUEST = 65_536
"""Octets of a request."""

CONNECTIONS = 16
"""How many may be open at a time."""

WAITING = 8
"""How many requests may wait on one connection."""

IDLE_SECONDS = 60.0
"""How long a connection may be silent."""


REFUSED_SECONDS = 5.0
"""The same of one that is refused."""


class CommandError(Exception):
    """
    A command can't be done.

    @ivar status: exit status after sysexits.h.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


Run = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Runs a command with its arguments; answers what JSON can hold. Raises L{CommandError}."""


class ControlConnection(LineOnlyReceiver):
    """One xmppctl."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = LONGEST_REQUEST

    def __init__(self, control: ControlSocket) -> None:
        self._control = control
        self._requests: list[bytes] = []
        self._answering = False
        self._idle: Any = None
        self._refusal: CommandError | None = None

    def connectionMade(self) -> None:
        """Let in who may."""
        control = self._control
        refusal = None
        if len(control.connections) >= CONNECTIONS:
            refusal = CommandError(EX_TEMPFAIL, "too many xmppctl are connected; try again")
        elif not mayControl(self.transport):
            log.warn("control refused: it is neither the server's user nor root")
            refusal = CommandError(EX_NOPERM, "only the server's user and root may; try sudo")
        control.connections.add(self)
        # told when it has asked: whoever writes into a connection that is closed already doesn't read why
        self._refusal = refusal
        seconds = IDLE_SECONDS if refusal is None else REFUSED_SECONDS
        self._idle = control.reactor.callLater(seconds, self.transport.loseConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{LineOnlyReceiver}."""
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._control.gone(self)

    def lineReceived(self, line: bytes) -> None:
        """A request."""
        if self._refusal is not None:
            self._respond(refused(self._refusal))
            self.transport.loseConnection()
            return
        if self._idle.active():
            self._idle.reset(IDLE_SECONDS)
        if len(self._requests) >= WAITING:
            self.transport.loseConnection()
            return
        self._requests.append(line)
        if not self._answering:
            self._answering = True
            Deferred.fromCoroutine(self._answerAll())

    def lineLengthExceeded(self, line: bytes) -> None:
        """A request that is too long."""
        self._respond(refused(CommandError(EX_DATAERR, "the request is too long")))
        self.transport.loseConnection()

    async def _answerAll(self) -> None:
        try:
            while self._requests:
                self._respond(await self._answer(self._requests.pop(0)))
        finally:
            self._answering = False

    async def _answer(self, line: bytes) -> dict[str, Any]:
        """The response to a request."""
        try:
            name, arguments = requestOf(line)
            return {"result": await self._control.run(name, arguments)}
        except Exception as error:
            return refused(error)

    def _respond(self, response: Mapping[str, Any]) -> None:
        if self.connected:
            self.transport.write(json.dumps(response).encode() + b"\n")


def requestOf(line: bytes) -> tuple[str, Mapping[str, Any]]:
    """
    Name and arguments of a command.

    @raise CommandError: it is no request.
    """
    try:
        request = json.loads(line)
        name, arguments = request["command"], request.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CommandError(EX_USAGE, "this is no request") from None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise CommandError(EX_USAGE, "this is no request")
    return name, arguments


def refused(error: Exception) -> dict[str, Any]:
    """The response that tells of an error. What nobody foresaw is logged."""
    if isinstance(error, CommandError):
        return {"error": str(error), "status": error.status}
    if isinstance(error, StanzaError):
        return {"error": error.text or str(error.condition).replace("-", " "), "status": EX_DATAERR}
    if isinstance(error, StoreUnavailable):
        return {"error": f"the database is not available ({error}); try again", "status": EX_TEMPFAIL}
    log.failure("a command failed", Failure(error))
    line = f"a mistake in xmppd ({type(error).__name__}); the log has the details, please report it"
    return {"error": line, "status": EX_SOFTWARE}


def mayControl(transport: Any) -> bool:
    """Whether the process at the other end belongs to the server's user or to root."""
    try:
        credentials = transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except (OSError, AttributeError):
        return False
    uid = struct.unpack("3i", credentials)[1]
    return uid in (0, os.geteuid())


class ControlSocket(Factory):
    """
    Listens for xmppctl.

    @ivar connections: those that are open.
    @ivar run: runs commands.
    """

    noisy = False

    def __init__(self, reactor: Any, path: Path, run: Run) -> None:
        self.reactor = reactor
        self.run = run
        self.connections: set[ControlConnection] = set()
        self._path = path
        self._port: Any = None
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> ControlConnection:
        """See L{Factory}."""
        return ControlConnection(self)

    def start(self) -> None:
        """
        Listen.

        @raise CannotStart: the path is taken, or can't be used.
        """
        claim(self._path)
        mask = os.umask(0o177)  # the mode must be right from the first moment
        try:
            self._port = self.reactor.listenUNIX(str(self._path), self, mode=0o600)
        except Exception as error:
            cause = getattr(error, "socketError", error)
            reason = getattr(cause, "strerror", None) or str(cause)
            line = f"control.socket: can't listen on {self._path}: {reason}"
            raise CannotStart(EX_OSERR, f"{line}; name a path that the server's user can write") from None
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """Hear no more commands; those under way are cut."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        if self.connections:
            self._empty = Deferred()
            for connection in tuple(self.connections):
                connection.transport.loseConnection()
            late = self.reactor.callLater(1.0, self._cut)
            await self._empty
            if late.active():
                late.cancel()

    def gone(self, connection: ControlConnection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if not self.connections and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def _cut(self) -> None:
        for connection in tuple(self.connections):
            connection.transport.abortConnection()


def claim(path: Path) -> None:
    """
    Make the path free: a socket that nobody listens on is what a killed server leaves behind.

    @raise CannotStart: somebody listens there, or it is something else.
    """
    if len(str(path).encode()) > LONGEST_SOCKET_PATH:
        line = f"control.socket: {path} is longer than the {LONGEST_SOCKET_PATH} octets that a socket's path may have"
        raise CannotStart(EX_CONFIG, f"{line}; name a shorter one")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        line = f"control.socket: can't use {path}: {error.strerror}"
        raise CannotStart(EX_OSERR, f"{line}; name a path that the server's user can write") from None
    if not stat.S_ISSOCK(mode):
        line = f"control.socket: {path} is there already and no socket"
        raise CannotStart(EX_CONFIG, f"{line}; move it away, or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        reached = probe.connect_ex(str(path))
    if reached in (0, errno.EAGAIN):
        line = f"control.socket: another xmppd listens on {path}"
        raise CannotStart(EX_UNAVAILABLE, f"{line}; stop that one, or name another path")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        line = f"control.socket: can't remove the old {path}: {error.strerror}"
        raise CannotStart(EX_OSERR, f"{line}; remove it, or name another path") from None
