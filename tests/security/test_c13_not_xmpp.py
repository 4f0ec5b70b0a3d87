"""C13: other protocols and noise; a peer that resets the connection while the error is written."""

from __future__ import annotations

import random
from typing import Any

from OpenSSL import SSL

from tests.security.attack import AttackCase
from tests.server import TestClient


def clientHello() -> bytes:
    """The first flight of a TLS client."""
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    return connection.bio_read(65536)


class NotXMPPTests(AttackCase):
    """One error, then the end."""

    def check(self, client: TestClient) -> None:
        """Exactly one stream error, and closed."""
        self.assertEqual(client.raw.count(b"<stream:error>"), 1)
        self.killed("not-well-formed", "bad-format", "invalid-namespace", "restricted-xml", "policy-violation")(client)

    def test_protocols(self) -> None:
        """HTTP, TLS, SSH, SMTP."""
        for data in (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", clientHello(), b"SSH-2.0-OpenSSH_9.6\r\n", b"EHLO x\r\n", b"\0" * 100):
            self.eachWay("connected", data, self.check)

    def test_noise(self) -> None:
        """64 kB of noise, before the header and after, with and without brackets."""
        source = random.Random(13)
        for state in ("connected", "opened", "bound"):
            noise = source.randbytes(65536)
            self.eachWay(state, b"x" + noise, self.check, chunks=(None, 4096))
            client = self.attacker(state)
            client.send(b"<" + noise.replace(b">", b"<"))
            self.server.advance(self.server.host.limits.unauthenticatedSeconds + 1)
            if state != "bound":
                self.assertTrue(client.eof)

    def test_reset(self) -> None:
        """The peer is gone when it is told."""
        client = self.attacker("connected")

        def reset(data: bytes) -> int:
            client.cut()
            return 0

        writeSomeData: Any = reset
        self.patch(client.transport, "writeSomeData", writeSomeData)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        self.server.advance(5)
        self.assertTrue(client.closed)
        self.assertEqual(len(self.server.server.connections), 2)
