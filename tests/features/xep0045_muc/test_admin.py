"""
What moderators and admins do (XEP-0045 sections 8 and 9), and asking for a voice (7.13, 8.6).
"""

from __future__ import annotations

from tests.features.xep0045_muc.base import (
    ADMIN,
    ROOM,
    RoomCase,
    codes,
    conditionOf,
    item,
    kinds,
    nick,
    userX,
)
from tests.marks import spec
from xmppd.features.xep0045_muc.affiliations import Affiliation, Role
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza

JUST = "Avaunt, you cullion!"


def query(*items: str) -> str:
    """A request."""
    return f"<query xmlns='{ADMIN}'>{''.join(f'<item {each}/>' for each in items)}</query>"


def listed(payload: Element | None) -> list[dict[str, str]]:
    """The items of a list."""
    assert payload is not None
    return [dict(each.attrs) for each in payload.elements("item")]


def about(stanza: Stanza) -> tuple[str | None, str | None]:
    """Actor and reason."""
    (found,) = userX(stanza).elements("item")
    actor = found.find("actor")
    return (actor.get("nick") if actor is not None else None), found.textOf("reason")


class KickTests(RoomCase):
    """Section 8.2."""

    @spec("XEP-0045", "8.2", "17.3")
    def test_kick(self) -> None:
        """The kicked one hears 307 with actor and reason; then the moderator success; then the others."""
        self.all()
        self.second.send(f"<iq type='set' id='k' to='{ROOM}'><query xmlns='{ADMIN}'><item nick='thirdwitch' role='none'><reason>{JUST}</reason></item></query></iq>")
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own), item(own)["role"]), ("unavailable", {307, 110}, "none"))
        self.assertEqual(about(own), ("secondwitch", JUST))
        self.assertEqual([each.kind for each in self.second.stream.received], ["iq", "presence"])
        (told,) = self.first.take()
        self.assertEqual((told.type, nick(told), codes(told), about(told)), ("unavailable", "thirdwitch", {307}, ("secondwitch", JUST)))
        self.assertEqual(len(self.room.seats), 2)
        self.assertEqual(len(self.enter(self.third, "thirdwitch")), 4)

    @spec("XEP-0045", "8.2")
    def test_refused(self) -> None:
        """not-allowed for who stands higher, conflict for oneself, forbidden for others, item-not-found for nobody."""
        self.all()
        self.assertEqual(conditionOf(self.setRole(self.second, "firstwitch", "none")), "not-allowed")
        self.assertEqual(conditionOf(self.setRole(self.second, "secondwitch", "none")), "conflict")
        self.assertEqual(conditionOf(self.setRole(self.third, "firstwitch", "none")), "forbidden")
        self.assertEqual(conditionOf(self.setRole(self.person("stranger"), "firstwitch", "none")), "forbidden")
        self.assertEqual(conditionOf(self.setRole(self.first, "nobody", "none")), "item-not-found")
        self.assertEqual(len(self.room.seats), 3)


class VoiceTests(RoomCase):
    """Sections 8.3 to 8.6 and 7.13."""

    def setUp(self) -> None:
        super().setUp()
        self.all(moderatedroom="1")

    def role(self) -> str:
        """What the third witch is."""
        return self.room.occupants["thirdwitch"].role.value

    @spec("XEP-0045", "8.3", "8.4", "5.1.3")
    def test_voice(self) -> None:
        """Granted and revoked; everybody is told, with the reason; the moderator hears success first."""
        self.assertEqual(self.role(), "visitor")
        for role in ("participant", "visitor"):
            self.second.send(f"<iq type='set' id='v' to='{ROOM}'><query xmlns='{ADMIN}'><item nick='thirdwitch' role='{role}'><reason>{JUST}</reason></item></query></iq>")
            self.assertEqual([each.kind for each in self.second.take()], ["iq", "presence"])
            (told,) = self.first.take()
            self.assertEqual((told.type, item(told)["role"], about(told)[1]), (None, role, JUST))
            (own,) = self.third.take()
            self.assertEqual((item(own)["role"], codes(own)), (role, {110}))

    @spec("XEP-0045", "5.1")
    def test_kept(self) -> None:
        """A voice that was given is kept over visits, as is one that was taken."""
        self.setRole(self.first, "thirdwitch", "participant")
        self.third.session.end()
        again = self.person("hag66", "pda")
        self.assertEqual(item(self.enter(again, "thirdwitch")[-2])["role"], "participant")

    @spec("XEP-0045", "8.4")
    def test_protected(self) -> None:
        """Nobody takes the voice of admins and owners."""
        for by, of in ((self.second, "firstwitch"), (self.first, "secondwitch"), (self.second, "secondwitch")):
            self.assertEqual(conditionOf(self.setRole(by, of, "visitor")), "not-allowed")

    @spec("XEP-0045", "8.5", "17.4")
    def test_list(self) -> None:
        """The voice list for moderators, with nick, role, affiliation and JID; forbidden for others."""
        self.setRole(self.first, "thirdwitch", "participant")
        expected = {"nick": "thirdwitch", "role": "participant", "affiliation": "none", "jid": self.third.full}
        self.assertEqual(listed(self.second.result("get", query("role='participant'"))), [expected])
        self.assertEqual(self.third.error("get", query("role='participant'")), "forbidden")

    @spec("XEP-0045", "8.5")
    def test_modify(self) -> None:
        """Several at once: all or none."""
        fourth = self.person("x")
        self.enter(fourth, "x")
        self.assertEqual(self.second.error("set", query("nick='x' role='participant'", "nick='firstwitch' role='visitor'")), "not-allowed")
        self.assertIs(self.room.occupants["x"].role, Role.VISITOR)
        self.second.result("set", query("nick='x' role='participant'", "nick='thirdwitch' role='participant'"))
        self.assertEqual({self.role(), self.room.occupants["x"].role.value}, {"participant"})

    def request(self, role: str = "participant") -> None:
        """Ask for a voice."""
        self.third.send(
            f"<message to='{ROOM}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field>"
            f"<field var='muc#role'><value>{role}</value></field></x></message>"
        )

    def answer(self, who: object, allow: str) -> None:
        """A moderator submits the form."""
        who.send(  # type: ignore[attr-defined]
            f"<message to='{ROOM}' id='approve'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field>"
            f"<field var='muc#role'><value>participant</value></field><field var='muc#jid'><value>{self.third.full}</value></field>"
            f"<field var='muc#roomnick'><value>thirdwitch</value></field><field var='muc#request_allow'><value>{allow}</value></field></x></message>"
        )

    @spec("XEP-0045", "7.13", "8.6")
    def test_request(self) -> None:
        """Moderators get a form; the one that approves grants the voice."""
        self.request()
        for who in (self.first, self.second):
            (asked,) = who.take()
            form = asked.find("jabber:x:data x")
            assert form is not None
            self.assertEqual((asked.sender, form.get("type")), (ROOM, "form"))
            self.assertIn(b"<value>thirdwitch</value>", asked.raw)
        self.answer(self.second, "false")
        self.assertEqual(self.role(), "visitor")
        self.answer(self.second, "true")
        self.assertEqual(self.role(), "participant")
        self.assertEqual(len(self.first.take()), 1)

    @spec("XEP-0045", "7.13", "8.6")
    def test_requestRefused(self) -> None:
        """Not again at once, not by who has a voice, nothing but a voice; and only moderators approve."""
        self.request("moderator")
        self.assertEqual(conditionOf(self.third.take()[0]), "bad-request")
        self.request()
        self.request()
        self.assertEqual(conditionOf(self.third.take()[0]), "resource-constraint")
        self.answer(self.third, "true")
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")
        self.answer(self.first, "true")
        self.third.take()
        self.request()
        self.assertEqual(conditionOf(self.third.take()[0]), "unexpected-request")


class ModeratorTests(RoomCase):
    """Sections 9.6 to 9.8."""

    @spec("XEP-0045", "9.6", "9.7")
    def test_status(self) -> None:
        """Granted and revoked by admins; a new moderator learns who the others are."""
        self.all()
        self.assertEqual(self.setRole(self.second, "thirdwitch", "moderator").type, "result")
        got = self.third.take()
        self.assertEqual((item(got[0])["role"], codes(got[0])), ("moderator", {110}))
        self.assertEqual({item(each)["jid"] for each in got[1:]}, {self.first.full, self.second.full})
        self.assertEqual(conditionOf(self.setRole(self.third, "secondwitch", "participant")), "forbidden")
        self.assertEqual(conditionOf(self.setRole(self.first, "secondwitch", "participant")), "not-allowed")
        self.first.take()
        self.assertEqual(self.setRole(self.second, "thirdwitch", "participant").type, "result")
        self.assertEqual(item(self.first.take()[0])["role"], "participant")

    @spec("XEP-0045", "9.8")
    def test_list(self) -> None:
        """For admins."""
        self.all()
        found = listed(self.second.result("get", query("role='moderator'")))
        self.assertEqual([each["nick"] for each in found], ["firstwitch", "secondwitch"])
        self.setRole(self.first, "thirdwitch", "moderator")
        self.assertEqual(self.third.error("get", query("role='moderator'")), "forbidden")
        self.assertEqual(len(listed(self.third.result("get", query("role='visitor'")))), 0)


class BanTests(RoomCase):
    """Sections 9.1 and 9.2."""

    @spec("XEP-0045", "9.1", "9.2")
    def test_ban(self) -> None:
        """The user is out with 301, actor and reason, can't come back, and is on the list; then not any more."""
        self.all()
        self.setAffiliation(self.second, self.third.full, "outcast", JUST)
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own), about(own)), ("unavailable", {301, 110}, ("secondwitch", JUST)))
        self.assertEqual(item(own), {"affiliation": "outcast", "role": "none"})
        (told,) = self.first.take()
        self.assertEqual((codes(told), item(told)["affiliation"], about(told)[1]), ({301}, "outcast", JUST))
        self.assertEqual(self.refused(self.third, "t"), "forbidden")
        self.assertEqual(listed(self.second.result("get", query("affiliation='outcast'"))), [{"affiliation": "outcast", "jid": self.third.bare}])
        self.setAffiliation(self.second, self.third.bare, "none")
        self.assertEqual(len(self.enter(self.third, "t")), 4)

    @spec("XEP-0045", "9.1")
    def test_nickForgotten(self) -> None:
        """An outcast's reserved nickname is free again."""
        self.all()
        self.first.result("set", query(f"affiliation='member' jid='{self.third.bare}' nick='hag'"))
        self.setAffiliation(self.first, self.third.bare, "outcast")
        self.assertEqual(self.room.reserved, {})

    @spec("XEP-0045", "9.1", "9.2")
    def test_refused(self) -> None:
        """Owners can't be banned by admins, nobody by himself; of several changes none is made."""
        self.all()
        self.assertEqual(conditionOf(self.setAffiliation(self.second, self.first.bare, "outcast")), "not-allowed")
        self.assertEqual(conditionOf(self.setAffiliation(self.second, self.second.bare, "outcast")), "conflict")
        self.assertEqual(conditionOf(self.setAffiliation(self.first, self.first.bare, "outcast")), "conflict")
        self.assertEqual(conditionOf(self.setAffiliation(self.first, "example.org", "outcast")), "conflict")
        self.assertEqual(conditionOf(self.setAffiliation(self.third, "x@example.net", "outcast")), "forbidden")
        several = query(f"affiliation='outcast' jid='{self.third.bare}'", f"affiliation='outcast' jid='{self.first.bare}'")
        self.assertEqual(self.second.error("set", several), "not-allowed")
        self.assertEqual(len(self.room.seats), 3)
        self.assertEqual(self.third.error("get", query("affiliation='outcast'")), "forbidden")

    @spec("XEP-0045", "9.2")
    def test_domain(self) -> None:
        """A banned domain takes its users out."""
        self.all()
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>".encode())
        self.elsewhere.take()
        self.setAffiliation(self.first, "example.net", "outcast")
        self.assertEqual(codes(self.elsewhere.take()[0]), {301, 110})


class MemberTests(RoomCase):
    """Sections 9.3 to 9.5."""

    @spec("XEP-0045", "9.3", "9.4", "9.5")
    def test_open(self) -> None:
        """In an open room membership comes and goes, and everybody is told."""
        self.all()
        for affiliation in ("member", "none"):
            self.setAffiliation(self.second, self.third.bare, affiliation, JUST)
            (told,) = self.first.take()
            self.assertEqual((told.type, item(told)["affiliation"], item(told)["role"], about(told)[1]), (None, affiliation, "participant", JUST))
            self.third.take()

    @spec("XEP-0045", "9.4", "9.5")
    def test_membersOnly(self) -> None:
        """In a members-only room who is no member any more is out with 321, and only that is told."""
        self.found(membersonly="1")
        self.affiliate(self.third, "member")
        self.enter(self.second, "secondwitch")
        self.enter(self.third, "thirdwitch")
        self.quiet()
        self.setAffiliation(self.second, self.third.bare, "none")
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own)), ("unavailable", {321, 110}))
        (told,) = self.first.take()
        self.assertEqual((told.type, codes(told), item(told)["affiliation"]), ("unavailable", {321}, "none"))
        self.assertEqual(self.refused(self.third, "t"), "registration-required")

    @spec("XEP-0045", "9.5")
    def test_invited(self) -> None:
        """Who becomes a member of a members-only room is invited; of an open one, not."""
        self.found(membersonly="1", passwordprotectedroom="1", roomsecret="cauldronburn")
        self.setAffiliation(self.second, self.third.bare, "member")
        self.third.send("<presence/>")
        self.rig.inject(f"<presence from='{ROOM}' to='{self.third.bare}' type='error'/>".encode())
        self.third.take()
        self.setAffiliation(self.second, self.third.bare, "none")
        self.setAffiliation(self.second, self.third.bare, "member")
        (got,) = self.third.take()
        self.assertEqual(userX(got).textOf("password"), "cauldronburn")
        self.assertEqual(userX(got).find("invite").get("from"), ROOM)  # type: ignore[union-attr]
        self.configure(membersonly="0")
        self.setAffiliation(self.second, self.third.bare, "none")
        self.setAffiliation(self.second, self.third.bare, "member")
        self.assertEqual(self.third.take(), [])

    @spec("XEP-0045", "9.5", "5.2.1")
    def test_list(self) -> None:
        """Admins get it; others where JIDs are open and the configuration says so."""
        self.all()
        self.affiliate("m@example.net", "member")
        expected = [{"affiliation": "member", "jid": "m@example.net"}]
        self.assertEqual(listed(self.second.result("get", query("affiliation='member'"))), expected)
        self.assertEqual(self.third.error("get", query("affiliation='member'")), "forbidden")
        self.configure(whois="anyone")
        self.assertEqual(listed(self.third.result("get", query("affiliation='member'"))), expected)
        self.configure(getmemberlist=["moderator"])
        self.assertEqual(self.third.error("get", query("affiliation='member'")), "forbidden")
        self.assertEqual(self.person("stranger").error("get", query("affiliation='member'")), "forbidden")

    @spec("XEP-0045", "9.3", "9.5")
    def test_nick(self) -> None:
        """A nickname can be reserved, and given up; not one that is somebody else's."""
        self.all()
        self.first.result("set", query("affiliation='member' jid='m@example.net' nick='Em'"))
        self.assertEqual(listed(self.first.result("get", query("affiliation='member'")))[0]["nick"], "Em")
        self.assertEqual(self.first.error("set", query("affiliation='member' jid='n@example.net' nick='em'")), "conflict")
        self.assertEqual(self.first.error("set", query("affiliation='member' jid='n@example.net' nick='thirdwitch'")), "conflict")
        twice = query("affiliation='member' jid='n@example.net' nick='x'", "affiliation='member' jid='o@example.net' nick='X'")
        self.assertEqual(self.first.error("set", twice), "conflict")
        self.first.result("set", query("affiliation='member' jid='m@example.net' nick=''"))
        self.assertEqual(self.room.nicks, {})

    @spec("XEP-0045", "5.1.3")
    def test_moderatedVoice(self) -> None:
        """A new member of a moderated room gets a voice."""
        self.all(moderatedroom="1")
        self.setAffiliation(self.second, self.third.bare, "member")
        self.assertEqual(item(self.third.take()[0]), {"affiliation": "member", "role": "participant"})


class OwnerListTests(RoomCase):
    """Sections 10.3 to 10.8."""

    @spec("XEP-0045", "10.3", "10.4", "10.6", "10.7")
    def test_changes(self) -> None:
        """Each step is told with affiliation and role."""
        self.all()
        steps = {"owner": "moderator", "admin": "moderator", "member": "participant", "none": "participant"}
        for affiliation, role in steps.items():
            self.setAffiliation(self.first, self.third.full, affiliation)
            (told, *_) = self.second.take()
            self.assertEqual((item(told)["affiliation"], item(told)["role"]), (affiliation, role))
        self.assertIs(self.room.affiliationOf(self.third.bare), Affiliation.NONE)

    @spec("XEP-0045", "10.4", "10.5", "10.2")
    def test_lastOwner(self) -> None:
        """The last owner stays: conflict. If there is another, he may go."""
        self.all()
        self.assertEqual(conditionOf(self.setAffiliation(self.first, self.first.bare, "admin")), "conflict")
        self.setAffiliation(self.first, self.third.bare, "owner")
        self.assertEqual(self.setAffiliation(self.first, self.first.bare, "admin").type, "result")
        self.assertEqual(conditionOf(self.setAffiliation(self.second, self.third.bare, "none")), "forbidden")

    @spec("XEP-0045", "10.5", "10.8")
    def test_lists(self) -> None:
        """Owners get them; in a semi-anonymous room nobody else."""
        self.all()
        for affiliation, jid in (("owner", self.first.bare), ("admin", self.second.bare)):
            expected = [{"affiliation": affiliation, "jid": jid}]
            self.assertEqual(listed(self.first.result("get", query(f"affiliation='{affiliation}'"))), expected)
            for who in (self.second, self.third):
                self.assertEqual(who.error("get", query(f"affiliation='{affiliation}'")), "forbidden")

    @spec("XEP-0045", "10.5")
    def test_several(self) -> None:
        """Several changes at once, for users who aren't there."""
        self.all()
        self.first.result("set", query("affiliation='owner' jid='a@example.net'", "affiliation='admin' jid='b@example.net/x'"))
        self.assertIs(self.room.affiliationOf("a@example.net"), Affiliation.OWNER)
        self.assertIs(self.room.affiliationOf("b@example.net"), Affiliation.ADMIN)


class MistakeTests(RoomCase):
    """Requests that are none (section 17.4)."""

    @spec("XEP-0045", "17.4")
    def test_bad(self) -> None:
        """bad-request and the like, and nothing changes."""
        self.all()
        cases = {
            "nick='thirdwitch' role='none' affiliation='member'": "bad-request",
            "nick='thirdwitch'": "bad-request",
            "role='none'": "bad-request",
            "affiliation='member'": "bad-request",
            "nick='thirdwitch' role='king'": "bad-request",
            "jid='x@example.net' affiliation='king'": "bad-request",
            "jid='@' affiliation='member'": "jid-malformed",
            "nick='nobody' affiliation='member'": "item-not-found",
        }
        for case, condition in cases.items():
            self.assertEqual(self.first.error("set", query(case)), condition, case)
        self.assertEqual(self.first.error("set", query()), "bad-request")
        for case in ("role='none'", "affiliation='none'", "", "role='x'", "role='visitor' affiliation='member'"):
            self.assertEqual(self.first.error("get", query(case)), "bad-request", case)
        self.assertEqual(self.first.error("get", query()), "bad-request")
        self.assertEqual(len(self.room.affiliations), 2)
        self.assertEqual(kinds(self.third.take()), [])

    def test_byNick(self) -> None:
        """An affiliation may name an occupant by nickname."""
        self.all()
        self.first.result("set", query("nick='thirdwitch' affiliation='member'"))
        self.assertIs(self.room.affiliationOf(self.third.bare), Affiliation.MEMBER)


class BoundTests(RoomCase):
    """Lists have an end."""

    options = {"affiliations_max": 10}

    def test_full(self) -> None:
        """resource-constraint; what makes it shorter is always allowed."""
        self.found()
        for number in range(8):
            self.affiliate(f"x{number}@example.net", "outcast")
        self.assertEqual(conditionOf(self.setAffiliation(self.first, "y@example.net", "outcast")), "resource-constraint")
        self.assertEqual(self.setAffiliation(self.first, "x1@example.net", "none").type, "result")
