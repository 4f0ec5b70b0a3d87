"""Tests of what may wait for a guest who doesn't read."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient

ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
LINE = "<message type='chat' to='{}'><body>" + "x" * 9_000 + "</body></message>"


@spec("mission", "A9")
class WaitingTests(GuestCase):
    """C{waiting_bytes}."""

    def fed(self, client: TestClient, count: int) -> None:
        """Romeo writes to the client, which acknowledges nothing and has had time to."""
        romeo = self.server.connect().login("romeo")
        client.send(ENABLE)
        for _ in range(count):
            romeo.send(LINE.format(client.jid))
            self.server.advance(30)

    def there(self, client: TestClient) -> bool:
        """Whether the client's session is there, away or not."""
        bare, _, resource = client.jid.partition("/")
        return resource in self.server.server.hosts["example.org"].sessions.get(bare, {})

    def test_away(self) -> None:
        """A guest that acknowledges nothing loses its connection first, and its session only at five times that."""
        self.guests("waiting_bytes = 10000")
        client = self.guest()
        self.fed(client, 2)
        self.assertTrue(client.closed)
        self.assertTrue(self.there(client))
        self.guests("waiting_bytes = 10000")
        client = self.guest()
        self.fed(client, 6)
        self.assertFalse(self.there(client))

    def test_users(self) -> None:
        """The option isn't about accounts."""
        self.guests("waiting_bytes = 10000")
        client = self.server.connect().login("juliet")
        self.fed(client, 6)
        self.assertTrue(self.there(client))
