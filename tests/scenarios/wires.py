"""
Connections of people in scenarios that are no XML streams: requests to the web server, and bytestreams through the proxy.
"""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.net.test_http import WebTransport
from tests.server import MemoryServer

WEB = 5280
"""The port of the web server, as scenarios have it."""

SOCKS = 7777
"""The port of the proxy."""


class Wire:
    """
    A connection to a port of the server.

    @ivar read: how much of what came was looked at.
    """

    def __init__(self, server: MemoryServer, port: int) -> None:
        self._server = server
        self._transport = WebTransport()
        self._protocol: Any = server.factory(port).buildProtocol(self._transport.getPeer())
        self.read = 0
        server.watchdog.run("a connection", self._protocol.makeConnection, self._transport)

    def send(self, data: bytes) -> None:
        """Bytes for the server."""
        self._server.watchdog.run(f"{len(data)} bytes", self._protocol.dataReceived, data)
        self._server.pump()

    def take(self) -> bytes:
        """What has come since the last time."""
        self._server.pump()
        data = bytes(self._transport.value()[self.read :])
        self.read += len(data)
        return data

    def end(self) -> None:
        """End the connection."""
        self._protocol.connectionLost(Failure(ConnectionDone()))
        self._server.pump()


def ask(server: MemoryServer, request: str) -> tuple[str, dict[str, list[str]], str]:
    """
    Make a request: a method and a URL (only its path counts), lines with headers, an empty line, the content. Answers
    the status, the headers by their names in small letters, and the content.
    """
    head, _, content = request.partition("\n\n")
    first, *headers = (line.strip() for line in head.splitlines())
    method, _, url = first.partition(" ")
    path = "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", content.strip()]
    wire = Wire(server, WEB)
    wire.send("\r\n".join(lines).encode())
    top, _, body = wire.take().partition(b"\r\n\r\n")
    wire.end()
    status, *rows = top.decode().split("\r\n")
    found: dict[str, list[str]] = {}
    for row in rows:
        name, _, value = row.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    return [*status.split(), "", ""][1], found, body.decode()


def bytestream(server: MemoryServer, sid: str, requester: str, target: str) -> tuple[Wire, bool]:
    """A connection to the proxy, and whether the proxy took it (XEP-0065 section 5.3.2)."""
    name = hashlib.sha1((sid + requester + target).encode()).hexdigest().encode()
    wire = Wire(server, SOCKS)
    wire.send(b"\x05\x01\x00")
    chosen = wire.take()
    wire.send(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + b"\0\0")
    reply = wire.take()
    # The address that is bound is the one that was asked for.
    return wire, (chosen, reply) == (b"\x05\x00", b"\x05\x00\x00\x03" + bytes([len(name)]) + name + b"\0\0")
