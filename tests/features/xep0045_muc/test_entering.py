"""
Entering a room (XEP-0045 section 7.2), leaving it (7.14), nicknames and availability (7.6, 7.7, 17.3).
"""

from __future__ import annotations

from tests.features.xep0045_muc.base import (
    JOIN,
    ROOM,
    SERVICE,
    RoomCase,
    codes,
    conditionOf,
    errorTypeOf,
    item,
    kinds,
    nick,
    userX,
)
from tests.marks import spec
from xmppd.features.xep0045_muc.affiliations import Affiliation


class OrderTests(RoomCase):
    """What comes, and in which order."""

    @spec("XEP-0045", "7.1", "7.2.2", "7.2.13", "7.2.15")
    def test_order(self) -> None:
        """Others' presence, one's own, history, the subject."""
        self.found()
        self.enter(self.second, "secondwitch")
        self.say(self.first, "Thrice the brinded cat hath mew'd.")
        self.say(self.second, "Thrice and once the hedge-pig whined.")
        got = self.enter(self.third, "thirdwitch")
        self.assertEqual(
            kinds(got),
            [
                ("presence", None, "firstwitch"),
                ("presence", None, "secondwitch"),
                ("presence", None, "thirdwitch"),
                ("message", "groupchat", "firstwitch"),
                ("message", "groupchat", "secondwitch"),
                ("message", "groupchat", ""),
            ],
        )
        self.assertEqual(item(got[0]), {"affiliation": "owner", "role": "moderator"})
        self.assertEqual(item(got[1]), {"affiliation": "admin", "role": "moderator"})
        self.assertEqual(item(got[2]), {"affiliation": "none", "role": "participant"})
        self.assertEqual((codes(got[2]), got[2].id, got[2].to), ({110}, "j", self.third.full))
        self.assertEqual(got[5].raw.count(b"<subject/>"), 1)

    @spec("XEP-0045", "7.2.2", "7.2.4")
    def test_broadcast(self) -> None:
        """Everybody hears of who enters; moderators learn the full JID, others don't."""
        self.all()
        fourth = self.person("hecate")
        self.enter(fourth, "hecate")
        for who in (self.first, self.second):
            (told,) = who.take()
            self.assertEqual(item(told), {"affiliation": "none", "role": "participant", "jid": fourth.full})
        (told,) = self.third.take()
        self.assertEqual(item(told), {"affiliation": "none", "role": "participant"})
        self.assertEqual((nick(told), codes(told), told.id), ("hecate", set(), None))

    @spec("XEP-0045", "7.2.3", "14.5")
    def test_nonAnonymous(self) -> None:
        """Where JIDs are open everybody gets them, and who enters is warned."""
        self.found(whois="anyone")
        got = self.enter(self.third, "thirdwitch")
        self.assertEqual(item(got[0])["jid"], self.first.full)
        self.assertEqual(codes(got[1]), {100, 110})
        self.assertEqual(item(got[1])["jid"], self.third.full)

    @spec("XEP-0045", "7.2.1")
    def test_withoutNick(self) -> None:
        """A nickname is needed."""
        self.third.send(f"<presence to='{ROOM}'>{JOIN}</presence>")
        (answer,) = self.third.take()
        self.assertEqual((conditionOf(answer), errorTypeOf(answer)), ("jid-malformed", "modify"))

    @spec("XEP-0045", "7.2.1", "17.3")
    def test_again(self) -> None:
        """A client that lost track gets everything again; the others hear of a change only."""
        self.all()
        self.say(self.first, "Hail")
        self.quiet()
        got = self.enter(self.third, "thirdwitch")
        self.assertEqual(len(got), 5)
        self.assertEqual(codes(got[2]), {110})
        self.assertEqual((self.first.take(), self.second.take()), ([], []))
        self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>away</show>{JOIN}</presence>")
        self.assertEqual(len(self.first.take()), 1)

    @spec("XEP-0045", "7.2.18")
    def test_oldProtocol(self) -> None:
        """Presence without the element, of who isn't in, is answered with a kick."""
        self.found()
        for room in (ROOM, f"other@{SERVICE}"):
            self.third.send(f"<presence to='{room}/thirdwitch' id='p'/>")
            (answer,) = self.third.take()
            self.assertEqual((answer.type, codes(answer), item(answer)["role"]), ("unavailable", {110, 307, 333}, "none"))
        self.assertNotIn("other", self.service.rooms)

    @spec("XEP-0045", "17.3")
    def test_types(self) -> None:
        """Presence with a type neither enters nor leaves."""
        self.all()
        other = self.person("x")
        for type in ("probe", "subscribe", "subscribed", "error"):
            self.rig.inject(f"<presence from='{other.full}' to='{ROOM}/x' type='{type}'>{JOIN}</presence>".encode())
        for type in ("subscribe", "subscribed", "unsubscribe", "bogus"):
            self.rig.inject(f"<presence from='{self.third.full}' to='{ROOM}/thirdwitch' type='{type}'/>".encode())
        self.assertEqual(len(self.room.seats), 3)
        self.assertEqual([self.first.take(), other.take(), self.third.take()], [[], [], []])

    @spec("XEP-0045", "17.3")
    def test_probe(self) -> None:
        """An occupant's probe is answered with presence."""
        self.all()
        self.rig.inject(f"<presence from='{self.third.full}' to='{ROOM}/firstwitch' type='probe'/>".encode())
        (answer,) = self.third.take()
        self.assertEqual(kinds([answer]), [("presence", None, "firstwitch")])

    @spec("XEP-0045", "17.3")
    def test_extended(self) -> None:
        """What a client sends along passes, but for what only rooms say."""
        self.found()
        forged = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>"
        forged += "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><hats xmlns='urn:xmpp:hats:0'/>"
        forged += f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='forged'/>"
        forged += f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2001-01-01T00:00:00Z'>forged</delay>"
        self.third.send(
            f"<presence to='{ROOM}/thirdwitch'>{JOIN}{forged}<show>away</show><c xmlns='urn:x' a='&lt;'/></presence>"
        )
        (told,) = self.first.take()
        self.assertEqual(item(told)["affiliation"], "none")
        self.assertNotIn(b"forged", told.raw)
        self.assertNotIn(b"hats", told.raw)
        self.assertIn(b"<show>away</show>", told.raw)
        self.assertIn("urn:x c", told.childNames)
        self.assertEqual(len([name for name in told.childNames if "muc" in name]), 1)

    @spec("XEP-0421", "3.1", "4", "4.1")
    def test_occupantId(self) -> None:
        """An id says who somebody is, over visits and nicknames, and differs by room; it isn't the JID."""

        def id(room: str, nickname: str) -> str:
            got = self.enter(self.third, nickname, room=room)
            own = next(each for each in got if each.kind == "presence" and nick(each) == nickname)
            self.third.send(f"<presence to='{room}/{nickname}' type='unavailable'/>")
            return own.elements()[-1].attrs["id"]

        self.found()
        self.enter(self.first, "firstwitch", room=f"heath@{SERVICE}")
        self.first.result("set", self.form(), to=f"heath@{SERVICE}")
        one, two, other = id(ROOM, "a"), id(ROOM, "b"), id(f"heath@{SERVICE}", "a")
        self.assertEqual(one, two)
        self.assertNotEqual(one, other)
        self.assertLessEqual(len(one), 128)
        self.assertNotIn("hag66", one)
        restarted = self.service.newOccupant(self.room, "c", self.third.bare, Affiliation.NONE, None, False)  # type: ignore[arg-type]
        self.assertEqual(restarted.id, one)

    def test_remote(self) -> None:
        """Users of other servers are addressed through the router."""
        self.found()
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x' id='1'>{JOIN}</presence>".encode())
        got = self.elsewhere.take()
        self.assertEqual([each.to for each in got], ["x@example.net/y"] * 3)
        self.say(self.first, "hello")
        self.assertEqual(len(self.elsewhere.take()), 1)


class RefusalTests(RoomCase):
    """Who may not enter, and what he is told (section 7.2.17)."""

    @spec("XEP-0045", "7.2.5")
    def test_password(self) -> None:
        """not-authorized without the password, and with a wrong one."""
        self.found(passwordprotectedroom="1", roomsecret="cauldronburn")
        self.assertEqual(self.refused(self.third, "t"), "not-authorized")
        self.assertEqual(self.refused(self.third, "t", "<password>x</password>"), "not-authorized")
        got = self.enter(self.third, "t", "<password>cauldronburn</password>")
        self.assertEqual(codes(got[1]), {110})
        self.assertNotIn(b"cauldronburn", b"".join(each.raw for each in self.first.take() + got))

    @spec("XEP-0045", "7.2.6")
    def test_membersOnly(self) -> None:
        """registration-required for who is no member; members come in."""
        self.found(membersonly="1")
        self.assertEqual(self.refused(self.third, "t"), "registration-required")
        self.affiliate(self.third, "member")
        self.third.take()
        self.assertEqual(item(self.enter(self.third, "t")[-2])["affiliation"], "member")

    @spec("XEP-0045", "7.2.7", "9.2")
    def test_banned(self) -> None:
        """forbidden for outcasts, and for users of a banned domain, unless they have another affiliation."""
        self.found()
        self.affiliate(self.third, "outcast")
        self.assertEqual(self.refused(self.third, "t"), "forbidden")
        self.affiliate("example.net", "outcast")
        self.affiliate("friend@example.net", "member")
        for bare, said in (("x@example.net", b"forbidden"), ("friend@example.net", b"subject")):
            self.rig.inject(f"<presence from='{bare}/y' to='{ROOM}/x'>{JOIN}</presence>".encode())
            self.assertIn(said, b"".join(each.raw for each in self.elsewhere.take()))

    @spec("XEP-0045", "7.2.8")
    def test_conflict(self) -> None:
        """conflict for a nickname that is in use; case and width make no difference."""
        self.found()
        for name in ("firstwitch", "FirstWitch", "\uff46irstwitch"):
            self.assertEqual(self.refused(self.third, name), "conflict")

    @spec("XEP-0045", "7.2.8", "7.12")
    def test_reserved(self) -> None:
        """conflict for a nickname that somebody else has reserved."""
        self.found()
        payload = f"<query xmlns='{'http://jabber.org/protocol/muc#admin'}'><item affiliation='member' jid='x@example.net' nick='Hecate'/></query>"
        self.first.result("set", payload)
        self.assertEqual(self.refused(self.third, "hecate"), "conflict")

    @spec("XEP-0045", "7.2.9")
    def test_full(self) -> None:
        """service-unavailable when the room is full; admins come in nevertheless."""
        self.found(maxusers="1")
        self.assertEqual(self.refused(self.third, "t"), "service-unavailable")
        self.assertEqual(codes(self.enter(self.second, "secondwitch")[-2]), {110})

    @spec("XEP-0045", "7.2.10", "10.1.1")
    def test_locked(self) -> None:
        """item-not-found while the owner has not configured the room."""
        self.enter(self.first, "firstwitch")
        self.assertEqual(self.refused(self.third, "t"), "item-not-found")
        self.assertEqual(self.third.error("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"), "item-not-found")
        self.configure()
        self.enter(self.third, "t")

    @spec("XEP-0045", "17.1")
    def test_nicks(self) -> None:
        """not-acceptable for what can't be seen or is too long."""
        self.found()
        for name in ("\u2800", "\u3164", "x" * 129, "é" * 65):
            self.third.send(f"<presence to='{ROOM}/{name}'>{JOIN}</presence>")
            (answer,) = self.third.take()
            self.assertIn(conditionOf(answer), ("not-acceptable", "jid-malformed"), name)
        self.assertEqual(len(self.room.seats), 1)

    def test_tooLarge(self) -> None:
        """policy-violation for an absurd presence."""
        self.found()
        self.third.send(f"<presence to='{ROOM}/t'>{JOIN}<status>{'x' * 9000}</status></presence>")
        self.assertEqual(conditionOf(self.third.take()[0]), "policy-violation")


class FloodTests(RoomCase):
    """Presence that comes too often (section 14.6)."""

    options = {"presence_per_minute": 3}

    @spec("XEP-0045", "14.6")
    def test_pace(self) -> None:
        """wait/resource-constraint, others hear nothing; later it works again."""
        self.all()
        for show in ("away", "xa", "dnd", "chat"):
            self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>{show}</show></presence>")
        got = self.third.take()
        self.assertEqual([each.type for each in got], [None, None, "error", "error"])
        self.assertEqual((conditionOf(got[-1]), errorTypeOf(got[-1])), ("resource-constraint", "wait"))
        self.assertEqual(len(self.first.take()), 2)
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        self.quiet()
        self.assertEqual(self.refused(self.third, "t"), "resource-constraint")
        self.rig.clock.advance(60)
        self.assertEqual(len(self.enter(self.third, "t")), 4)


class MultiSessionTests(RoomCase):
    """Several clients of one user under one nickname (section 7.2.8)."""

    def setUp(self) -> None:
        super().setUp()
        self.all()
        self.phone = self.person("hag66", "phone")
        self.got = self.enter(self.phone, "thirdwitch")
        self.quiet()

    @spec("XEP-0045", "7.2.8")
    def test_enter(self) -> None:
        """The second client gets the whole room; the others see no second occupant."""
        self.assertEqual(kinds(self.got)[:3], [("presence", None, n) for n in ("firstwitch", "secondwitch", "thirdwitch")])
        self.assertEqual((len(self.room.occupants), len(self.room.seats)), (3, 4))

    @spec("XEP-0045", "7.2.8")
    def test_messages(self) -> None:
        """Messages go to all clients, and come from any."""
        self.say(self.first, "a")
        self.assertEqual([len(each.take()) for each in (self.third, self.phone)], [1, 1])
        self.first.send(f"<message type='chat' to='{ROOM}/thirdwitch'><body>psst</body></message>")
        self.assertEqual([len(each.take()) for each in (self.third, self.phone)], [1, 1])
        self.say(self.phone, "b")
        self.assertEqual(nick(self.third.take()[0]), "thirdwitch")

    @spec("XEP-0045", "7.2.8", "7.14")
    def test_leave(self) -> None:
        """When one client leaves, the others see nothing of it, unless its presence was shown."""
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own)), ("unavailable", {110}))
        self.assertEqual((self.first.take(), self.phone.take()), ([], []))
        self.phone.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        self.assertEqual(kinds(self.first.take()), [("presence", "unavailable", "thirdwitch")])

    def test_shown(self) -> None:
        """The presence sent last is shown; when its client leaves, another's."""
        self.phone.send(f"<presence to='{ROOM}/thirdwitch'><show>away</show></presence>")
        self.assertIn(b"away", self.first.take()[0].raw)
        self.phone.session.end()
        (told,) = self.first.take()
        self.assertEqual(told.type, None)
        self.assertNotIn(b"away", told.raw)

    def test_split(self) -> None:
        """One of the clients takes another nickname; the other keeps the old one."""
        self.phone.send(f"<presence to='{ROOM}/crone'/>")
        got = self.phone.take()
        self.assertEqual(kinds(got), [("presence", "unavailable", "thirdwitch"), ("presence", None, "crone")])
        self.assertEqual([codes(each) for each in got], [{303, 110}, {110}])
        self.assertEqual(kinds(self.first.take()), [("presence", None, "crone")])
        self.assertEqual(sorted(self.room.occupants), ["crone", "firstwitch", "secondwitch", "thirdwitch"])

    def test_kicked(self) -> None:
        """A kick takes all clients out."""
        self.setRole(self.first, "thirdwitch", "none")
        for each in (self.third, self.phone):
            (told,) = each.take()
            self.assertEqual(codes(told), {307, 110})


class NickTests(RoomCase):
    """Section 7.6."""

    @spec("XEP-0045", "7.6")
    def test_change(self) -> None:
        """Unavailable from the old nickname with the new one and 303, then available from the new."""
        self.all()
        self.third.send(f"<presence to='{ROOM}/oldhag' id='n'/>")
        for who, own in ((self.first, False), (self.third, True)):
            gone, there = who.take()
            self.assertEqual(kinds([gone, there]), [("presence", "unavailable", "thirdwitch"), ("presence", None, "oldhag")])
            self.assertEqual(item(gone)["nick"], "oldhag")
            self.assertEqual(codes(gone), {303, 110} if own else {303})
            self.assertEqual(codes(there), {110} if own else set())
        self.say(self.third, "x")
        self.assertEqual(nick(self.first.take()[0]), "oldhag")

    @spec("XEP-0045", "7.6")
    def test_conflict(self) -> None:
        """A nickname in use or reserved is refused."""
        self.all()
        self.third.send(f"<presence to='{ROOM}/FIRSTWITCH'/>")
        self.assertEqual(conditionOf(self.third.take()[0]), "conflict")
        self.third.send(f"<presence to='{ROOM}/ThirdWitch'/>")
        self.assertEqual(len(self.third.take()), 2)
        self.assertEqual(list(self.room.occupants), ["firstwitch", "secondwitch", "ThirdWitch"])


class LockedNickTests(RoomCase):
    """Nicknames that members have to use (sections 7.2.2, 7.6, 7.10, 18.1)."""

    options = {"lock_nicks": True}

    def setUp(self) -> None:
        super().setUp()
        self.found()
        payload = "<query xmlns='http://jabber.org/protocol/muc#admin'>"
        self.first.result("set", f"{payload}<item affiliation='member' jid='{self.third.bare}' nick='hag'/></query>")

    @spec("XEP-0045", "7.2.2", "7.10")
    def test_enter(self) -> None:
        """The nickname is rewritten, with 210."""
        own = self.enter(self.third, "other")[-2]
        self.assertEqual((nick(own), codes(own)), ("hag", {110, 210}))

    @spec("XEP-0045", "7.6")
    def test_change(self) -> None:
        """Another one is not acceptable."""
        self.enter(self.third, "hag")
        self.third.send(f"<presence to='{ROOM}/other'/>")
        self.assertEqual(conditionOf(self.third.take()[0]), "not-acceptable")


class AvailabilityTests(RoomCase):
    """Section 7.7."""

    @spec("XEP-0045", "7.7")
    def test_change(self) -> None:
        """Changed presence goes to everybody, with role and affiliation."""
        self.all()
        self.third.send(f"<presence to='{ROOM}/thirdwitch' id='s'><show>xa</show><status>gone where the goblins go</status></presence>")
        (told,) = self.first.take()
        self.assertEqual(item(told), {"affiliation": "none", "role": "participant", "jid": self.third.full})
        self.assertIn(b"goblins", told.raw)
        (own,) = self.third.take()
        self.assertEqual((codes(own), own.id), ({110}, "s"))

    @spec("XEP-0045", "5.1", "7.2.2")
    def test_notBroadcast(self) -> None:
        """Presence of roles that aren't broadcast is told to nobody else, neither coming nor going."""
        self.found(moderatedroom="1", presencebroadcast=["moderator", "participant"])
        self.enter(self.second, "secondwitch")
        self.first.take()
        got = self.enter(self.third, "thirdwitch")
        self.assertEqual([nick(each) for each in got[:3]], ["firstwitch", "secondwitch", "thirdwitch"])
        self.assertEqual(self.first.take(), [])
        self.setRole(self.first, "thirdwitch", "participant")
        self.assertEqual(kinds(self.second.take()), [("presence", None, "thirdwitch")])
        self.first.take()
        self.setRole(self.first, "thirdwitch", "visitor")
        self.assertEqual(kinds(self.second.take()), [("presence", "unavailable", "thirdwitch")])
        self.first.take()
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        self.assertEqual((self.first.take(), self.second.take()), ([], []))


class LeavingTests(RoomCase):
    """Section 7.14, and ends that nobody announced (11.1, 18.1.2)."""

    @spec("XEP-0045", "7.14")
    def test_leave(self) -> None:
        """Who leaves hears it with 110, the others with role none and its words."""
        self.all()
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'><status>bye</status></presence>")
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own), item(own)["role"]), ("unavailable", {110}, "none"))
        (told,) = self.first.take()
        self.assertEqual((told.type, codes(told), item(told)["role"]), ("unavailable", set(), "none"))
        self.assertIn(b"<status>bye</status>", told.raw)
        self.assertIn("urn:xmpp:occupant-id:0 occupant-id", told.childNames)

    @spec("XEP-0045", "7.14")
    def test_sessionEnds(self) -> None:
        """Who goes offline leaves."""
        self.all()
        self.third.session.end()
        self.assertEqual(kinds(self.first.take()), [("presence", "unavailable", "thirdwitch")])
        self.assertEqual(len(self.room.seats), 2)

    @spec("XEP-0045", "17.3")
    def test_notIn(self) -> None:
        """Unavailable presence of who isn't in is ignored."""
        self.found()
        self.third.send(f"<presence to='{ROOM}/x' type='unavailable'/>")
        self.rig.inject(f"<presence from='a@example.net/b' to='nowhere@{SERVICE}/x' type='unavailable'/>".encode())
        self.assertEqual((self.third.take(), self.first.take(), self.elsewhere.take()), ([], [], []))

    @spec("XEP-0045", "7.14")
    def test_last(self) -> None:
        """A temporary room goes with the last occupant; a persistent one stays."""
        self.found()
        self.first.session.end()
        self.assertEqual(self.service.rooms, {})

    @spec("XEP-0045", "11.1", "18.1.2")
    def test_ghosts(self) -> None:
        """An occupant from whose server errors come is gone, with 333."""
        self.all()
        errors = ("gone", "item-not-found", "recipient-unavailable", "redirect", "remote-server-not-found", "remote-server-timeout", "service-unavailable")
        for condition in errors:
            self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'>{JOIN}</presence>".encode())
            self.quiet()
            error = f"<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            self.rig.inject(f"<message type='error' from='x@example.net/y' to='{ROOM}'>{error}</message>".encode())
            (told,) = self.third.take()
            self.assertEqual((told.type, nick(told), codes(told)), ("unavailable", "x", {333}), condition)
            (own,) = self.elsewhere.take()
            self.assertEqual(codes(own), {333, 110})

    @spec("XEP-0045", "18.1.2")
    def test_otherErrors(self) -> None:
        """Other errors mean nothing."""
        self.all()
        for condition in ("bad-request", "not-acceptable", "feature-not-implemented"):
            error = f"<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            self.third.send(f"<message type='error' to='{ROOM}'>{error}</message>")
        self.third.send(f"<message type='error' to='{ROOM}'/>")
        self.assertEqual(len(self.room.seats), 3)
        self.assertEqual(userX(self.room.presenceOf(self.room.occupants["thirdwitch"], True).stanza).ns, "http://jabber.org/protocol/muc#user")


class MarkTests(RoomCase):
    """How clients know an error for one of a room's."""

    @spec("XEP-0045", "7.2.5", "7.2.6", "7.2.8")
    def test_mark(self) -> None:
        """It has the element of who enters, and says that the room refuses."""
        self.found(membersonly="1")
        (answer,) = self.enter(self.third, "t")
        self.assertEqual(list(answer.childNames), ["http://jabber.org/protocol/muc x", "jabber:client error"])
        self.assertEqual((answer.elements()[-1].get("by"), answer.sender, answer.id), (ROOM, f"{ROOM}/t", "j"))
