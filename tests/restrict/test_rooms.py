"""Tests of L{xmppd.restrict.rooms}."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient
from xmppd.wire.element import parse
from xmppd.wire.stanza import build

ROOMS = '[rooms."rooms.example.org"]\ncreate = "everyone"\n'
ENTER = "<x xmlns='http://jabber.org/protocol/muc'/>"


@spec("mission", "A9")
@spec("XEP-0205", "4.9")
class RoomsTests(GuestCase):
    """In how many rooms a guest may be."""

    def begin(self, most: int = 2) -> None:
        """A guest, and rooms that Romeo has made."""
        self.guests(f"rooms = {most}", more=ROOMS)
        self.romeo = self.server.login("romeo", available=True)
        for name in "abcd":
            self.romeo.send(f"<presence to='{name}@rooms.example.org/romeo'>{ENTER}</presence>")
            form = "<x xmlns='jabber:x:data' type='submit'/>"
            query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
            self.romeo.send(f"<iq type='set' id='o' to='{name}@rooms.example.org'>{query}</iq>")
        self.romeo.take()
        self.client = self.guest(available=True)

    def enter(self, room: str, client: TestClient | None = None, nick: str = "me") -> bool:
        """Whether the guest gets in."""
        client = client or self.client
        client.send(f"<presence to='{room}@rooms.example.org/{nick}' id='e'>{ENTER}</presence>")
        errors = self.errors(client)
        for each in errors:
            if each.find(".//{urn:xmpp:errors}resource-limit-exceeded") is not None:
                self.assertLimit(each, "resource-constraint", "resource-limit-exceeded", "cancel")
                return False
        return not errors

    def test_many(self) -> None:
        """No more rooms than that; one that was left makes room for another."""
        self.begin()
        self.assertEqual([self.enter(room) for room in "abcd"], [True, True, False, False])
        self.client.send("<presence to='b@rooms.example.org/me' type='unavailable'/>")
        self.client.take()
        self.assertTrue(self.enter("c"))
        self.assertFalse(self.enter("d"))

    def test_within(self) -> None:
        """Presence to a room one is in, and another nickname there, are no other room."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        self.assertTrue(self.enter("a", nick="other"))
        self.client.send("<presence to='a@rooms.example.org/other'><show>away</show></presence>")
        self.assertEqual(self.errors(self.client), [])
        self.assertFalse(self.enter("b"))

    def test_kicked(self) -> None:
        """Who was sent away is not in the room any more."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        item = "<item nick='me' role='none'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>"
        self.romeo.send(f"<iq type='set' id='k' to='a@rooms.example.org'>{query}</iq>")
        self.client.take()
        self.assertTrue(self.enter("b"))

    def test_othersLeave(self) -> None:
        """That others leave changes nothing."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        other = self.guest(available=True)
        self.assertTrue(self.enter("a", other, "other"))
        other.send("<presence to='a@rooms.example.org/other' type='unavailable'/>")
        self.client.take()
        self.assertFalse(self.enter("b"))

    def test_notLetIn(self) -> None:
        """A room that doesn't let the guest in doesn't count."""
        self.begin(1)
        self.client.send(f"<presence to='a@rooms.example.org/romeo' id='e'>{ENTER}</presence>")
        self.assertEqual(len(self.errors(self.client)), 1)
        self.assertTrue(self.enter("b"))

    def test_refusedNickname(self) -> None:
        """Who is in a room and can't have another nickname there is in it nevertheless."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        self.client.send("<presence to='a@rooms.example.org/romeo' id='n'/>")
        self.assertEqual(len(self.errors(self.client)), 1)
        self.assertFalse(self.enter("b"))

    def test_sentAtOnce(self) -> None:
        """Nor does it help to be refused while one is being let in."""
        self.begin(1)
        refused = f"<presence to='a@rooms.example.org/romeo'>{ENTER}</presence>"
        self.client.send(refused + f"<presence to='a@rooms.example.org/me'>{ENTER}</presence>" + refused)
        self.client.take()
        self.assertFalse(self.enter("b"))

    def test_staying(self) -> None:
        """Who says goodbye in a way that the room refuses is still there."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        self.client.send(f"<presence to='a@rooms.example.org/me' type='unavailable'><status>{'x' * 9000}</status></presence>")
        self.romeo.take()
        self.client.take()
        self.romeo.send("<message to='a@rooms.example.org' type='groupchat'><body>Who is here?</body></message>")
        heard = any(each.tag.endswith("message") for each in self.client.take())
        self.assertEqual(self.enter("b"), not heard)

    def test_lateWord(self) -> None:
        """A room that lets somebody in after it has refused the same guest counts."""
        self.begin(1)
        session = self.server.server.router.session(self.client.jid)
        assert session is not None
        self.enter("a", nick="romeo")
        x = "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>"
        attrs = {"from": "a@rooms.example.org/me", "to": self.client.jid}
        session.deliver(build("presence", attrs, parse(x.encode())))
        self.assertFalse(self.enter("b"))

    def test_pretended(self) -> None:
        """Nobody but rooms can say that the guest is in a room."""
        self.begin(1)
        self.assertTrue(self.enter("a"))
        self.client.send("<presence to='a@rooms.example.org/me' type='unavailable'/>")
        x = "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>"
        self.romeo.send(f"<presence to='{self.client.jid}'>{x}</presence>")
        self.client.take()
        self.assertTrue(self.enter("b"))

    def test_none(self) -> None:
        """Where guests have no business in rooms they get into none."""
        self.begin(0)
        self.assertFalse(self.enter("a"))

    @spec("mission", "A4")
    def test_noneThatStays(self) -> None:
        """A guest makes no room that stays when it has gone, whoever else is said to own it."""
        self.guests(more=ROOMS + "guests_create = true\n")
        client = self.guest(available=True)
        self.enter("a", client)
        owner = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>{}</x></query>"
        other = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner' jid='{}'/></query>"
        stays = (
            "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
            "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
        )
        answers = []
        for query in (owner.format(""), other.format("x@example.net"), other.format("romeo@example.org"), owner.format(stays)):
            client.send(f"<iq type='set' id='o' to='a@rooms.example.org'>{query}</iq>")
            answers += [each for each in client.take() if each.get("id") == "o"]
        self.assertEqual([each.get("type") for each in answers], ["result"] * 3 + ["error"])
        self.assertError(answers[-1], "not-acceptable")
        client.send("</stream:stream>")
        client.disconnect()
        self.server.advance(1)
        self.assertEqual(self.server.server.router.destinations["rooms.example.org"].rooms.rooms, {})

    def test_lazy(self) -> None:
        """A guest who is in no room isn't watched."""
        self.begin()
        session = self.server.server.router.session(self.client.jid)
        assert session is not None
        self.assertEqual(len(session._receiveRefusals), 1)  # type: ignore[attr-defined]
        self.enter("a")
        self.enter("b")
        self.assertEqual(len(session._receiveRefusals), 2)  # type: ignore[attr-defined]
