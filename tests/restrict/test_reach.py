"""Tests of L{xmppd.restrict.reach}."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient, show

SERVICES = '[rooms."rooms.example.org"]\n[pubsub."pubsub.example.org"]\n[component."bot.example.org"]\nsecret = "x"\n'
NOBODY = "11111111-2222-4333-8444-555555555555@example.org"


def message(to: str, type: str = "chat") -> str:
    """A message."""
    return f"<message to='{to}' type='{type}' id='1'><body>hi</body></message>"


@spec("mission", "A9")
@spec("XEP-0175", "3")
class ReachTests(GuestCase):
    """Which services and users guests may reach."""

    def test_services(self) -> None:
        """Only the services that are named, at whatever address there."""
        self.guests('services = ["rooms.example.org"]', more=SERVICES)
        client = self.guest()
        ask = "<iq to='{}' type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        client.send(ask.format("rooms.example.org"))
        self.assertEqual(client.take()[0].get("type"), "result")
        for address in ("pubsub.example.org", "bot.example.org", "somebody@bot.example.org/x"):
            client.send(ask.format(address))
            (error,) = client.take()
            self.assertError(error, "policy-violation")

    def test_users(self) -> None:
        """Only the users that are named, at whatever resource; the server itself and the own account always."""
        self.guests('users = ["romeo@example.org"]')
        romeo, juliet = self.server.login("romeo", available=True), self.server.login("juliet", available=True)
        client = self.guest(available=True)
        for to in (romeo.jid, "romeo@example.org", client.jid):
            client.send(message(to))
        self.assertEqual(len(romeo.take()), 2)
        self.assertEqual(len(client.take()), 1)
        for to in (juliet.jid, "JULIET@example.org", NOBODY):
            client.send(message(to))
            (error,) = client.take()
            self.assertError(error, "policy-violation")
        client.send("<presence to='juliet@example.org' type='subscribe' id='1'/>")
        self.assertError(client.take()[0], "policy-violation")
        self.assertEqual(juliet.take(), [])
        client.send("<iq type='get' id='2' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        client.send("<iq type='get' id='3'><query xmlns='jabber:iq:roster'/></iq>")
        self.assertEqual({each.get("type") for each in client.take()}, {"result"})

    def test_guestsAreUsers(self) -> None:
        """Where not everybody may be reached, guests can't write to each other either."""
        self.guests('users = ["romeo@example.org"]')
        one, two = self.guest(available=True), self.guest(available=True)
        one.send(message(two.jid))
        self.assertError(one.take()[0], "policy-violation")

    def test_push(self) -> None:
        """Push services are in reach, or not, as if the guest wrote to them itself."""
        services = '[rooms."rooms.example.org"]\n[pubsub."pubsub.example.org"]\n'
        self.guests('storage = ["*"]\nservices = ["rooms.example.org"]', more=services)
        client = self.guest()
        enable = "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='{}' node='n'/></iq>"
        for jid in ("push.example.net", "pubsub.example.org"):
            client.send(enable.format(jid))
            self.assertError(client.take()[0], "policy-violation")
        client.send(enable.format("rooms.example.org"))
        self.assertEqual(client.take()[0].get("type"), "result")

    def test_malformed(self) -> None:
        """What is no address is for the router to answer."""
        self.guests('users = []\nservices = []')
        client = self.guest()
        client.send(message("a@b@c"))
        self.assertError(client.take()[0], "jid-malformed")


@spec("mission", "A9")
class RefusedGuestsTests(GuestCase):
    """A user who doesn't want to be reached by guests is to them as one who doesn't exist."""

    def setUp(self) -> None:
        self.guests()
        self.juliet = self.server.login("juliet", available=True)
        self.choose("refused")
        self.client = self.guest(available=True)

    def choose(self, reach: str) -> None:
        """Juliet says whether guests may reach her."""
        self.juliet.send(f"<iq type='set' id='c'><guests xmlns='urn:xmppd:guests:0' reach='{reach}'/></iq>")
        (answer,) = self.juliet.take()
        self.assertEqual(answer.get("type"), "result", show(answer))

    def outcome(self, client: TestClient, stanza: str, to: str) -> list[str]:
        """What comes of a stanza, whoever it was for."""
        self.server.advance(1)
        client.send(stanza.format(to))
        name = to.partition("@")[0]
        return [ET.tostring(each, encoding="unicode").replace(name, "X") for each in client.take()]

    def test_nobody(self) -> None:
        """Every kind of stanza has the same outcome as for a user who doesn't exist."""
        resource = self.juliet.jid.partition("/")[2]
        query = "<iq to='{}' type='get' id='1'><query xmlns='%s'/></iq>"
        for stanza in (
            "<message to='{}' type='chat' id='1'><body>hi</body></message>",
            "<message to='{}' id='1'><body>hi</body></message>",
            "<message to='{}' type='headline' id='1'><body>hi</body></message>",
            "<message to='{}' type='groupchat' id='1'><body>hi</body></message>",
            "<message to='{}' type='error' id='1'><error type='cancel'/></message>",
            query % "http://jabber.org/protocol/disco#info",
            query % "jabber:iq:last",
            query % "urn:unknown",
            "<iq to='{}' type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>",
            "<iq to='{}' type='get' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub></iq>",
            "<iq to='{}' type='get' id='1'><vCard xmlns='vcard-temp'/></iq>",
            "<iq to='{}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<presence to='{}' id='1'/>",
            "<presence to='{}' type='subscribe' id='1'/>",
            "<presence to='{}' type='subscribed' id='1'/>",
            "<presence to='{}' type='unsubscribe' id='1'/>",
            "<presence to='{}' type='probe' id='1'/>",
        ):
            for suffix in ("", f"/{resource}"):
                if suffix and "subscri" in stanza:
                    continue
                found = self.outcome(self.client, stanza, "juliet@example.org" + suffix)
                self.assertEqual(found, self.outcome(self.client, stanza, NOBODY + suffix), stanza + suffix)
        self.assertEqual(self.juliet.take(), [])

    def test_subscription(self) -> None:
        """A guest's roster is the same after asking her as after asking nobody, and she hears nothing."""
        self.client.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.client.take()
        ask = "<presence to='{}' type='subscribe' id='1'/>"
        found = self.outcome(self.client, ask, "juliet@example.org")
        self.assertTrue(any("item-not-found" in each for each in found), found)
        expected = self.outcome(self.client, ask, NOBODY)
        self.assertEqual([ids(each) for each in found], [ids(each) for each in expected])
        self.assertEqual(self.juliet.take(), [])

    def test_answers(self) -> None:
        """What she asks a guest is answered."""
        self.client.send(f"<presence to='{self.juliet.jid}'/>")
        self.juliet.send(f"<message to='{self.client.jid}' type='chat'><body>Who are you?</body></message>")
        self.assertEqual(len(self.client.take()), 1)
        self.client.send(f"<iq to='{self.juliet.jid}' type='result' id='1'/>")
        self.assertEqual([each.get("type") for each in self.juliet.take()], ["result"])

    def test_backAgain(self) -> None:
        """She may change her mind; users with accounts reach her in any case."""
        romeo = self.server.login("romeo")
        romeo.send(message(self.juliet.jid))
        self.assertEqual(len(self.juliet.take()), 1)
        self.choose("allowed")
        self.client.send(message(self.juliet.jid))
        self.assertEqual(len(self.juliet.take()), 1)


def ids(text: str) -> str:
    """A push without its id and version, which differ anyway."""
    return re.sub(r"(id|ver)=\"[^\"]*\"", "", text)
