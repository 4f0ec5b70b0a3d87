"""
Uploads that lie, paths that climb, requests that never end: a typed answer for each, nothing stored, nothing read, and
everybody else goes on.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.net.test_http import WebTransport
from tests.security.attack import ATTACKER, AttackCase
from tests.server import MemoryServer

UPLOAD = "upload.example.org"
SERVICE = f"""
[upload."{UPLOAD}"]
url = "https://files.example.org"
max_size = 1000000
quota = 2000000
[proxy."proxy.example.org"]
"""

NOISE = random.Random(13).randbytes(70_000)


class UploadAttackCase(AttackCase):
    """A server with an upload service behind a reverse proxy."""

    def serve(self, *arguments: Any, **named: Any) -> MemoryServer:
        """See L{tests.server.ServerCase}."""
        return super().serve(*arguments, **named, more=SERVICE, listen='http = ["tcp:5280"]')

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.server.server.config.data) / "files" / UPLOAD / "upload"
        self.mallory = self.attacker()

    def slot(self, size: int = 10, name: str = "x.png", type: str = "image/png") -> str:
        """The path of a slot."""
        self.mallory.send(
            f"<iq type='get' id='s' to='{UPLOAD}'><request xmlns='urn:xmpp:http:upload:0' filename='{name}'"
            f" size='{size}' content-type='{type}'/></iq>"
        )
        answer = self.mallory.one()
        self.assertEqual(answer.get("type"), "result")
        return str(answer[0][0].get("url")).removeprefix("https://files.example.org")

    def open(self, port: int = 5280) -> tuple[Any, WebTransport]:
        """A connection of the attacker's."""
        connection: Any = self.server.factory(port).buildProtocol(None)
        transport = WebTransport(ATTACKER)
        self.server.watchdog.run("a connection", connection.makeConnection, transport)
        return connection, transport

    def send(self, connection: Any, data: bytes) -> None:
        """Bytes of the attacker's."""
        self.server.watchdog.run(f"{len(data)} bytes", connection.dataReceived, data)
        self.server.pump()

    def status(self, head: str, body: bytes = b"") -> int:
        """The status of the one answer to a request."""
        connection, transport = self.open()
        self.send(connection, f"{head}\r\nHost: x\r\n\r\n".encode("latin-1") + body)
        answers = re.findall(rb"HTTP/1\.1 (\d+) ", transport.value())
        connection.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(answers), 1, transport.value()[:200])
        return int(answers[0])

    def files(self) -> list[str]:
        """Every file of the service."""
        return [name for _, _, names in os.walk(self.folder) for name in names]


class LyingTests(UploadAttackCase):
    """What comes is not what was said."""

    def test_length(self) -> None:
        """More or less than the slot, nothing said, nonsense said: refused before a byte is stored."""
        for head, status in (
            ("Content-Length: 11", 413), ("Content-Length: 999999999999", 413), ("Content-Length: 9", 400),
            ("Content-Length: 0", 400), ("Transfer-Encoding: chunked", 411), ("Content-Length: -10", 400),
            ("Content-Length: 10, 10", 400), ("Content-Length: 0x0a", 400), ("Content-Length: +10", 400),
            ("Content-Length: 10\r\nContent-Length: 10", 400), ("Content-Length: 10\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 10", 400),
            ("X: y", 400),
        ):
            path = self.slot()
            self.assertEqual(self.status(f"PUT {path} HTTP/1.1\r\n{head}", b"x" * 100), status, head)
            self.assertEqual(self.files(), [], head)

    def test_breaksOff(self) -> None:
        """Less than was said, then the end: the file is gone, and so is what the store knew."""
        path = self.slot(1_000_000)
        connection, _ = self.open()
        self.send(connection, f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 999_999)
        self.assertEqual(len(self.files()), 1)
        connection.connectionLost(Failure(ConnectionLost()))
        self.server.pump()
        self.assertEqual(self.files(), [])
        self.assertEqual(dict(self.successResultOf(self.server.store.facts.all("mallory@example.org", "upload"))), {})
        self.assertEqual(self.status(f"PUT {path} HTTP/1.1\r\nContent-Length: 5", b"12345"), 404)

    def test_type(self) -> None:
        """Another type than the slot's is refused; a page is never given out as one."""
        path = self.slot()
        self.assertEqual(self.status(f"PUT {path} HTTP/1.1\r\nContent-Length: 10\r\nContent-Type: text/html", b"x" * 10), 415)
        self.assertEqual(self.files(), [])

    def test_twoAtOnce(self) -> None:
        """Two put the same file at once: one of them does."""
        path = self.slot()
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n".encode()
        (one, first), (two, second) = self.open(), self.open()
        self.send(one, head + b"11111")
        self.send(two, head + b"2222222222")
        self.send(one, b"11111")
        self.assertIn(b" 201 ", first.value())
        self.assertIn(b" 404 ", second.value())

    def test_moreThanSaid(self) -> None:
        """What follows a body is the next request, and none."""
        path = self.slot()
        connection, transport = self.open()
        self.send(connection, f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n".encode() + b"x" * 5000)
        self.assertIn(b" 201 ", transport.value())
        there = [path for path in (self.folder / "files").rglob("*") if path.is_file()]
        self.assertEqual([path.stat().st_size for path in there], [10])

    def test_quota(self) -> None:
        """Slots without end, absurd sizes: typed errors, and nothing grows."""
        for size, condition in (("1000001", "not-acceptable"), ("9" * 15, "not-acceptable"), ("9" * 5000, "bad-request"), ("-1", "bad-request")):
            self.mallory.send(f"<iq type='get' id='s' to='{UPLOAD}'><request xmlns='urn:xmpp:http:upload:0' filename='x' size='{size}'/></iq>")
            self.assertError(self.mallory.one(), condition)
        for _ in range(2):
            self.slot(1_000_000)
        for _ in range(50):
            self.mallory.send(f"<iq type='get' id='s' to='{UPLOAD}'><request xmlns='urn:xmpp:http:upload:0' filename='x' size='1000000'/></iq>")
            self.assertError(self.mallory.one(), "resource-constraint", "wait")
        self.assertEqual(len(self.successResultOf(self.server.store.facts.all("mallory@example.org", "upload"))), 2)


class PathTests(UploadAttackCase):
    """Paths that want to be somewhere else."""

    def test_climbing(self) -> None:
        """None of them finds anything, or is told anything."""
        (self.folder / "secret").write_text("secret")
        self.slot()
        for path in (
            "/upload/../secret/x", "/upload/..%2fsecret/x", "/upload/%2e%2e/secret", "/upload/..\\secret/x", "//etc/passwd",
            "/upload//x", "/upload/", "/upload", "/upload/.", "/upload/index/x", "/upload/files/x", "/upload/arriving/x",
            "/upload/../../../../../../etc/passwd", "/upload/%00/x", "/upload/x%00/y", "/upload/" + "a" * 5000 + "/x",
            "/upload/a/b/c", "/upload/%ff%fe/x", "/upload/~root/x",
        ):
            for method in ("GET", "HEAD", "DELETE"):
                self.assertIn(self.status(f"{method} {path} HTTP/1.1"), (404,) if method != "DELETE" else (404, 405), path)
            self.assertEqual(self.status(f"PUT {path} HTTP/1.1\r\nContent-Length: 10", b"x" * 10), 404, path)

    def test_names(self) -> None:
        """A name that is a path is stored as none, and headers can't be made of it."""
        for name in ("../../../x.png", "..\\x.png", "/etc/x.png", "a&#13;&#10;Set-Cookie: x=y.png", "%2e%2e%2fx.png", "\u202egnp.exe"):
            path = self.slot(name=name)
            self.assertEqual(len(path.split("/")), 4)
            self.assertEqual(self.status(f"PUT {path} HTTP/1.1\r\nContent-Length: 10", b"x" * 10), 201)
            connection, transport = self.open()
            self.send(connection, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = transport.value().partition(b"\r\n\r\n")[0]
            self.assertIn(b" 200 ", head)
            self.assertNotIn(b"\r\nSet-Cookie", head)
        self.assertFalse([path for path in self.folder.parent.parent.rglob("x.png")])


class SlownessTests(UploadAttackCase):
    """Whoever takes for ever."""

    def test_heads(self) -> None:
        """A hundred connections whose heads never end are gone after twenty seconds."""
        self.server.server.admission.limits = self.server.server.config.limits
        there = [self.open() for _ in range(100)]
        for _ in range(25):
            for connection, transport in there:
                if transport.closed is None:
                    self.send(connection, b"X: y\r\n" if _ else b"GET /upload/x/y HTTP/1.1\r\n")
            self.server.advance(1)
        self.assertEqual({transport.closed for _, transport in there}, {"aborted"})
        for connection, _ in there:
            connection.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(len(self.server.server.others), 0)

    def test_bodies(self) -> None:
        """A body in drips is given up, and leaves nothing."""
        path = self.slot(10_000)
        connection, transport = self.open()
        self.send(connection, f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n".encode())
        for _ in range(40):
            if transport.closed is None:
                self.send(connection, b"x")
            self.server.advance(1)
        self.assertEqual(transport.closed, "aborted")
        connection.connectionLost(Failure(ConnectionLost()))
        self.server.pump()
        self.assertEqual(self.files(), [])

    def test_flood(self) -> None:
        """Connections without end are refused; a megabyte of requests on one is no long turn."""
        connection, transport = self.open()
        self.send(connection, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        self.assertEqual(transport.value().count(b" 404 "), 100)
        opened = [self.open() for _ in range(300)]
        self.assertIn("aborted", {transport.closed for _, transport in opened})

    def test_notHTTP(self) -> None:
        """XMPP, TLS and noise on the port."""
        for data in (b"<?xml version='1.0'?><stream:stream>\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 50, NOISE[:65536], b"\r\n" * 5000, b"x\n" + b"y" * 65536):
            connection, transport = self.open()
            self.send(connection, data)
            self.server.advance(31)
            self.assertIn(transport.closed, ("half", "aborted", "lost"))
            self.assertNotIn(b" 200 ", transport.value())

    def test_socks(self) -> None:
        """Nobody is connected to anywhere by the proxy, and nobody waits there for ever."""
        for data in (b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16", b"\x05\x01\x00\x05\x01\x00\x03\x09localhost\x00\x16", NOISE):
            connection, transport = self.open(7777)
            self.send(connection, data)
            self.server.advance(31)
            self.assertIsNotNone(transport.closed)
        self.assertEqual(self.server.reactor.tcpClients, [])
