"""A guest who floods, spreads to many addresses and comes as a crowd, among guests who don't."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient

GUESTS = 40
HOSTILE = "203.0.113.66"


@spec("mission", "A9")
class GuestFloodTests(GuestCase):
    """One hostile address on a server with the public profile, and limits of all streams as they are by default."""

    def setUp(self) -> None:
        self.guests(accounts=("romeo",))
        self.romeo = self.server.login("romeo", available=True)
        self.others = [self.guest(f"192.0.2.{n}", available=True) for n in range(GUESTS)]

    def assertOthersTalk(self) -> None:
        """Everybody else gets through, and hears only what is for them."""
        for n, client in enumerate(self.others):
            other = self.others[(n + 1) % GUESTS]
            client.send(f"<message to='{other.jid}' type='chat' id='{n}'><body>hello</body></message>")
            (heard,) = other.take()
            self.assertEqual((heard.get("from"), heard.get("id")), (client.jid, str(n)))

    def typed(self, client: TestClient, name: bytes) -> int:
        """How often a condition of XEP-0205 was sent to a client."""
        self.server.pump()
        return client.raw.count(b"<" + name + b" xmlns='urn:xmpp:errors'/>")

    def test_flood(self) -> None:
        """Ten thousand messages: a burst arrives, the rest is refused, then the stream ends; nobody else notices."""
        client = self.guest(HOSTILE)
        flood = f"<message to='{self.romeo.jid}' type='chat'><body>{'x' * 50}</body></message>" * 200
        for _ in range(50):
            if not client.eof:
                client.send(flood)
            self.server.advance(0.1)
        self.assertTrue(client.streamClosed)
        self.assertGreater(self.typed(client, b"too-many-stanzas"), 50)
        self.assertLess(len(self.romeo.take()), 120)
        self.assertOthersTalk()

    def test_spread(self) -> None:
        """A message to each of many users: few get it."""
        client = self.guest(HOSTILE)
        for n, other in enumerate(self.others):
            client.send(f"<message to='{other.jid}' type='chat' id='{n}'><body>Buy!</body></message>")
            self.server.advance(0.5)
        got = sum(bool(other.take()) for other in self.others)
        self.assertEqual(got, 20)
        self.assertEqual(self.typed(client, b"too-many-stanzas"), GUESTS - 20)
        self.assertOthersTalk()

    def test_crowd(self) -> None:
        """Many sessions from one address: so many get in, and together they may send no more than is allowed to one."""
        clients, refused = [], 0
        for _ in range(30):
            client = self.server.connect(address=HOSTILE)
            client.open()
            client.anonymous()
            client.open()
            client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            answer = client.take()[-1]
            if answer.get("type") == "result":
                clients.append(client)
            else:
                self.assertLimit(answer, "resource-constraint", "resource-limit-exceeded", "cancel")
                refused += 1
        self.assertEqual((len(clients), refused), (20, 10))
        for client in clients:
            client.send(f"<message to='{self.romeo.jid}' type='headline'><body>Buy!</body></message>" * 60)
        self.assertLessEqual(len(self.romeo.take()), 601)
        self.assertOthersTalk()
