"""
The control socket. These tests use the real reactor: who is at the other end of a socket, only the kernel knows.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.ctl.servers import folderFor
from xmppd.ctl import socket as control
from xmppd.ctl.client import Client, socketOf
from xmppd.ctl.exits import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOPERM,
    EX_NOUSER,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    CannotStart,
)
from xmppd.ctl.socket import CommandError, ControlSocket, claim, mayControl, refused, requestOf
from xmppd.ixmppd import StoreUnavailable
from xmppd.wire.errors import StanzaCondition, StanzaError


async def echo(name: str, arguments: Mapping[str, Any]) -> Any:
    """A command that tells what it was, or fails."""
    if name == "fail":
        raise CommandError(EX_NOUSER, "no such user")
    if name == "pages":
        after = arguments.get("after") or 0
        return {"items": [{"n": after}], "after": after + 1 if after < 2 else None}
    return {"name": name, **arguments}


class SocketTests(TestCase):
    """L{ControlSocket} and L{Client}, over a real socket."""

    def setUp(self) -> None:
        self.path = folderFor(self) / "s"
        self.control = ControlSocket(reactor, self.path, echo)
        self.control.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.control.stop()))

    def withClient(self, act: Any) -> Deferred[Any]:
        """Act with a client, in a thread, since it blocks."""

        def acting() -> Any:
            client = Client(self.path)
            try:
                return act(client)
            finally:
                client.close()

        return deferToThread(acting)

    @inlineCallbacks
    def test_asks(self) -> Any:
        """A request has a response."""
        answer = yield self.withClient(lambda client: client.ask("x", a=1, nothing=None))
        self.assertEqual(answer, {"name": "x", "a": 1})

    @inlineCallbacks
    def test_pages(self) -> Any:
        """A list in pages is one list."""
        answer = yield self.withClient(lambda client: list(client.pages("pages")))
        self.assertEqual(answer, [{"n": 0}, {"n": 1}, {"n": 2}])

    @inlineCallbacks
    def test_fails(self) -> Any:
        """A failure comes with its status, and the connection goes on."""

        def act(client: Client) -> Any:
            with self.assertRaises(CommandError) as caught:
                client.ask("fail")
            return caught.exception.status, str(caught.exception), client.ask("x")

        answer = yield self.withClient(act)
        self.assertEqual(answer, (EX_NOUSER, "no such user", {"name": "x"}))

    @inlineCallbacks
    def test_pid(self) -> Any:
        """The client knows the server's process."""
        answer = yield self.withClient(lambda client: client.pid)
        self.assertEqual(answer, os.getpid())

    def test_mode(self) -> None:
        """Nobody else can open it."""
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    @inlineCallbacks
    def test_others(self) -> Any:
        """Another user who has come by the socket all the same is refused."""
        self.patch(control, "mayControl", lambda transport: False)

        def act(client: Client) -> int:
            with self.assertRaises(CommandError) as caught:
                client.ask("x")
            return caught.exception.status

        self.assertEqual((yield self.withClient(act)), EX_NOPERM)

    @inlineCallbacks
    def test_tooLong(self) -> Any:
        """A request without end is cut."""

        def act(client: Client) -> bytes:
            client._socket.sendall(b"x" * (control.LONGEST_REQUEST + 100_000))
            return client._file.readline()

        self.assertEqual(json.loads((yield self.withClient(act)))["status"], EX_DATAERR)

    @inlineCallbacks
    def test_tooMany(self) -> Any:
        """There is an end to connections, and room again when they are gone."""
        self.patch(control, "CONNECTIONS", 0)

        def refused(client: Client) -> int:
            with self.assertRaises(CommandError) as caught:
                client.ask("x")
            return caught.exception.status

        self.assertEqual((yield self.withClient(refused)), EX_TEMPFAIL)
        self.patch(control, "CONNECTIONS", 1)
        yield self.withClient(lambda client: client.ask("x"))

    @inlineCallbacks
    def test_stops(self) -> Any:
        """When it stops, connections end and the file is gone."""

        def act(client: Client) -> str:
            client.ask("x")
            reactor.callFromThread(lambda: Deferred.fromCoroutine(self.control.stop()))  # type: ignore[attr-defined]
            client._file.read()
            with self.assertRaises(CommandError) as caught:
                client.ask("x")
            return str(caught.exception)

        self.assertIn("hung up", (yield self.withClient(act)))
        self.assertFalse(self.path.exists())


class MayControlTests(SynchronousTestCase):
    """L{mayControl}."""

    def transport(self, uid: int) -> Any:
        """A transport whose peer has that user id."""

        class Fake:
            def getHandle(self) -> Fake:
                return self

            def getsockopt(self, level: int, option: int, size: int) -> bytes:
                return struct.pack("3i", 1, uid, 1)

        return Fake()

    def test_who(self) -> None:
        """Root and the server's own user may, and nobody else; not even if it can't be known."""
        own = os.geteuid()
        self.assertEqual(
            [mayControl(self.transport(uid)) for uid in (0, own, own + 12345)], [True, True, False]
        )
        self.assertFalse(mayControl(object()))


class ClaimTests(SynchronousTestCase):
    """L{claim}: what may be in the way."""

    def setUp(self) -> None:
        self.path = folderFor(self) / "s"

    def refusal(self, path: Path) -> CannotStart:
        """Why the path can't be had."""
        error: CannotStart = self.assertRaises(CannotStart, claim, path)  # type: ignore[assignment]
        self.assertIn(";", str(error))
        return error

    def test_nothing(self) -> None:
        """Nothing."""
        claim(self.path)

    def test_stale(self) -> None:
        """A socket that a killed server has left is removed."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
            dead.listen()
        claim(self.path)
        self.assertFalse(self.path.exists())

    def test_alive(self) -> None:
        """A server that lives is left alone."""
        with socket.socket(socket.AF_UNIX) as alive:
            alive.bind(str(self.path))
            alive.listen()
            self.assertEqual(self.refusal(self.path).status, EX_UNAVAILABLE)
        self.assertTrue(self.path.exists())

    def test_file(self) -> None:
        """A file is nobody's to remove."""
        self.path.write_text("precious")
        self.assertEqual(self.refusal(self.path).status, EX_CONFIG)
        self.assertTrue(self.path.exists())

    def test_long(self) -> None:
        """A path that the kernel doesn't take."""
        self.assertEqual(self.refusal(self.path.with_name("x" * 120)).status, EX_CONFIG)

    def test_noFolder(self) -> None:
        """A folder that isn't there is told when it listens."""
        there = ControlSocket(reactor, self.path / "x" / "s", echo)
        error = self.assertRaises(CannotStart, there.start)
        self.assertIn("control.socket", str(error))


class RequestTests(SynchronousTestCase):
    """Requests and refusals."""

    def test_nonsense(self) -> None:
        """What is no request."""
        for line in (b"", b"x", b"[]", b"7", b"{}", b'{"command": 1}', b'{"command": "x", "arguments": []}', b"[" * 10_000, b"\xff"):
            error = self.assertRaises(CommandError, requestOf, line)
            self.assertEqual(error.status, EX_USAGE)

    def test_refusals(self) -> None:
        """Each kind of failure has its status; what nobody foresaw is logged, and its text is not told."""
        self.assertEqual(refused(StanzaError(StanzaCondition.NOT_ACCEPTABLE))["error"], "not acceptable")
        self.assertEqual(refused(StoreUnavailable("full"))["status"], EX_TEMPFAIL)
        response = refused(ValueError("secret"))
        self.assertEqual((response["status"], "secret" in response["error"]), (EX_SOFTWARE, False))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class ClientTests(SynchronousTestCase):
    """Where there is no server."""

    def setUp(self) -> None:
        self.folder = folderFor(self)

    def test_absent(self) -> None:
        """It asks whether the server is running, and says how to start it."""
        error = self.assertRaises(CommandError, Client, self.folder / "s")
        self.assertEqual(error.status, EX_UNAVAILABLE)
        self.assertIn("is the server running?", str(error))
        self.assertIn("xmppd run", str(error))

    def test_stale(self) -> None:
        """A socket that nobody listens on is the same."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.folder / "s"))
        self.assertEqual(self.assertRaises(CommandError, Client, self.folder / "s").status, EX_UNAVAILABLE)

    def test_socketOf(self) -> None:
        """The socket follows from the configuration, even from one with mistakes."""
        file = self.folder / "x.toml"
        file.write_text('data = "d"\nnonsense = 1')
        self.assertEqual(socketOf(file), self.folder / "d" / "xmppctl.sock")
        file.write_text('data = "d"\n[control]\nsocket = "run/s"')
        self.assertEqual(socketOf(file), self.folder / "run" / "s")

    def test_noSocketOf(self) -> None:
        """A file that says nothing."""
        file = self.folder / "x.toml"
        for text in (None, "", "= =", "data = 7\n[control]\nsocket = {}\n[control]"):
            if text is not None:
                file.write_text(text)
            self.assertEqual(self.assertRaises(CommandError, socketOf, file).status, EX_CONFIG)
