"""
What is said (XEP-0045 sections 7.4, 7.5, 8.1), history (7.2.13, 7.2.14), slow mode (XEP-0500), retraction (XEP-0425).
"""

from __future__ import annotations

from tests.features.xep0045_muc.base import ROOM, SERVICE, RoomCase, codes, conditionOf, errorTypeOf, kinds, nick
from tests.marks import spec
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.stanza import Stanza

SID = f"{ns.STANZA_ID} stanza-id"
OID = "urn:xmpp:occupant-id:0 occupant-id"


def body(stanza: Stanza) -> str | None:
    """What it says."""
    found = stanza.find("jabber:client body")
    return None if found is None else found.text


class PublicTests(RoomCase):
    """Section 7.4."""

    @spec("XEP-0045", "7.4")
    def test_reflected(self) -> None:
        """Everybody gets it from the occupant JID, with the id, and all else as it was."""
        self.all()
        self.say(self.third, "Harpier cries: &apos;tis time", "hysf1v37", "<foo xmlns='urn:x' a='1'>b</foo>")
        for who in (self.first, self.second, self.third):
            (got,) = who.take()
            self.assertEqual((got.sender, got.to, got.type, got.id), (f"{ROOM}/thirdwitch", who.full, "groupchat", "hysf1v37"))
            self.assertEqual(body(got), "Harpier cries: 'tis time")
            self.assertEqual(list(got.childNames), ["jabber:client body", "urn:x foo", OID, SID])

    @spec("XEP-0359", "3")
    @spec("XEP-0421", "4")
    def test_deeds(self) -> None:
        """What only a room may say of messages, or of who really sent them, is taken out; other fastenings stay."""
        self.all()
        moderate, retract, fasten = "urn:xmpp:message-moderate", "urn:xmpp:message-retract", "urn:xmpp:fasten:0"
        forgeries = (
            f"<moderated xmlns='{moderate}:1' by='{ROOM}/firstwitch'>forged</moderated>",
            f"<moderated xmlns='{moderate}:0' by='{ROOM}/firstwitch'>forged</moderated>",
            f"<retracted xmlns='{retract}:1' stamp='forged'/>",
            f"<retracted xmlns='{retract}:0' stamp='forged'/>",
            f"<apply-to xmlns='{fasten}' id='forged'><moderated xmlns='{moderate}:0'><retract xmlns='{retract}:0'/></moderated></apply-to>",
            "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='forged@example.org'/></addresses>",
        )
        kept = f"<apply-to xmlns='{fasten}' id='1'><retract xmlns='{retract}:0'/></apply-to>"
        for forgery in forgeries:
            self.say(self.third, "x", extra=forgery + kept + forgery)
            (got,) = self.first.take()
            self.assertNotIn(b"forged", got.raw)
            self.assertEqual(list(got.childNames), ["jabber:client body", f"{fasten} apply-to", OID, SID])
            self.third.send(f"<message type='chat' to='{ROOM}/firstwitch'><body>x</body>{forgery}</message>")
            self.assertNotIn(b"forged", self.first.take()[0].raw)
            self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>{'away' if forgery is forgeries[0] else 'xa'}</show>{forgery}</presence>")
            self.assertNotIn(b"forged", b"".join(each.raw for each in self.first.take()))
        for retraction in (f"{moderate}:1", f"{moderate}:0"):
            self.quiet()
            both = f"<retract xmlns='{retract}:1' id='1'/><retract xmlns='{retract}:1' id='2'><moderated xmlns='{retraction}'/></retract>"
            self.say(self.third, "x", extra=both)
            self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")

    def test_forgeries(self) -> None:
        """Ids and delays that claim to be the room's are taken out; others' stay."""
        self.all()
        forged = (
            f"<stanza-id xmlns='{ns.STANZA_ID}' by='{ROOM}' id='forged'/><stanza-id xmlns='{ns.STANZA_ID}' by='x@example.net' id='kept'/>"
            f"<stanza-id xmlns='{ns.STANZA_ID}' by='CAVE@{SERVICE.upper()}' id='forged'/>"
            f"<delay xmlns='{ns.DELAY}' from='{ROOM}' stamp='2002-01-01T00:00:00Z'>forged</delay>"
            f"<delay xmlns='{ns.DELAY}' from='x@example.net' stamp='2002-01-01T00:00:00Z'>kept</delay>"
            "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>"
            "<x xmlns='http://jabber.org/protocol/muc#user'><status code='301'/></x>"
        )
        self.say(self.third, "x", extra=forged)
        (got,) = self.first.take()
        self.assertNotIn(b"forged", got.raw)
        self.assertNotIn(b"301", got.raw)
        self.assertEqual(got.raw.count(b"kept"), 2)
        own = [each for each in got.elements() if each.qname == SID and each.attrs["by"] == ROOM]
        self.assertEqual(len(own), 1)

    @spec("XEP-0045", "7.4", "17.2")
    def test_notIn(self) -> None:
        """Who isn't in can't speak: not-acceptable. Nor can anybody in a room that isn't there: item-not-found."""
        self.found()
        self.say(self.third, "x")
        self.assertEqual(conditionOf(self.third.take()[0]), "not-acceptable")
        self.third.send(f"<message type='groupchat' to='x@{SERVICE}'><body>x</body></message>")
        self.assertEqual(conditionOf(self.third.take()[0]), "item-not-found")
        self.assertEqual(self.first.take(), [])

    @spec("XEP-0045", "17.2")
    def test_locked(self) -> None:
        """Not even the owner speaks before the room is configured."""
        self.enter(self.first, "firstwitch")
        self.say(self.first, "x")
        self.assertEqual(conditionOf(self.first.take()[0]), "item-not-found")

    @spec("XEP-0045", "7.4", "5.1.1")
    def test_voice(self) -> None:
        """Visitors have no voice: forbidden, and nobody hears it."""
        self.all(moderatedroom="1")
        self.say(self.third, "x")
        (answer,) = self.third.take()
        self.assertEqual((conditionOf(answer), errorTypeOf(answer)), ("forbidden", "auth"))
        self.assertEqual((self.first.take(), self.second.take()), ([], []))

    def test_large(self) -> None:
        """policy-violation beyond the limit."""
        self.all()
        self.say(self.third, "x" * 70000)
        self.assertEqual(conditionOf(self.third.take()[0]), "policy-violation")
        self.assertEqual(self.first.take(), [])

    @spec("XEP-0045", "17.2", "7.4")
    def test_otherTypes(self) -> None:
        """What is for all has the type groupchat."""
        self.all()
        self.third.send(f"<message type='chat' to='{ROOM}'><body>x</body></message>")
        self.assertEqual(conditionOf(self.third.take()[0]), "bad-request")
        self.assertEqual(self.first.take(), [])

    def test_forgedSender(self) -> None:
        """A sender that a client claims is replaced, so nobody speaks for another."""
        self.all()
        self.third.send(f"<message type='groupchat' to='{ROOM}' from='{self.first.full}'><body>x</body></message>")
        self.assertEqual(nick(self.first.take()[0]), "thirdwitch")


class PrivateTests(RoomCase):
    """Section 7.5."""

    def tell(self, nickname: str, type: str = "chat", by: object = None) -> None:
        """Send a private message."""
        (by or self.third).send(f"<message type='{type}' to='{ROOM}/{nickname}' id='p'><body>psst</body></message>")  # type: ignore[attr-defined]

    @spec("XEP-0045", "7.5")
    def test_delivered(self) -> None:
        """From the occupant JID to the full JID, marked as private."""
        self.all()
        self.tell("secondwitch")
        (got,) = self.second.take()
        self.assertEqual((got.sender, got.to, got.type, got.id), (f"{ROOM}/thirdwitch", self.second.full, "chat", "p"))
        self.assertEqual(list(got.childNames), ["jabber:client body", "http://jabber.org/protocol/muc#user x", OID])
        self.assertEqual((self.first.take(), self.third.take()), ([], []))

    @spec("XEP-0045", "7.5")
    def test_errors(self) -> None:
        """bad-request, item-not-found, not-acceptable."""
        self.found()
        self.tell("firstwitch")
        self.assertEqual(conditionOf(self.third.take()[0]), "not-acceptable")
        self.enter(self.third, "thirdwitch")
        self.tell("firstwitch", "groupchat")
        self.assertEqual(conditionOf(self.third.take()[0]), "bad-request")
        self.tell("nobody")
        self.assertEqual(conditionOf(self.third.take()[0]), "item-not-found")

    @spec("XEP-0045", "7.5", "5.1.1")
    def test_who(self) -> None:
        """The configuration says who may."""
        self.all(moderatedroom="1", allowpm="anyone")
        fourth = self.person("member")
        self.affiliate(fourth, "member")
        self.enter(fourth, "member")
        cases = {"anyone": (True, True, True), "participants": (False, True, True), "moderators": (False, False, True), "none": (False, False, False)}
        for who, expected in cases.items():
            self.configure(allowpm=who)
            self.quiet()
            fourth.take()
            got = []
            for by in (self.third, fourth, self.first):
                self.tell("secondwitch", by=by)
                got.append(len(self.second.take()) == 1)
                if not got[-1]:
                    self.assertEqual(conditionOf(by.take()[-1]), "forbidden")
            self.assertEqual(tuple(got), expected, who)

    def test_error(self) -> None:
        """The error that answers one comes back from the occupant JID, without addresses."""
        self.all()
        self.tell("secondwitch")
        self.second.send(
            f"<message type='error' to='{ROOM}/thirdwitch' id='p'><body>psst</body>"
            f"<error type='cancel' by='{self.second.bare}'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
        (got,) = self.third.take()
        self.assertEqual((got.sender, conditionOf(got), got.id), (f"{ROOM}/secondwitch", "not-acceptable", "p"))
        self.assertNotIn(b"wiccarocks", got.raw)


class SubjectTests(RoomCase):
    """Sections 8.1 and 7.2.15."""

    def change(self, who: object, text: str = "Spells", more: str = "") -> None:
        """Send a subject."""
        who.send(f"<message type='groupchat' to='{ROOM}' id='s'><subject>{text}</subject>{more}</message>")  # type: ignore[attr-defined]

    @spec("XEP-0045", "8.1", "7.2.15")
    def test_change(self) -> None:
        """Everybody hears it; who enters later, too, with the room's delay."""
        self.all()
        self.change(self.second)
        (got,) = self.third.take()
        self.assertEqual((got.sender, got.id), (f"{ROOM}/secondwitch", "s"))
        self.assertNotIn(b"delay", got.raw)
        self.rig.clock.advance(60)
        last = self.enter(self.person("x"), "x")[-1]
        self.assertEqual(last.find("jabber:client subject").text, "Spells")  # type: ignore[union-attr]
        self.assertEqual(last.find(f"{ns.DELAY} delay").attrs, {"from": ROOM, "stamp": dateTime(1_000_000_000)})  # type: ignore[union-attr]
        self.assertIsNone(last.find("jabber:client body"))

    @spec("XEP-0045", "8.1", "7.2.13")
    def test_notHistory(self) -> None:
        """Subjects are no history."""
        self.all()
        self.change(self.second)
        self.change(self.second, "Brews")
        got = self.enter(self.person("x"), "x")
        self.assertEqual([each.kind for each in got].count("message"), 1)

    @spec("XEP-0045", "8.1")
    def test_empty(self) -> None:
        """An empty one takes it away."""
        self.all()
        self.change(self.first)
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject/></message>")
        self.assertEqual(self.room.subjectText, "")
        self.assertEqual(len(self.third.take()), 2)

    @spec("XEP-0045", "8.1", "5.1.1")
    def test_forbidden(self) -> None:
        """By default only moderators may; participants if so configured; visitors never."""
        self.all()
        self.change(self.third)
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")
        self.configure(changesubject="1")
        self.quiet()
        self.change(self.third)
        self.assertEqual(len(self.first.take()), 1)
        self.setRole(self.first, "thirdwitch", "visitor")
        self.quiet()
        self.change(self.third)
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")

    @spec("XEP-0045", "8.1", "7.2.15")
    def test_withBody(self) -> None:
        """A subject with a body or a thread changes nothing."""
        self.all()
        self.change(self.third, "a", "<body>b</body>")
        self.change(self.third, "a", "<thread>t</thread>")
        self.assertEqual(len(self.first.take()), 2)
        self.assertIsNone(self.room.subject)


class HistoryTests(RoomCase):
    """Sections 7.2.13 and 7.2.14."""

    options = {"history_messages": 5}

    def setUp(self) -> None:
        super().setUp()
        self.found()
        for number in range(7):
            self.rig.clock.advance(10)
            self.say(self.first, str(number), f"m{number}")
        self.first.take()

    def past(self, inside: str = "") -> list[str]:
        """What is told of the past to who enters now."""
        got = self.enter(self.third, "thirdwitch", inside)
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        self.delayed = [each for each in got if body(each) is not None]
        return [body(each) or "" for each in self.delayed]

    @spec("XEP-0045", "7.2.13")
    def test_all(self) -> None:
        """The last ones the service keeps, in order, as they were said, with the room's delay."""
        self.assertEqual(self.past(), ["2", "3", "4", "5", "6"])
        got = self.delayed[0]
        self.assertEqual((got.sender, got.id, got.type), (f"{ROOM}/firstwitch", "m2", "groupchat"))
        self.assertEqual(got.find(f"{ns.DELAY} delay").attrs["from"], ROOM)  # type: ignore[union-attr]
        self.assertEqual(got.find(f"{ns.DELAY} delay").attrs["stamp"], dateTime(1_000_000_030, True))  # type: ignore[union-attr]
        self.assertIn(SID, got.childNames)
        self.assertIn(OID, got.childNames)

    @spec("XEP-0045", "7.2.14")
    def test_maxstanzas(self) -> None:
        """At most so many."""
        self.assertEqual(self.past("<history maxstanzas='2'/>"), ["5", "6"])
        self.assertEqual(self.past("<history maxstanzas='0'/>"), [])
        self.assertEqual(self.past("<history maxstanzas='1000000'/>"), ["2", "3", "4", "5", "6"])

    @spec("XEP-0045", "7.2.14")
    def test_maxchars(self) -> None:
        """As many complete stanzas as fit."""
        self.past()
        sizes = [len(each.raw.decode()) for each in self.delayed]
        self.assertEqual(self.past("<history maxchars='0'/>"), [])
        self.assertEqual(self.past(f"<history maxchars='{sizes[-1]}'/>"), ["6"])
        self.assertEqual(self.past(f"<history maxchars='{sizes[-1] - 1}'/>"), [])
        self.assertEqual(self.past(f"<history maxchars='{sizes[-1] + sizes[-2]}'/>"), ["5", "6"])

    @spec("XEP-0045", "7.2.14")
    def test_seconds(self) -> None:
        """The last so many seconds."""
        self.rig.clock.advance(1)
        self.assertEqual(self.past("<history seconds='12'/>"), ["5", "6"])

    @spec("XEP-0045", "7.2.14")
    def test_since(self) -> None:
        """Since a moment."""
        self.assertEqual(self.past(f"<history since='{dateTime(1_000_000_061)}'/>"), ["6"])
        self.assertEqual(self.past("<history since='1970-01-01T00:00:00Z'/>"), ["2", "3", "4", "5", "6"])

    @spec("XEP-0045", "7.2.14")
    def test_together(self) -> None:
        """The least of all conditions."""
        self.assertEqual(self.past("<history maxstanzas='3' seconds='1000' maxchars='100000'/>"), ["4", "5", "6"])
        self.assertEqual(self.past("<history maxstanzas='3' seconds='5'/>"), ["6"])

    def test_absurd(self) -> None:
        """What can't be read counts as not said."""
        for inside in ("maxstanzas='-1'", "maxchars='x'", f"seconds='{'9' * 50}'", "since='yesterday'", "since=''", "maxstanzas='\u0665'"):
            self.assertEqual(len(self.past(f"<history {inside}/>")), 5, inside)

    def test_configured(self) -> None:
        """The room's own limit."""
        self.configure(**{"muc#maxhistoryfetch": "1"})
        self.assertEqual(self.past(), ["6"])

    def test_octets(self) -> None:
        """Size is bounded as well; what asks not to be kept isn't, nor what says nothing."""
        history = self.room.history
        history._octets = 700
        self.say(self.first, "y" * 300)
        self.assertEqual(len(history), 1)
        self.say(self.first, "x", extra=f"<no-store xmlns='{ns.HINTS}'/>")
        self.first.send(f"<message type='groupchat' to='{ROOM}'><composing xmlns='{ns.CHAT_STATES}'/></message>")
        self.say(self.first, "z" * 5000)
        self.assertEqual(len(history), 1)


class SlowTests(RoomCase):
    """XEP-0500."""

    @spec("XEP-0500", "5.1", "6", "8")
    def test_slow(self) -> None:
        """wait/policy-violation; one count for all clients of a user; admins and owners are free."""
        self.all(slow_mode_duration="20")
        phone = self.person("hag66", "phone")
        self.enter(phone, "phone")
        self.quiet()
        self.say(self.third, "one")
        self.third.send(f"<message type='groupchat' to='{ROOM}'><composing xmlns='{ns.CHAT_STATES}'/></message>")
        self.third.take()
        self.say(phone, "two")
        answer = phone.take()[-1]
        self.assertEqual((conditionOf(answer), errorTypeOf(answer)), ("policy-violation", "wait"))
        self.assertIn(b"20 seconds", answer.raw)
        self.assertEqual(len(self.first.take()), 2)
        self.rig.clock.advance(20)
        self.say(phone, "three")
        self.assertEqual(len(self.first.take()), 1)
        self.say(self.first, "a")
        self.say(self.first, "b")
        self.assertEqual(len(self.first.take()), 2)


class ModerationTests(RoomCase):
    """XEP-0425, and XEP-0424 in the history."""

    def setUp(self) -> None:
        super().setUp()
        self.all()
        self.say(self.third, "free magic potions")
        self.stanzaId = next(e.attrs["id"] for e in self.first.take()[0].elements() if e.qname == SID)
        self.quiet()

    def payload(self, id: str) -> str:
        """A request to retract."""
        return f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'><retract xmlns='urn:xmpp:message-retract:1'/><reason>spam &amp; more</reason></moderate>"

    @spec("XEP-0425", "3.1", "5")
    def test_moderate(self) -> None:
        """Everybody is told by the room, and who enters later doesn't get the message."""
        self.assertIsNone(self.second.result("set", self.payload(self.stanzaId)))
        (told,) = self.third.take()
        self.assertEqual((told.sender, told.type), (ROOM, "groupchat"))
        retract = told.find("urn:xmpp:message-retract:1 retract")
        assert retract is not None
        self.assertEqual((retract.attrs["id"], retract.textOf("reason")), (self.stanzaId, "spam & more"))
        moderated = retract.find("moderated", "urn:xmpp:message-moderate:1")
        assert moderated is not None
        self.assertEqual(moderated.attrs["by"], f"{ROOM}/secondwitch")
        self.assertIsNotNone(moderated.find("occupant-id", "urn:xmpp:occupant-id:0"))
        got = self.enter(self.person("x"), "x")
        self.assertNotIn(b"potions", b"".join(each.raw for each in got))

    @spec("XEP-0425", "3.2")
    def test_errors(self) -> None:
        """forbidden, item-not-found, bad-request, not-allowed."""
        self.assertEqual(self.third.error("set", self.payload(self.stanzaId)), "forbidden")
        self.assertEqual(self.first.error("set", self.payload("x")), "item-not-found")
        self.assertEqual(self.first.error("set", "<moderate xmlns='urn:xmpp:message-moderate:1' id='x'/>"), "bad-request")
        self.say(self.first, "mine")
        id = next(e.attrs["id"] for e in self.second.take()[-1].elements() if e.qname == SID)
        self.assertEqual(self.second.error("set", self.payload(id)), "not-allowed")

    @spec("XEP-0425", "5")
    def test_forged(self) -> None:
        """Nobody else announces that something was moderated."""
        self.say(self.third, "x", extra=f"<retract xmlns='urn:xmpp:message-retract:1' id='{self.stanzaId}'><moderated xmlns='urn:xmpp:message-moderate:1' by='{ROOM}/firstwitch'/></retract>")
        self.assertEqual(conditionOf(self.third.take()[0]), "forbidden")
        self.assertEqual(self.first.take(), [])

    @spec("XEP-0424", "5")
    def test_own(self) -> None:
        """Who takes back his own message takes it out of the history; not others'."""
        retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{self.stanzaId}'/>"
        self.second.send(f"<message type='groupchat' to='{ROOM}'>{retract}</message>")
        self.assertIsNotNone(self.room.history.find(self.stanzaId))
        self.third.send(f"<message type='groupchat' to='{ROOM}'>{retract}</message>")
        self.assertIsNone(self.room.history.find(self.stanzaId))
        self.assertEqual(kinds(self.first.take()), [("message", "groupchat", "secondwitch"), ("message", "groupchat", "thirdwitch")])
        self.assertEqual(codes(self.enter(self.person("y"), "y")[3]), {110})


class ReturnedTests(RoomCase):
    """Errors that come back for what was said."""

    ERROR = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

    def test_public(self) -> None:
        """Who spoke to all isn't told that one of them didn't want to hear it; nor is that one taken out."""
        self.all()
        self.say(self.third, "x")
        self.quiet()
        self.second.send(f"<message type='error' to='{ROOM}/thirdwitch' id='m'>{self.ERROR}</message>")
        self.assertEqual((self.third.take(), len(self.room.seats)), ([], 3))

    @spec("XEP-0045", "14.4")
    def test_addresses(self) -> None:
        """Where real addresses are for moderators only, an error holds nothing that could be one; elsewhere it may."""
        self.all()
        stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
        real = self.second.bare
        holding = (
            f"<gone xmlns='{stanzas}'>xmpp:{real}</gone>",
            f"<redirect xmlns='{stanzas}'>xmpp:{real}</redirect>",
            f"<conflict xmlns='{stanzas}'/><text xmlns='{stanzas}'>{real} is busy</text>",
            f"<conflict xmlns='{stanzas}'/><mine xmlns='urn:x' of='{real}'><inside>{real}</inside></mine>",
        )
        for anonymous in (True, False):
            for content in holding:
                self.configure(whois="moderators" if anonymous else "anyone")
                self.enter(self.second, "secondwitch")
                self.third.send(f"<message type='chat' to='{ROOM}/secondwitch' id='p'><body>psst</body></message>")
                self.quiet()
                error = f"<error type='cancel' by='{real}' code='409'>{content}</error>"
                self.second.send(f"<message type='error' to='{ROOM}/thirdwitch' id='p'>{error}</message>")
                told = self.third.take()[0]
                self.assertEqual((told.kind, told.type), ("message", "error"))
                self.assertIn(conditionOf(told), ("gone", "redirect", "conflict"))
                self.assertEqual(real.encode() in told.raw, not anonymous, told.raw)
                self.assertEqual(b"urn:x" in told.raw, "urn:x" in content)
                self.assertNotIn(b" by=", told.raw)

    @spec("XEP-0045", "18.1.2")
    def test_remote(self) -> None:
        """Another server's service-unavailable says that the client is gone, unless it answers a private message."""
        self.all()
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>".encode())
        self.third.send(f"<message type='chat' to='{ROOM}/x' id='p'><body>psst</body></message>")
        self.quiet()
        error = f"<message type='error' from='x@example.net/y' to='{ROOM}/thirdwitch' id='{{}}'>{self.ERROR}</message>"
        self.rig.inject(error.format("p").encode())
        (told,) = self.third.take()
        self.assertEqual((told.type, told.sender, told.id), ("error", f"{ROOM}/x", "p"))
        self.assertEqual(len(self.room.seats), 4)
        self.rig.inject(error.format("m").encode())
        self.assertEqual(codes(self.third.take()[0]), {333})
