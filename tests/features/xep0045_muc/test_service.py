"""
Discovery (XEP-0045 section 6), what a busy room costs, and the whole server with rooms.
"""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.features.xep0045_muc.base import ADMIN, JOIN, ROOM, SERVICE, RoomCase, codes
from tests.marks import spec
from xmppd.features.xep0045_muc import service
from xmppd.features.xep0045_muc.encoding import Fan, honest, made, starts
from xmppd.features.xep0045_muc.options import OPTIONS
from xmppd.features.xep0045_muc.pace import FORGOTTEN, Pace, SlowMode
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import fromBytes

INFO = f"<query xmlns='{ns.DISCO_INFO}'/>"
ITEMS = f"<query xmlns='{ns.DISCO_ITEMS}'/>"


class DiscoveryTests(RoomCase):
    """What can be found."""

    def features(self, to: str) -> set[str]:
        """The features of an entity."""
        payload = self.third.result("get", INFO, to)
        assert payload is not None
        return {each.attrs["var"] for each in payload.elements("feature")}

    @spec("XEP-0045", "6.1", "6.2")
    def test_service(self) -> None:
        """The host lists it; it says what it is."""
        items = self.third.result("get", ITEMS, "example.org")
        self.assertIn(SERVICE, [each.get("jid") for each in items.elements()])  # type: ignore[union-attr]
        info = self.third.result("get", INFO, SERVICE)
        (identity,) = info.elements("identity")  # type: ignore[union-attr]
        self.assertEqual((identity.get("category"), identity.get("type"), identity.get("name")), ("conference", "text", "Chat rooms"))
        self.assertLessEqual({ns.MUC, f"{ns.MUC}#stable_id", "urn:xmpp:occupant-id:0", "vcard-temp"}, self.features(SERVICE))

    @spec("XEP-0045", "6.4", "16.3")
    @spec("XEP-0410", "3.3")
    @spec("XEP-0421", "2")
    @spec("XEP-0425", "2")
    def test_room(self) -> None:
        """A room says what kind it is."""
        self.found(roomname="A Dark Cave", roomdesc="Dark", lang="en", slow_mode_duration="20")
        info = self.third.result("get", INFO)
        assert info is not None
        (identity,) = info.elements("identity")
        self.assertEqual(identity.get("name"), "A Dark Cave")
        expected = {"muc_unsecured", "muc_public", "muc_temporary", "muc_open", "muc_unmoderated", "muc_semianonymous"}
        expected |= {f"{ns.MUC}#self-ping-optimization", "urn:xmpp:occupant-id:0", "urn:xmpp:message-moderate:1", ns.STANZA_ID, ns.REGISTER}
        self.assertLessEqual(expected, self.features(ROOM))
        form = forms.formIn(info)
        assert form is not None
        values = forms.values(form)
        self.assertEqual(values["FORM_TYPE"], ("http://jabber.org/protocol/muc#roominfo",))
        self.assertEqual((values["muc#roominfo_description"], values["muc#roominfo_occupants"]), (("Dark",), ("1",)))
        self.assertEqual((values["muc#roominfo_lang"], values["muc#roominfo_slow_mode_duration"]), (("en",), ("20",)))
        self.configure(publicroom="0", persistentroom="1", membersonly="1", moderatedroom="1", whois="anyone", roomsecret="x")
        expected = {"muc_passwordprotected", "muc_hidden", "muc_persistent", "muc_membersonly", "muc_moderated", "muc_nonanonymous"}
        self.assertLessEqual(expected, self.features(ROOM))

    @spec("XEP-0045", "14.4")
    def test_subject(self) -> None:
        """The subject is told only where anybody could read it."""
        self.found()
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject>Spells</subject></message>")
        self.assertIn(b"Spells", self.third.ask("get", INFO).raw)
        self.configure(membersonly="1")
        self.assertNotIn(b"Spells", self.third.ask("get", INFO).raw)

    @spec("XEP-0045", "6.5", "14.4")
    def test_occupants(self) -> None:
        """Who is in isn't told."""
        self.found()
        payload = self.third.result("get", ITEMS)
        self.assertEqual(payload.children, ())  # type: ignore[union-attr]

    @spec("XEP-0045", "18.1.1", "16.4")
    def test_nodes(self) -> None:
        """Everything may pass; other nodes are unknown."""
        self.found()
        self.assertEqual(self.third.error("get", f"<query xmlns='{ns.DISCO_INFO}' node='{ns.MUC}#traffic'/>"), "service-unavailable")
        self.assertEqual(self.third.error("get", f"<query xmlns='{ns.DISCO_INFO}' node='x'/>"), "item-not-found")
        self.assertEqual(self.third.error("get", INFO, f"x@{SERVICE}"), "item-not-found")

    @spec("XEP-0045", "6.3")
    @spec("XEP-0059", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6")
    def test_listing(self) -> None:
        """Public rooms, in pages."""
        for letter in "abcde":
            room = f"{letter}@{SERVICE}"
            self.enter(self.first, "x", room=room)
            self.first.result("set", self.form(roomname=letter.upper(), publicroom="0" if letter == "c" else "1"), room)
        self.enter(self.first, "x", room=f"locked@{SERVICE}")

        def page(inside: str | None) -> tuple[str, dict[str, str], str | None]:
            set = "" if inside is None else f"<set xmlns='{ns.RESULT_SET}'>{inside}</set>"
            payload = self.third.result("get", f"<query xmlns='{ns.DISCO_ITEMS}'>{set}</query>", SERVICE)
            assert isinstance(payload, Element)
            found = payload.find("set", ns.RESULT_SET)
            shown = "".join(each.attrs["name"] for each in payload.elements("item"))
            if found is None:
                return shown, {}, None
            first = found.find("first")
            rest = {each.name: each.text for each in found.elements()}
            return shown, rest, first.get("index") if first is not None else None

        def jid(letter: str) -> str:
            return f"{letter}@{SERVICE}"

        self.assertEqual(page(None), ("ABDE", {}, None))
        whole = {"first": jid("a"), "last": jid("b"), "count": "4"}
        self.assertEqual(page("<max>2</max>"), ("AB", whole, "0"))
        self.assertEqual(page(f"<max>2</max><after>{jid('b')}</after>")[0], "DE")
        self.assertEqual(page(f"<max>2</max><after>{jid('c')}</after>")[0], "DE")
        self.assertEqual(page(f"<max>2</max><before>{jid('d')}</before>")[0], "AB")
        self.assertEqual(page("<max>3</max><before/>")[0], "BDE")
        self.assertEqual(page("<max>1</max><index>2</index>")[0], "D")
        self.assertEqual(page("<max>0</max>"), ("", {"count": "4"}, None))
        self.assertEqual(page(f"<after>{jid('e')}</after>"), ("", {"count": "4"}, None))
        bad = f"<query xmlns='{ns.DISCO_ITEMS}'><set xmlns='{ns.RESULT_SET}'><max>x</max></set></query>"
        self.assertEqual(self.third.error("get", bad, SERVICE), "bad-request")

    def test_domain(self) -> None:
        """The domain itself takes no messages, and ignores presence."""
        self.third.send(f"<message to='{SERVICE}'><body>x</body></message>")
        self.assertEqual(self.third.take()[0].type, "error")
        self.third.send(f"<presence to='{SERVICE}'/>")
        self.assertEqual(self.third.take(), [])


class CostTests(RoomCase):
    """What a room of many costs."""

    options = {"history_messages": 0}

    def test_entering(self) -> None:
        """Entering costs each occupant one stanza, and who enters one for each; nothing more (linear work)."""
        self.found()
        self.third.take()
        people = [self.person(f"u{number}") for number in range(40)]
        counts = []
        for number, who in enumerate(people):
            before = len(self.first.stream.received)
            got = len(self.enter(who, f"n{number}"))
            counts.append((got, len(self.first.stream.received) - before))
        self.assertEqual(counts, [(number + 3, 1) for number in range(40)])

    def test_encodings(self) -> None:
        """A message is encoded once; presence once for each audience."""
        self.all()
        for number in range(20):
            self.enter(self.person(f"u{number}"), f"n{number}")
        made: list[object] = []
        original = Fan.__init__

        def counted(fan: Fan, stanza: object) -> None:
            made.append(stanza)
            original(fan, stanza)  # type: ignore[arg-type]

        self.patch(Fan, "__init__", counted)
        self.say(self.third, "x")
        self.assertEqual(len(made), 1)
        made.clear()
        self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>away</show></presence>")
        self.assertEqual(len(made), 3)
        made.clear()
        self.enter(self.person("last"), "last")
        self.assertLessEqual(len(made), 22 + 1 + 4)  # of those nobody has seen so far; its own for three audiences; the subject

    def test_whoEndsMeanwhile(self) -> None:
        """Somebody whose session ends while a message is given out disturbs nobody."""
        self.all()
        stream = self.second.stream
        stream.transmit = lambda stanza: self.second.session.end()  # type: ignore[method-assign]
        self.say(self.third, "x")
        self.assertEqual([each.kind for each in self.first.take()], ["message", "presence"])
        self.assertEqual(sorted(each.kind for each in self.third.take()), ["message", "presence"])
        self.assertEqual(len(self.room.seats), 2)


class TurnTests(RoomCase):
    """A change that concerns many occupants is told in several turns; who has to go is out at once."""

    options = {"presence_per_minute": 0}

    def crowd(self, **config: str) -> None:
        """A room with more than fits into a turn."""
        self.patch(service, "TOLD_AT_ONCE", 20)
        self.found(**config)
        self.people = [self.person(f"p{number}") for number in range(10)]
        for number, each in enumerate(self.people):
            self.enter(each, f"n{number}")
        self.first.take()

    def turns(self) -> list[int]:
        """How much presence the first witch gets in each turn."""
        clock, counts = self.rig.clock, [self.shown()]
        while clock.calls and clock.calls[0].getTime() <= clock.seconds():
            call = clock.calls.pop(0)
            call.called = 1
            call.func(*call.args, **call.kw)
            counts.append(self.shown())
        return counts

    def shown(self) -> int:
        """How much presence the first witch has got."""
        return sum(each.kind == "presence" for each in self.first.take())

    def test_membersOnly(self) -> None:
        """Non-members are out before the others are told."""
        self.crowd()
        self.configure(membersonly="1")
        self.assertEqual(len(self.room.seats), 1)
        self.assertEqual(sum(self.turns()), 10)

    def test_voices(self) -> None:
        """Everybody may speak at once, and all hear of it."""
        self.crowd(moderatedroom="1")
        self.configure(moderatedroom="0")
        self.assertEqual({each.role for each in self.room.occupants.values()}, {"moderator", "participant"})
        counts = self.turns()
        self.assertEqual(sum(counts), 10)
        self.assertLessEqual(max(counts), 2)
        for each in self.people:
            self.assertEqual(codes(each.take()[-1]), {104})

    def test_broadcast(self) -> None:
        """Who leaves meanwhile isn't shown any more."""
        self.crowd(presencebroadcast="moderator")
        self.configure(presencebroadcast=["moderator", "participant"])
        last = self.people[-1]
        last.send(f"<presence to='{ROOM}/n9' type='unavailable'/>")
        self.assertEqual(sum(self.turns()), 9)

    def test_kicked(self) -> None:
        """Whoever is kicked with many others is out before the others are told."""
        self.crowd()
        items = "".join(f"<item nick='n{number}' role='none'/>" for number in range(9))
        self.first.send(f"<iq type='set' id='k' to='{ROOM}'><query xmlns='{ADMIN}'>{items}</query></iq>")
        self.assertEqual(len(self.room.seats), 2)
        counts = self.turns()
        self.assertEqual(sum(counts), 9)

    def test_roles(self) -> None:
        """Many roles changed at once are told a few in a turn."""
        self.crowd()
        items = "".join(f"<item nick='n{number}' role='visitor'/>" for number in range(9))
        self.first.send(f"<iq type='set' id='k' to='{ROOM}'><query xmlns='{ADMIN}'>{items}</query></iq>")
        counts = self.turns()
        self.assertEqual(sum(counts), 9)
        self.assertLessEqual(max(counts), 2)

    def test_domain(self) -> None:
        """All users of a banned domain are out before the others are told."""
        self.crowd()
        for occupant in self.room.occupants.values():
            if occupant.nick.startswith("n"):
                occupant.bare = f"{occupant.nick}@example.net"
        self.affiliate("example.net", "outcast")
        self.assertEqual(len(self.room.seats), 1)
        self.assertEqual(sum(self.turns()), 10)


class BytesTests(SynchronousTestCase):
    """The bytes that go out."""

    def test_prefixes(self) -> None:
        """Prefixes that a stanza's start tag binds are carried over; odd characters in addresses are escaped."""
        rig = Rig()
        session, _ = rig.bind("a@example.org/it's & <that>")
        raw = b"<message from='x@y/z' xmlns:p='urn:p' xml:lang='de' p:a='1'><p:b>c</p:b></message>"
        fan = Fan(honest(fromBytes(raw), ROOM).addressed({"from": f"{ROOM}/it's"}).extended(b"<a xmlns='u'/>", ("u a",)))
        stanza = fan.to(session.full, starts(session.full))
        again = fromBytes(stanza.raw)
        self.assertEqual((again.to, again.sender, again.childNames), (session.full, f"{ROOM}/it's", ["urn:p b", "u a"]))
        self.assertEqual(again.attrs, stanza.attrs)

    def test_made(self) -> None:
        """Attributes that are None are left out."""
        self.assertEqual(made("presence", {"a": None, "type": "x"}, b"", ()).raw, b"<presence type='x'/>")

    def test_cuts(self) -> None:
        """Whatever of it is forged, and in which order, only the honest elements stay."""
        parts = {
            f"<stanza-id xmlns='{ns.STANZA_ID}' by='{ROOM}' id='f'/>": False,
            f"<stanza-id xmlns='{ns.STANZA_ID}' id='h'/>": True,
            f"<stanza-id xmlns='{ns.STANZA_ID}' by='@' id='h'/>": True,
            "<p:x xmlns:p='http://jabber.org/protocol/muc#user'>f</p:x>": False,
            f"<delay xmlns='{ns.DELAY}' from='{SERVICE}' stamp='f'/>": False,
            f"<warning xmlns='{ns.NAMES}' jid='f'/>": False,
            "<body>h</body>": True,
        }
        for order in itertools.permutations(parts):
            stanza = fromBytes(f"<message from='a@b/c'>{''.join(order)}</message>".encode())
            clean = honest(stanza, ROOM)
            self.assertEqual(len(clean.childNames), 3)
            self.assertEqual(fromBytes(clean.raw).childNames, list(clean.childNames))
            self.assertNotIn(b"'f'", clean.raw)
            self.assertNotIn(b">f<", clean.raw)


class PaceTests(SynchronousTestCase):
    """Counting."""

    def test_forgets(self) -> None:
        """Users who have been quiet are forgotten; the others aren't."""
        pace = Pace(60)
        for number in range(FORGOTTEN):
            pace.spend(str(number), 0.0)
        for number in range(10):
            pace.spend(f"x{number}", 10.0)
        self.assertEqual(len(pace._left), 10)
        self.assertTrue(all(Pace(0).spend("x", 0) for _ in range(1000)))

    def test_slow(self) -> None:
        """So it is with slow mode."""
        slow = SlowMode()
        for number in range(FORGOTTEN + 1):
            slow.check(str(number), number / 100, 5)
        self.assertLessEqual(len(slow._spoken), 501)
        self.assertRaises(StanzaError, slow.check, str(FORGOTTEN), 11.0, 5)

    def test_options(self) -> None:
        """Each option's default passes its own check."""
        for key, option in OPTIONS.items():
            self.assertTrue(option.check is None or option.check(option.default) is None, key)
            self.assertTrue(option.about.endswith("."))


class JoinedTests(RoomCase):
    """What joins besides."""

    def test_join(self) -> None:
        """A second entry with other words of the same JID is the same seat."""
        self.found()
        self.enter(self.third, "t")
        self.third.send(f"<presence to='CAVE@ROOMS.example.org/t'>{JOIN}</presence>")
        self.assertEqual(len(self.room.seats), 2)
        own = next(each for each in self.third.take() if each.sender == f"{ROOM}/t")
        self.assertEqual(codes(own), {110})


class MentionTests(RoomCase):
    """Which rooms know something of a user is known, and no more."""

    def test_mentions(self) -> None:
        """It follows affiliations, voices and registrations, and ends with the room."""
        self.all()
        self.assertEqual(self.service._mentioned, {self.first.bare: {"cave"}, self.second.bare: {"cave"}})
        self.affiliate(self.third, "member")
        self.setRole(self.first, "thirdwitch", "visitor")
        self.affiliate("x@example.net", "outcast")
        self.affiliate("x@example.net", "none")
        self.room.wait("y@example.net", {})
        self.assertEqual(len(self.service._mentioned), 4)
        self.room.unwait("y@example.net")
        self.service.forgetUser(self.third.bare)
        self.assertEqual(self.service._mentioned, {self.first.bare: {"cave"}, self.second.bare: {"cave"}})
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual(self.service._mentioned, {})

    def test_creator(self) -> None:
        """Who made a room that others own is forgotten with the account, in the store, too; others can't inherit that."""
        self.found(persistentroom=1)
        self.affiliate(self.second, "owner")
        self.affiliate(self.first, "none", self.second)
        self.service.forgetUser(self.first.bare)
        self.assertEqual((self.room.config.creator, self.service._created), ("", {"": 1}))
        kept = self.successResultOf(self.host.facts.get(SERVICE, "room", "cave"))
        self.assertNotIn(self.first.bare.encode(), kept)
        self.assertEqual(self.service._mentioned, {self.second.bare: {"cave"}})
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual(self.service._created, {})

    def test_voices(self) -> None:
        """Only so many roles are remembered."""
        self.found()
        occupant = self.room.occupants["firstwitch"]
        for number in range(1100):
            occupant.bare = f"{number}@example.net"
            self.room.remember(occupant)
        self.assertEqual(len(self.room.voices), 1000)
        self.assertEqual(len(self.service._mentioned), 1002)
