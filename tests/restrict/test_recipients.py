"""Tests of L{xmppd.restrict.recipients}."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient
from xmppd.restrict.recipients import hasRoom

ROOMS = '[rooms."rooms.example.org"]\ncreate = "everyone"\nguests_create = true\n'


@spec("mission", "A9")
@spec("XEP-0205", "4.6")
class RecipientTests(GuestCase):
    """To how many addresses a guest may write."""

    def refused(self, client: TestClient, *addresses: str, kind: str = "message") -> list[str]:
        """Write to each; answers those that the guest might not write to."""
        for address in addresses:
            content = "<query xmlns='jabber:iq:version'/>" if kind == "iq" else "<body>Buy!</body>"
            client.send(f"<{kind} to='{address}' type='{'get' if kind == 'iq' else 'headline'}' id='1'>{content}</{kind}>")
        found = []
        for each in self.errors(client):
            if each.find(".//{urn:xmpp:errors}too-many-stanzas") is not None:
                self.assertLimit(each, "unexpected-request", "too-many-stanzas", "wait")
                found.append(each.get("from", ""))
        return found

    def test_many(self) -> None:
        """The addresses beyond the limit are refused; those known already are not."""
        self.guests("recipients_per_minute = 3")
        client = self.guest()
        people = [f"user{n}@example.org" for n in range(5)]
        for each in people:
            client.send(f"<message to='{each}' type='chat' id='1'><body>Buy!</body></message>")
        errors = [each.get("from") for each in self.errors(client)
                  if each.find(".//{urn:xmpp:errors}too-many-stanzas") is not None]
        self.assertEqual(errors, people[3:])
        client.send(f"<message to='{people[0]}' type='chat' id='2'><body>Buy!</body></message>")
        client.send(f"<message to='{people[0]}/x' type='chat' id='2'><body>Buy!</body></message>")
        self.assertEqual([each for each in self.errors(client)
                          if each.find(".//{urn:xmpp:errors}too-many-stanzas") is not None], [])

    def test_minute(self) -> None:
        """After a minute an address doesn't count any more."""
        self.guests("recipients_per_minute = 2")
        client = self.guest()
        people = [f"user{n}@example.org" for n in range(4)]
        self.assertEqual(self.refused(client, *people, kind="iq"), people[2:])
        self.server.advance(60)
        self.assertEqual(self.refused(client, *people[2:], *people[:2], kind="iq"), people[:2])

    def test_address(self) -> None:
        """All guests of an address together have a limit; who was written to by one may be written to by another."""
        self.guests("address_recipients_per_minute = 3")
        people = [f"user{n}@example.org" for n in range(4)]
        one, two = self.guest(), self.guest()
        self.assertEqual(self.refused(one, *people[:2], kind="iq"), [])
        self.assertEqual(self.refused(two, *people, kind="iq"), people[3:])
        self.assertEqual(self.refused(self.guest("192.0.2.9"), *people[3:], kind="iq"), [])

    def test_free(self) -> None:
        """The server and the guest's own account don't count, nor do answers."""
        self.guests("recipients_per_minute = 1")
        romeo = self.server.login("romeo", available=True)
        juliet = self.server.login("juliet", available=True)
        client = self.guest()
        bare = client.jid.partition("/")[0]
        self.assertEqual(self.refused(client, "example.org", bare, client.jid, "romeo@example.org", kind="iq"), [])
        romeo.take()
        client.send(f"<iq type='result' id='9' to='{juliet.jid}'/>")
        self.assertEqual(self.errors(client), [])
        self.assertEqual(len(juliet.take()), 1)

    def test_rooms(self) -> None:
        """A room counts once, whatever is asked of its occupants; private messages count each."""
        self.guests("recipients_per_minute = 2", more=ROOMS)
        client = self.guest(available=True)
        client.send("<presence to='cave@rooms.example.org/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        client.take()
        self.assertEqual(self.refused(client, *(f"cave@rooms.example.org/{n}" for n in range(9)), kind="iq"), [])
        for n in range(3):
            client.send(f"<message to='cave@rooms.example.org/{n}' type='chat' id='{n}'><body>Buy!</body></message>")
        found = [each.get("id") for each in self.errors(client)
                 if each.find(".//{urn:xmpp:errors}too-many-stanzas") is not None]
        self.assertEqual(found, ["1", "2"])


class RoomTests(GuestCase):
    """L{hasRoom}."""

    def test_bounded(self) -> None:
        """A table never holds more than its limit, and the oldest leave when their minute is over."""
        table: dict[str, float] = {}
        for n in range(1000):
            if hasRoom(table, str(n), n, 10):
                table[str(n)] = n
            self.assertLessEqual(len(table), 10)
        self.assertTrue(hasRoom({"a": 0.0}, "a", 59.0, 1))
        self.assertFalse(hasRoom({"a": 0.0}, "b", 59.0, 1))
        self.assertTrue(hasRoom({"a": 0.0}, "b", 60.0, 1))
