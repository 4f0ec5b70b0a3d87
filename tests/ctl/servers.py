"""
Servers for the tests of this folder: without ports and with a clock, or real ones on a socket.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import STREAM_START, CountingEntropy
from xmppd.config import parse
from xmppd.net.c2s import ClientConnection, ClientFactory
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
[tls]
require_c2s = false
[store]
url = "memory:"
[host."example.org"]
plain_without_tls = true
registration = "invite"
[host."example.net"]
"""


def folderFor(test: Any) -> Path:
    """A folder with a path that is short enough for a socket; removed with the test."""
    folder = tempfile.TemporaryDirectory(prefix="xmppd-")
    test.addCleanup(folder.cleanup)
    return Path(folder.name)


class UsualTransport(StringTransport):
    """A transport that has what connections use besides the usual."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See C{ITCPTransport}."""

    def loseConnection(self) -> None:
        """See C{ITransport}; the connection is lost at once."""
        super().loseConnection()
        self.protocol.connectionLost()  # type: ignore[attr-defined]


class ServerCase(SynchronousTestCase):
    """
    A server with a clock in place of a reactor: no ports, no control socket.

    @ivar server: it runs.
    """

    configuration = CONFIGURATION.replace('c2s = ["tcp:0:interface=127.0.0.1"]', "")

    def setUp(self) -> None:
        self.folder = folderFor(self)
        self.file = self.folder / "xmppd.toml"
        self.file.write_text(self.configuration)
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        config = parse(self.configuration, str(self.file))
        self.server = Server(config, self.clock, MemoryStore(), CountingEntropy(), maybeDeferred)
        self.server.service.startService()
        self.successResultOf(self.server.service.started)
        self.addCleanup(self.end)

    def end(self) -> None:
        """Stop the server, and let it drain."""
        stopped: Deferred[None] = self.server.service.stopService()
        for _ in range(150):
            self.clock.advance(0.1)
        self.successResultOf(stopped)

    def connect(self) -> ClientConnection:
        """A connection of a client."""
        server = self.server
        factory = ClientFactory(
            server.reception, server.admission, server.turns, server.tls, None, server.connections
        )
        connection = factory.buildProtocol(None)
        transport = UsualTransport()
        transport.protocol = connection  # type: ignore[attr-defined]
        connection.makeConnection(transport)
        return connection

    def send(self, connection: ClientConnection, data: bytes) -> bytes:
        """Send, and answer what came back."""
        connection.transport.clear()
        connection.dataReceived(data)
        for _ in range(5):
            self.clock.advance(0.01)
        return bytes(connection.transport.value())

    def login(self, name: str, resource: str = "r") -> ClientConnection:
        """A session of a user, whose password is the name."""
        connection = self.connect()
        start = STREAM_START.replace(b">", b" to='example.org'>")
        self.send(connection, start)
        initial = base64.b64encode(f"\0{name}\0{name}".encode()).decode()
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{initial}</auth>".encode()
        self.assertIn(b"<success", self.send(connection, auth))
        self.send(connection, start)
        bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
        self.assertIn(b"result", self.send(connection, f"<iq type='set' id='b'>{bind}</iq>".encode()))
        return connection
