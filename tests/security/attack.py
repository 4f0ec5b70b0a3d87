"""
What all attacks have in common: honest users who must not notice, and an attacker in each state a stream can have.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.server import MemoryServer, ServerCase, TestClient

ATTACKER = "198.51.100.66"


class AttackCase(ServerCase):
    """
    A server with Romeo and Juliet on it. After each test both still get each other's messages, and have got nothing
    else; no turn of the reactor took more than 100 ms, nothing was logged as a mistake of ours (L{ServerCase}).

    @cvar tls: whether the server has and requires TLS.
    @cvar host: lines of the host's configuration.
    @cvar limits: lines of the limits.
    """

    tls = False
    host = ""
    limits = ""

    def setUp(self) -> None:
        self.server: MemoryServer = self.serve(
            self.limits, self.host, tls=self.tls, accounts=("romeo", "juliet", "mallory", "admin")
        )
        self.romeo = self.server.login("romeo", "orchard")
        self.juliet = self.server.login("juliet", "balcony")
        self.addCleanup(self.untouched)

    def untouched(self) -> None:
        """Romeo and Juliet have got nothing they shouldn't have, and still get each other's messages."""
        for sender, receiver in ((self.romeo, self.juliet), (self.juliet, self.romeo)):
            self.assertEqual(receiver.take(), [])
            sender.send(f"<message to='{receiver.jid}' id='honest'/>")
            got = receiver.one()
            self.assertEqual((got.get("from"), got.get("id")), (sender.jid, "honest"))

    def attacker(self, state: str = "bound") -> TestClient:
        """
        A client that is just "connected", has "opened" a stream, is "authenticated" as mallory, or has "bound" a
        resource.
        """
        client = self.server.connect(address=ATTACKER)
        if state == "bound":
            return client.login("mallory")
        if state in ("opened", "authenticated"):
            client.open()
        if state == "authenticated":
            if self.tls:
                client.startTLS()
                client.open()
            self.assertSuccess(client.plain("mallory"))
            client.open()
        return client

    def eachWay(
        self, state: str, data: bytes | str, check: Callable[[TestClient], object], chunks: tuple[int | None, ...] = (None, 1)
    ) -> None:
        """Send the same at once, and byte by byte, each time from a new attacker, and look at what comes of it."""
        for chunk in chunks:
            client = self.attacker(state)
            client.send(data, chunk)
            check(client)
            client.disconnect()

    def killed(self, *conditions: str) -> Callable[[TestClient], None]:
        """Checks that the stream was closed with one of these errors, and the connection within five seconds."""

        def check(client: TestClient) -> None:
            self.assertClosed(client, *conditions)
            self.server.advance(5)
            self.assertTrue(client.closed)

        return check

    def assertHarmless(self, client: TestClient) -> None:
        """The stream is alive and does what it is asked for."""
        client.take()
        answer = client.ask("<iq type='get' id='alive' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((answer.get("type"), answer.get("id")), ("result", "alive"))
