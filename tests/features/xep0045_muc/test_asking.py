"""
Invitations (XEP-0045 section 7.8.2), registration (7.10, 7.12, 9.9), queries between occupants (6.6, 17.4, XEP-0410).
"""

from __future__ import annotations

from tests.features.xep0045_muc.base import (
    ADMIN,
    ROOM,
    SERVICE,
    USER,
    Person,
    RoomCase,
    codes,
    conditionOf,
    errorTypeOf,
    item,
    nick,
    userX,
)
from tests.marks import spec
from xmppd.features.xep0045_muc import relay
from xmppd.features.xep0045_muc.affiliations import Affiliation
from xmppd.wire import forms, ns

REGISTER = "http://jabber.org/protocol/muc#register"
GET = f"<query xmlns='{ns.REGISTER}'/>"
PING = f"<ping xmlns='{ns.PING}'/>"
DISCO = f"<query xmlns='{ns.DISCO_INFO}'/>"
VCARD = "<vCard xmlns='vcard-temp'/>"


def invitation(*to: str, inside: str = "<reason>Hey Hecate</reason>") -> str:
    """A message that invites."""
    invites = "".join(f"<invite to='{each}'>{inside}</invite>" for each in to)
    return f"<message to='{ROOM}' id='i'><x xmlns='{USER}'>{invites}</x></message>"


class InvitationTests(RoomCase):
    """Section 7.8.2."""

    def setUp(self) -> None:
        super().setUp()
        self.hecate = self.person("hecate", "broom", available=True)

    @spec("XEP-0045", "7.8.2")
    def test_invite(self) -> None:
        """The room passes it on, with who invites (not his JID), the reason, and the password."""
        self.found(roomsecret="cauldronburn")
        self.first.send(invitation(self.hecate.bare, inside="<reason>a &lt; b</reason><continue thread='t'/>"))
        (got,) = self.hecate.take()
        invite = userX(got).find("invite")
        assert invite is not None
        self.assertEqual((got.sender, got.id, got.type), (ROOM, "i", None))
        self.assertEqual((invite.get("from"), invite.textOf("reason")), (f"{ROOM}/firstwitch", "a < b"))
        self.assertEqual(invite.find("continue").get("thread"), "t")  # type: ignore[union-attr]
        self.assertEqual(userX(got).textOf("password"), "cauldronburn")
        self.assertEqual(self.first.take(), [])

    @spec("XEP-0045", "7.8.2", "5.1.1")
    def test_openJIDs(self) -> None:
        """Where JIDs are open, the inviter's is told; several can be invited; visitors may."""
        self.all(whois="anyone", moderatedroom="1")
        self.third.send(invitation(self.hecate.full, "x@example.net"))
        self.assertEqual(userX(self.hecate.take()[0]).find("invite").get("from"), self.third.bare)  # type: ignore[union-attr]
        self.assertEqual(len(self.elsewhere.take()), 1)

    @spec("XEP-0045", "7.8.2", "9.5")
    def test_membersOnly(self) -> None:
        """Only admins invite into a members-only room, or members if so configured; who is invited is a member."""
        self.found(membersonly="1")
        self.affiliate(self.third, "member")
        self.enter(self.third, "thirdwitch")
        self.third.send(invitation(self.hecate.bare))
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")
        self.assertEqual(self.hecate.take(), [])
        self.configure(allowinvites="1")
        self.third.take()
        self.third.send(invitation(self.hecate.bare))
        self.assertEqual(len(self.hecate.take()), 1)
        self.assertIs(self.room.affiliationOf(self.hecate.bare), Affiliation.MEMBER)
        self.affiliate("x@example.net", "outcast")
        self.third.send(invitation("x@example.net"))
        self.assertEqual(conditionOf(self.third.take()[-1]), "forbidden")

    @spec("XEP-0045", "9.5")
    def test_open(self) -> None:
        """An invitation into an open room makes nobody a member."""
        self.found()
        self.first.send(invitation(self.hecate.bare))
        self.assertIs(self.room.affiliationOf(self.hecate.bare), Affiliation.NONE)

    @spec("XEP-0045", "7.8.2")
    def test_decline(self) -> None:
        """Who was invited may decline, once; nobody else may."""
        self.found()
        decline = f"<message to='{ROOM}' id='d'><x xmlns='{USER}'><decline to='{self.first.bare}'><reason>busy</reason></decline></x></message>"
        self.first.send(invitation(self.hecate.bare))
        self.third.send(decline)
        self.assertEqual(conditionOf(self.third.take()[0]), "item-not-found")
        self.hecate.send(decline)
        (got,) = self.first.take()
        found = userX(got).find("decline")
        assert found is not None
        self.assertEqual((got.sender, found.get("from"), found.textOf("reason")), (ROOM, self.hecate.bare, "busy"))
        self.hecate.take()
        self.hecate.send(decline)
        self.assertEqual(conditionOf(self.hecate.take()[0]), "item-not-found")

    @spec("XEP-0045", "7.8.2")
    def test_nobody(self) -> None:
        """item-not-found when the invitee isn't there."""
        self.found()
        self.first.send(invitation("nobody@example.org"))
        (got,) = self.first.take()
        self.assertEqual((conditionOf(got), got.id, got.sender), ("item-not-found", "i", ROOM))

    @spec("XEP-0045", "7.8.2")
    def test_refused(self) -> None:
        """Strangers can't invite; nor is nobody invited, nor too many."""
        self.found()
        self.third.send(invitation(self.hecate.bare))
        self.assertEqual(conditionOf(self.third.take()[0]), "not-acceptable")
        for bad, condition in (
            (invitation(""), "bad-request"),
            (invitation("@"), "jid-malformed"),
            (invitation(*["x@example.net"] * 11), "policy-violation"),
            (invitation("x@example.net", inside=f"<reason>{'x' * 3000}</reason>"), "policy-violation"),
        ):
            self.first.send(bad)
            self.assertEqual(conditionOf(self.first.take()[0]), condition)
        for _ in range(4):
            self.first.send(invitation(*["x@example.net"] * 10))
        self.assertEqual(conditionOf(self.first.take()[-1]), "resource-constraint")
        self.assertEqual(len(self.elsewhere.take()), 30)

    @spec("XEP-0249", "2")
    def test_direct(self) -> None:
        """A direct invitation passes from client to client."""
        self.first.send(f"<message to='{self.hecate.full}'><x xmlns='jabber:x:conference' jid='{ROOM}'/></message>")
        self.assertIn("jabber:x:conference x", self.hecate.take()[0].childNames)


def registration(nickname: str, more: str = "") -> str:
    """A submitted registration."""
    return (
        f"<query xmlns='{ns.REGISTER}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{REGISTER}</value></field>"
        f"<field var='muc#register_roomnick'><value>{nickname}</value></field>{more}</x></query>"
    )


class RegistrationTests(RoomCase):
    """Section 7.10."""

    @spec("XEP-0045", "7.10", "7.12")
    def test_register(self) -> None:
        """The form; then a member, all told, the nickname kept; then only told that one is."""
        self.all()
        payload = self.third.result("get", GET)
        assert payload is not None
        form = forms.formIn(payload)
        assert form is not None
        self.assertEqual(forms.formTypeOf(form), REGISTER)
        self.assertIsNone(self.third.result("set", registration("hag", "<field var='muc#register_first'><value>Brunhilde</value></field>")))
        (told,) = self.first.take()
        self.assertEqual((item(told)["affiliation"], told.type), ("member", None))
        again = self.third.result("get", GET)
        assert again is not None
        self.assertEqual([each.name for each in again.elements()], ["registered", "username"])
        self.assertEqual(again.textOf("username"), "hag")
        nickname = self.third.result("get", f"<query xmlns='{ns.DISCO_INFO}' node='x-roomuser-item'/>")
        assert nickname is not None
        self.assertEqual([dict(each.attrs) for each in nickname.elements()], [{"category": "conference", "type": "text", "name": "hag"}])
        nothing = self.second.result("get", f"<query xmlns='{ns.DISCO_INFO}' node='x-roomuser-item'/>")
        self.assertEqual(nothing.children, ())  # type: ignore[union-attr]
        self.assertEqual(self.refused(self.person("x"), "HAG"), "conflict")

    @spec("XEP-0045", "7.10")
    def test_errors(self) -> None:
        """item-not-found, not-allowed, conflict, bad-request, not-acceptable."""
        self.all()
        self.assertEqual(self.third.error("get", GET, f"x@{SERVICE}"), "item-not-found")
        self.assertEqual(self.third.error("set", registration("firstwitch")), "conflict")
        self.assertEqual(self.third.error("set", registration("")), "bad-request")
        self.assertEqual(self.third.error("set", GET), "bad-request")
        self.assertEqual(self.third.error("set", registration("a").replace(REGISTER, "x")), "bad-request")
        self.assertEqual(self.third.error("set", registration(" ")), "not-acceptable")
        long = f"<field var='muc#register_faqentry'><value>{'x' * 3000}</value></field>"
        self.assertEqual(self.third.error("set", registration("a", long)), "not-acceptable")
        self.affiliate(self.third, "outcast")
        self.assertEqual(self.third.error("get", GET), "not-allowed")
        self.assertEqual(self.person("guest", guest=True).error("set", registration("a")), "not-allowed")

    @spec("XEP-0077", "3.2")
    def test_cancel(self) -> None:
        """Who takes it back is no member any more."""
        self.all()
        remove = f"<query xmlns='{ns.REGISTER}'><remove/></query>"
        self.assertEqual(self.third.error("set", remove), "registration-required")
        self.third.result("set", registration("hag"))
        self.third.result("set", remove)
        self.assertEqual((self.room.affiliationOf(self.third.bare), self.room.nicks), (Affiliation.NONE, {}))
        self.first.result("set", registration("crone"))
        self.first.result("set", remove)
        self.assertIs(self.room.affiliationOf(self.first.bare), Affiliation.OWNER)

    def decide(self, who: Person, allow: str) -> None:
        """Submit the form of approval."""
        who.send(
            f"<message to='{ROOM}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{REGISTER}</value></field>"
            f"<field var='muc#jid'><value>{self.third.bare}</value></field><field var='muc#register_allow'><value>{allow}</value></field></x></message>"
        )

    @spec("XEP-0045", "7.10", "9.9")
    def test_approval(self) -> None:
        """A members-only room's admins get a form; the one that approves registers the user."""
        self.found(membersonly="1")
        self.enter(self.second, "secondwitch")
        self.quiet()
        self.third.result("set", registration("hag"))
        self.assertIs(self.room.affiliationOf(self.third.bare), Affiliation.NONE)
        for who in (self.first, self.second):
            (asked,) = who.take()
            self.assertIn(b"muc#register_allow", asked.raw)
            self.assertIn(b"<value>hag</value>", asked.raw)
        self.assertEqual(self.third.error("set", registration("hag")), "unexpected-request")
        self.decide(self.third, "1")
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")
        self.decide(self.second, "0")
        self.assertIs(self.room.affiliationOf(self.third.bare), Affiliation.NONE)
        self.decide(self.second, "1")
        self.assertEqual(conditionOf(self.second.take()[0]), "item-not-found")
        self.third.result("set", registration("hag"))
        self.decide(self.second, "1")
        self.assertIs(self.room.affiliationOf(self.third.bare), Affiliation.MEMBER)
        self.assertEqual(self.room.nicks, {self.third.bare: "hag"})

    @spec("XEP-0045", "9.9")
    def test_nobodyThere(self) -> None:
        """If no admin is in the room, all of them are asked where they are."""
        self.found(membersonly="1", persistentroom="1")
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        for who in (self.first, self.second):
            who.send("<presence/>")
            who.take()
        self.third.result("set", registration("hag"))
        self.assertEqual([len(each.take()) for each in (self.first, self.second)], [1, 1])

    def test_bound(self) -> None:
        """Only so many wait."""
        self.found(membersonly="1")
        self.room.pending.update({f"{n}@example.net": {} for n in range(100)})
        self.assertEqual(self.third.error("set", registration("hag")), "resource-constraint")


class ClosedTests(RoomCase):
    """Without registration."""

    options = {"registration": "closed"}

    @spec("XEP-0045", "7.10")
    def test_closed(self) -> None:
        """service-unavailable."""
        self.found()
        self.assertEqual(self.third.error("get", GET), "service-unavailable")
        self.assertEqual(self.third.error("set", registration("a")), "service-unavailable")
        self.assertNotIn(ns.REGISTER.encode(), self.third.ask("get", DISCO).raw)


class LockedRegistrationTests(RoomCase):
    """Where nicknames are locked."""

    options = {"lock_nicks": True}

    @spec("XEP-0045", "7.10")
    def test_renamed(self) -> None:
        """Who registers in the room gets the nickname at once, with 210."""
        self.all()
        self.third.result("set", registration("hag"))
        got = self.third.take()
        self.assertEqual((nick(got[-1]), codes(got[-1])), ("hag", {110, 210}))
        self.assertEqual(item(got[-2])["nick"], "hag")


class RelayTests(RoomCase):
    """Section 17.4."""

    def setUp(self) -> None:
        super().setUp()
        self.all()

    def ask(self, payload: str, to: str, by: Person | None = None, type: str = "get") -> None:
        """Send a query to an occupant."""
        (by or self.third).send(f"<iq type='{type}' id='q' to='{ROOM}/{to}'>{payload}</iq>")

    @spec("XEP-0045", "17.4", "6.6")
    def test_relayed(self) -> None:
        """The occupant is asked by an occupant JID, and so is the answer; neither learns the other's JID."""
        self.ask("<query xmlns='urn:x' a='1'/>", "secondwitch")
        (asked,) = self.second.take()
        self.assertEqual((asked.sender, asked.to, asked.type), (f"{ROOM}/thirdwitch", self.second.full, "get"))
        self.assertNotIn(b"hag66", asked.raw)
        self.second.send(f"<iq type='result' id='{asked.id}' to='{asked.sender}'><query xmlns='urn:x'/></iq>")
        (got,) = self.third.take()
        self.assertEqual((got.sender, got.to, got.type, got.id), (f"{ROOM}/secondwitch", self.third.full, "result", "q"))
        self.assertNotIn(b"wiccarocks", got.raw)

    def test_error(self) -> None:
        """So is an error."""
        self.ask("<query xmlns='urn:x'/>", "secondwitch", type="set")
        (asked,) = self.second.take()
        self.second.send(
            f"<iq type='error' id='{asked.id}' to='{asked.sender}'><query xmlns='urn:x'/><error type='cancel' by='{self.second.full}'>"
            "<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
        (got,) = self.third.take()
        self.assertEqual((conditionOf(got), got.sender, got.id), ("feature-not-implemented", f"{ROOM}/secondwitch", "q"))
        self.assertNotIn(b"wiccarocks", got.raw)

    def test_forged(self) -> None:
        """Nobody answers for another, and nothing twice."""
        self.ask("<query xmlns='urn:x'/>", "secondwitch")
        (asked,) = self.second.take()
        answer = f"<iq type='result' id='{asked.id}' to='{ROOM}/thirdwitch'/>"
        self.first.send(answer)
        self.rig.inject(answer.replace("<iq ", "<iq from='x@example.net' ").encode())
        self.assertEqual(self.third.take(), [])
        self.second.send(answer)
        self.second.send(answer)
        self.assertEqual(len(self.third.take()), 1)

    @spec("XEP-0045", "6.6", "17.4")
    def test_refused(self) -> None:
        """bad-request for a stranger's discovery, not-acceptable for other queries of strangers, item-not-found."""
        stranger = self.person("x")
        self.assertEqual(stranger.error("get", DISCO, f"{ROOM}/firstwitch"), "bad-request")
        self.assertEqual(stranger.error("get", VCARD, f"{ROOM}/firstwitch"), "not-acceptable")
        self.assertEqual(self.third.error("get", VCARD, f"{ROOM}/nobody"), "item-not-found")
        self.assertEqual(self.third.error("get", VCARD, f"x@{SERVICE}/nobody"), "not-acceptable")

    def test_vCard(self) -> None:
        """A vCard is asked of the account."""
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>".encode())
        self.elsewhere.take()
        self.ask(VCARD, "x")
        (asked,) = self.elsewhere.take()
        self.assertEqual(asked.to, "x@example.net")
        self.rig.inject(f"<iq type='result' id='{asked.id}' from='x@example.net' to='{asked.sender}'>{VCARD}</iq>".encode())
        self.assertEqual(self.third.take()[-1].sender, f"{ROOM}/x")

    def test_leaves(self) -> None:
        """Whoever is asked and leaves leaves an error behind."""
        self.ask(DISCO, "secondwitch")
        self.second.session.end()
        got = self.third.take()
        (answer,) = (each for each in got if each.kind == "iq")
        self.assertEqual((conditionOf(answer), answer.sender, answer.id), ("recipient-unavailable", f"{ROOM}/secondwitch", "q"))
        self.assertEqual(len(self.service.relay._open), 0)

    def test_bounds(self) -> None:
        """Only so many may be open; in the end they are forgotten."""
        for _ in range(relay.WAITING_EACH + 1):
            self.ask(DISCO, "secondwitch")
        self.assertEqual(conditionOf(self.third.take()[-1]), "resource-constraint")
        self.rig.clock.advance(relay.SECONDS)
        self.ask(DISCO, "firstwitch")
        self.assertEqual(len(self.service.relay._open), 1)

    def test_malformed(self) -> None:
        """bad-request."""
        for raw in (f"<iq type='get' to='{ROOM}/firstwitch' from='{self.third.full}'>{PING}</iq>", f"<iq type='x' id='1' to='{ROOM}/firstwitch' from='{self.third.full}'>{PING}</iq>"):
            self.rig.inject(raw.encode())
            self.assertEqual(conditionOf(self.third.take()[0]), "bad-request")

    @spec("XEP-0410", "3.2", "3.3")
    def test_selfPing(self) -> None:
        """The room answers a ping to oneself: a result for who is in, not-acceptable for who isn't."""
        self.assertEqual(self.third.ask("get", PING, f"{ROOM}/thirdwitch").type, "result")
        self.assertEqual(self.third.take(), [])
        answer = self.person("x").ask("get", PING, f"{ROOM}/x")
        self.assertEqual((conditionOf(answer), errorTypeOf(answer)), ("not-acceptable", "cancel"))
        self.assertEqual(answer.elements()[-1].get("by"), ROOM)
        self.assertEqual(self.person("y").error("get", PING, f"none@{SERVICE}/x"), "not-acceptable")

    @spec("XEP-0410", "3.2")
    def test_otherPing(self) -> None:
        """A ping to somebody else is passed on."""
        self.ask(PING, "firstwitch")
        self.assertEqual(len(self.first.take()), 1)

    def test_admin(self) -> None:
        """Queries to the room itself come from anybody; what nobody answers is answered so."""
        self.assertEqual(self.person("x").ask("get", PING).type, "result")
        self.assertEqual(self.third.error("get", "<query xmlns='urn:x'/>"), "service-unavailable")
        self.assertEqual(self.third.error("get", f"<query xmlns='{ADMIN}'/>", f"x@{SERVICE}"), "item-not-found")
