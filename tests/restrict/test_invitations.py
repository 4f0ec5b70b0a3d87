"""Invitations through rooms reach nobody whom a guest may not write to, and not more people."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient

ROOM = "a@rooms.example.org"
ROOMS = '[rooms."rooms.example.org"]\ncreate = "everyone"\nguests_create = true\n'
ENTER = "<x xmlns='http://jabber.org/protocol/muc'/>"
INVITE = "{http://jabber.org/protocol/muc#user}invite"
MEMBERS = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
    "<value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    "<field var='muc#roomconfig_membersonly'><value>1</value></field>{}</x>"
)


@spec("mission", "A9")
@spec("XEP-0175", "3")
class InvitationTests(GuestCase):
    """A guest in a room invites."""

    def begin(self, guest: str = "") -> None:
        """A guest in a room of its own, and Juliet."""
        self.guests(guest, more=ROOMS)
        self.juliet = self.server.login("juliet", available=True)
        self.client = self.guest(available=True)
        self.client.send(f"<presence to='{ROOM}/me'>{ENTER}</presence>")
        self.configure("<x xmlns='jabber:x:data' type='submit'/>")
        self.juliet.take()

    def configure(self, form: str) -> None:
        """Configure the room."""
        query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
        self.client.send(f"<iq type='set' id='c' to='{ROOM}'>{query}</iq>")
        (answer,) = [each for each in self.client.take() if each.get("id") == "c"]
        self.assertEqual(answer.get("type"), "result")

    def invite(self, *whom: str) -> list[ET.Element]:
        """Invite, and take the errors."""
        invites = "".join(f"<invite to='{each}'><reason>Buy!</reason></invite>" for each in whom)
        x = f"<x xmlns='http://jabber.org/protocol/muc#user'>{invites}</x>"
        self.client.send(f"<message to='{ROOM}' id='i'>{x}</message>")
        return self.errors(self.client)

    def invited(self, client: TestClient) -> int:
        """How many invitations have come."""
        return sum(len(list(each.iter(INVITE))) for each in client.take())

    def test_invited(self) -> None:
        """Who may be written to may be invited."""
        self.begin()
        self.assertEqual(self.invite("juliet@example.org"), [])
        self.assertEqual(self.invited(self.juliet), 1)

    def test_remote(self) -> None:
        """Nobody elsewhere."""
        self.begin()
        (error,) = self.invite("somebody@example.net")
        self.assertError(error, "policy-violation")

    def test_users(self) -> None:
        """Only those who are in reach."""
        self.begin("users = ['romeo@example.org']")
        (error,) = self.invite("juliet@example.org")
        self.assertError(error, "policy-violation")
        self.assertEqual(self.invited(self.juliet), 0)

    def test_refusing(self) -> None:
        """Who refuses guests isn't invited, and looks as if there were nobody."""
        self.begin()
        self.juliet.send("<iq type='set' id='g'><guests xmlns='urn:xmppd:guests:0' reach='refused'/></iq>")
        self.juliet.take()
        answers = [self.invite(whom) for whom in ("juliet@example.org", "nobody@example.org")]
        self.assertEqual(self.invited(self.juliet), 0)
        first, second = ([ET.tostring(each) for each in errors] for errors in answers)
        self.assertEqual(first, second)
        self.assertEqual(len(first), 1)

    def test_recipients(self) -> None:
        """Each who is invited is somebody who is written to: the room is one itself."""
        self.begin("recipients_per_minute = 3")
        errors = self.invite("a@example.org", "juliet@example.org", "b@example.org", "romeo@example.org")
        self.assertLimit(errors[-1], "unexpected-request", "too-many-stanzas", "wait")
        self.assertEqual(self.invited(self.juliet), 1)

    def test_stanzas(self) -> None:
        """Each invitation counts as a stanza."""
        self.begin("stanzas_per_second = 1\nburst_stanzas = 8")
        self.server.advance(60)
        errors = self.invite(*["juliet@example.org"] * 10)
        self.assertLimit(errors[-1], "unexpected-request", "too-many-stanzas")
        self.assertLess(self.invited(self.juliet), 8)

    def test_members(self) -> None:
        """A guest who makes somebody a member has nobody invited, by whatever way."""
        self.begin()
        self.configure(MEMBERS.format(""))
        item = "<item affiliation='member' jid='juliet@example.org'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>"
        self.client.send(f"<iq type='set' id='m' to='{ROOM}'>{query}</iq>")
        self.assertEqual(self.invited(self.juliet), 0)

    def test_accounts(self) -> None:
        """Users with accounts invite whom they like."""
        self.begin("users = []\nrecipients_per_minute = 1")
        romeo = self.server.login("romeo", available=True)
        self.client = romeo
        romeo.send(f"<presence to='{ROOM}/romeo'>{ENTER}</presence>")
        romeo.take()
        self.assertEqual(self.invite("juliet@example.org", "romeo@example.org"), [])
        self.assertEqual(self.invited(self.juliet), 1)
