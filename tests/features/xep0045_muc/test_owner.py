"""
Making, configuring and destroying rooms (XEP-0045 section 10), and what is stored.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.doubles import FailingStore
from tests.features.xep0045_muc.base import (
    CONFIG,
    JOIN,
    OWNER,
    ROOM,
    SERVICE,
    Person,
    RoomCase,
    codes,
    conditionOf,
    item,
    kinds,
    userX,
)
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.xep0030_disco import feature as disco
from xmppd.features.xep0045_muc import feature as muc
from xmppd.features.xep0045_muc.affiliations import Affiliation
from xmppd.features.xep0045_muc.config import RoomConfig, configFrom
from xmppd.ixmppd import IRoomArchive, IRooms, StoreUnavailable
from xmppd.wire import forms
from xmppd.wire.jid import parse

STANZA_ID = "urn:xmpp:sid:0 stanza-id"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
EMPTY = f"<query xmlns='{OWNER}'/>"
CANCEL = f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='cancel'/></query>"
DESTROY = f"<query xmlns='{OWNER}'><destroy jid='heath@{SERVICE}'><password>pw</password><reason>Macbeth doth come.</reason></destroy></query>"


@implementer(IRoomArchive)
class FakeArchive:
    """An archive that only notes."""

    namespaces = ("urn:archive",)

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, Any, str]] = []
        self.disclosed: list[bool] = []
        self.authors: dict[str, str] = {}
        self.sweeps = 0
        self.retracted: list[str] = []
        self.forgotten: list[str] = []

    def allot(self, room: str, stanza: Any) -> str | None:
        """See L{IRoomArchive}."""
        return None if b"<composing" in stanza.raw else f"id{len(self.kept)}"

    def archive(self, room: str, id: str, stanza: Any, sender: str, disclosed: bool) -> None:
        """See L{IRoomArchive}."""
        self.kept.append((room, id, stanza, sender))
        self.disclosed.append(disclosed)

    def author(self, room: str, id: str) -> Any:
        """See L{IRoomArchive}."""
        return succeed(self.authors.get(id))

    def sweep(self) -> None:
        """See L{IRoomArchive}."""
        self.sweeps += 1

    def retract(self, room: str, id: str, mark: bytes) -> Any:
        """See L{IRoomArchive}."""
        self.retracted.append(id)
        return succeed(True)

    def forget(self, room: str) -> Any:
        """See L{IRoomArchive}."""
        self.forgotten.append(room)
        return succeed(None)


class CreationTests(RoomCase):
    """Section 10.1."""

    @spec("XEP-0045", "10.1.1", "7.2.11")
    def test_create(self) -> None:
        """Who enters first is the owner, and told so with 201."""
        own, _ = self.enter(self.first, "firstwitch")
        self.assertEqual((codes(own), item(own)["affiliation"], item(own)["role"]), ({110, 201}, "owner", "moderator"))
        self.assertTrue(self.room.locked)

    @spec("XEP-0045", "10.1.2")
    def test_instant(self) -> None:
        """An empty form accepts the defaults."""
        self.enter(self.first, "firstwitch")
        self.assertIsNone(self.first.result("set", self.form()))
        self.assertFalse(self.room.locked)
        self.assertEqual(self.first.take(), [])

    @spec("XEP-0045", "10.1.3", "10.2")
    def test_form(self) -> None:
        """The form has what holds now; submitted as it is, it changes nothing."""
        self.enter(self.first, "firstwitch")
        payload = self.first.result("get", EMPTY)
        assert payload is not None
        form = forms.formIn(payload)
        assert form is not None
        values = forms.values(form)
        self.assertEqual(values["FORM_TYPE"], (CONFIG,))
        self.assertEqual(values["muc#roomconfig_roomowners"], (self.first.bare,))
        self.assertEqual(values["muc#roomconfig_whois"], ("moderators",))
        self.assertNotIn("muc#roomconfig_enablelogging", values)
        before = self.room.config
        fields = "".join(f"<field var='{var}'>{''.join(f'<value>{v}</value>' for v in each)}</field>" for var, each in values.items())
        self.first.result("set", f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>")
        self.assertEqual(self.room.config, before)

    @spec("XEP-0500", "5.1")
    def test_slowField(self) -> None:
        """The field of slow mode says what it takes."""
        self.enter(self.first, "firstwitch")
        raw = self.first.ask("get", EMPTY).raw
        self.assertIn(b"datatype='xs:integer'><range min='0' max='86400'/></validate><value>0</value>", raw)

    @spec("XEP-0045", "10.1.3")
    def test_reserved(self) -> None:
        """A room is as it was configured."""
        self.enter(self.first, "firstwitch")
        self.configure(roomname="A Dark Cave", roomdesc="The place for all good witches!", moderatedroom="true", publicroom="0", maxusers="20", roomadmins=[self.second.bare, "x@example.net/y"])
        config = self.room.config
        self.assertEqual((config.name, config.moderated, config.public, config.maxUsers), ("A Dark Cave", True, False, 20))
        self.assertEqual(self.room.of(Affiliation.ADMIN), [self.second.bare, "x@example.net"])

    @spec("XEP-0045", "10.1.3")
    def test_cancel(self) -> None:
        """Who cancels the first configuration destroys the room."""
        self.enter(self.first, "firstwitch")
        self.first.result("set", CANCEL)
        (told,) = self.first.take()
        self.assertEqual((told.type, codes(told)), ("unavailable", {110}))
        self.assertIsNotNone(userX(told).find("destroy"))
        self.assertEqual(self.service.rooms, {})

    @spec("XEP-0045", "10.1.3")
    def test_leave(self) -> None:
        """So does who leaves before."""
        self.enter(self.first, "firstwitch")
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        (told,) = self.first.take()
        self.assertIsNotNone(userX(told).find("destroy"))
        self.assertEqual(self.service.rooms, {})

    @spec("XEP-0045", "10.1.1", "14.6")
    def test_timeout(self) -> None:
        """A room that is never configured goes."""
        self.enter(self.first, "firstwitch")
        self.rig.clock.advance(600)
        self.assertEqual(self.service.rooms, {})
        self.assertEqual(len(self.first.take()), 1)

    @spec("XEP-0045", "10.1.3")
    def test_bad(self) -> None:
        """bad-request for what no field holds, not-acceptable for what is not allowed; the room stays as it was."""
        self.enter(self.first, "firstwitch")
        cases = {
            "moderatedroom": ("maybe", "bad-request"),
            "publicroom": (["1", "0"], "bad-request"),
            "whois": ("nobody", "bad-request"),
            "maxusers": ("many", "bad-request"),
            "allowpm": ("x", "bad-request"),
            "presencebroadcast": (["owner"], "bad-request"),
            "muc#maxhistoryfetch": ("-1", "bad-request"),
            "slow_mode_duration": ("9" * 40, "not-acceptable"),
            "roomname": ("x" * 201, "not-acceptable"),
            "passwordprotectedroom": ("1", "not-acceptable"),
            "roomsecret": ("x" * 1001, "not-acceptable"),
            "roomadmins": (["@"], "jid-malformed"),
            "roomowners": ([], "conflict"),
        }
        for field, (value, condition) in cases.items():
            self.assertEqual(self.first.error("set", self.form(**{field: value})), condition, field)
            self.assertTrue(self.room.locked)
        self.assertEqual(self.first.error("set", self.form(maxusers="100000")), "not-acceptable")
        wrong = f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>x</value></field></x></query>"
        for payload in (wrong, EMPTY, f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='form'/></query>"):
            self.assertEqual(self.first.error("set", payload), "bad-request")
        self.first.result("set", self.form(**{"urn:unknown#field": "x"}))

    @spec("XEP-0045", "10.1.1", "7.2.17")
    def test_notIn(self) -> None:
        """Nothing is known of rooms that aren't there."""
        for type in ("get", "set"):
            self.assertEqual(self.first.error(type, EMPTY), "item-not-found")


class PolicyTests(RoomCase):
    """Who may make rooms, and how many."""

    options = {"rooms_per_user": 2, "rooms_max": 4}

    @spec("XEP-0045", "10.1.1", "7.2.17")
    def test_accounts(self) -> None:
        """By default those with an account here: not-allowed for guests and users of other servers."""
        guest = self.person("guest", guest=True)
        self.assertEqual(self.refused(guest, "g"), "not-allowed")
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'>{JOIN}</presence>".encode())
        self.assertEqual(conditionOf(self.elsewhere.take()[0]), "not-allowed")
        self.assertEqual(self.refused(self.first, "x", room=f"{'r' * 256}@{SERVICE}"), "not-allowed")
        self.assertEqual(self.service.rooms, {})

    @spec("XEP-0045", "14.6")
    def test_many(self) -> None:
        """resource-constraint beyond what one user, and all of them, may have."""
        for number in range(2):
            self.enter(self.first, "x", room=f"r{number}@{SERVICE}")
        self.assertEqual(self.refused(self.first, "x", room=f"r2@{SERVICE}"), "resource-constraint")
        for number in range(2):
            self.enter(self.second, "x", room=f"s{number}@{SERVICE}")
        self.assertEqual(self.refused(self.third, "x"), "resource-constraint")
        self.first.session.end()
        self.enter(self.third, "x")
        self.assertEqual(sorted(self.service.rooms), ["cave", "s0", "s1"])

    def test_everyone(self) -> None:
        """"everyone" means users of other servers, and guests if that is said."""
        other = self.rig.service(disco, muc, domain="all.example.org", create="everyone")
        guest = self.person("guest", guest=True)
        self.assertEqual(self.refused(guest, "g", room="x@all.example.org"), "not-allowed")
        self.rig.inject(f"<presence from='x@example.net/y' to='x@all.example.org/x'>{JOIN}</presence>".encode())
        self.assertEqual(other.rooms.names(), ["x@all.example.org"])  # type: ignore[union-attr]
        self.rig.service(disco, muc, domain="guests.example.org", create="everyone", guests_create=True)
        self.assertEqual(codes(self.enter(guest, "g", room="x@guests.example.org")[0]), {110, 201})
        answer = guest.ask("set", self.form(persistentroom="1"), "x@guests.example.org")
        self.assertEqual(conditionOf(answer), "not-acceptable")

    def test_admins(self) -> None:
        """"admins" means administrators of the host; they own every room."""
        self.rig.service(disco, muc, domain="few.example.org", create="admins")
        self.assertEqual(self.refused(self.first, "x", room="x@few.example.org"), "not-allowed")
        admin = self.person("admin")
        self.enter(admin, "a", room="x@few.example.org")
        self.found()
        self.assertEqual(item(self.enter(admin, "a")[-2]), {"affiliation": "owner", "role": "moderator", "jid": admin.full})
        self.assertEqual(conditionOf(self.setAffiliation(self.second, admin.bare, "outcast")), "not-allowed")
        admin.result("get", EMPTY)


class GuestTests(RoomCase):
    """Guests in rooms."""

    options = {"guest_role": "visitor"}

    def test_role(self) -> None:
        """What the option says; a moderator may give a voice."""
        self.all()
        guest = self.person("guest", guest=True)
        self.assertEqual(item(self.enter(guest, "g")[-2])["role"], "visitor")
        self.say(guest, "x")
        self.assertEqual(conditionOf(guest.take()[0]), "forbidden")
        self.setRole(self.first, "g", "participant")
        self.third.take()
        self.say(guest, "x")
        self.assertEqual(len(self.third.take()), 1)


class GuestVisitorTests(RoomCase):
    """A room whose guests may only listen."""

    @spec("mission", "A13")
    def test_configured(self) -> None:
        """An owner decides it; accounts speak as before, and so do guests who were given a voice."""
        self.all(**{"x-roomconfig_guestvisitors": "1"})
        guest, other = self.person("guest", guest=True), self.person("other")
        self.assertEqual(item(self.enter(guest, "g")[-2])["role"], "visitor")
        self.assertEqual(item(self.enter(other, "o")[-2])["role"], "participant")
        self.setRole(self.first, "g", "participant")
        self.third.take()
        self.say(guest, "x")
        self.assertEqual(len(self.third.take()), 1)


class ConfigurationTests(RoomCase):
    """Section 10.2."""

    @spec("XEP-0045", "10.2")
    def test_forbidden(self) -> None:
        """Only owners."""
        self.all()
        for who in (self.second, self.third, self.person("x")):
            for type, payload in (("get", EMPTY), ("set", self.form(roomname="x")), ("set", CANCEL), ("set", DESTROY)):
                self.assertEqual(who.error(type, payload), "forbidden")

    @spec("XEP-0045", "10.2")
    def test_cancel(self) -> None:
        """A later configuration that is cancelled changes nothing."""
        self.all()
        before = self.room.config
        self.first.result("set", CANCEL)
        self.assertIs(self.room.config, before)
        self.assertEqual(self.third.take(), [])

    @spec("XEP-0045", "10.2.1")
    def test_codes(self) -> None:
        """What is told of a change, by a message from the room that holds nothing else."""
        self.service.archive = FakeArchive()
        self.all(enablelogging="0")
        cases = [
            ({"whois": "anyone"}, {172}),
            ({"whois": "moderators"}, {173}),
            ({"enablelogging": "1"}, {170}),
            ({"enablelogging": "0"}, {171}),
            ({"enablelogging": "1", "whois": "anyone"}, {170, 172}),
            ({"roomname": "x"}, {104}),
            ({"slow_mode_duration": "3"}, {104}),
        ]
        for fields, expected in cases:
            self.configure(**fields)
            (told,) = self.third.take()
            self.assertEqual((told.kind, told.type, told.sender, codes(told)), ("message", "groupchat", ROOM, expected))
            self.assertEqual(len(told.childNames), 1)
        self.configure(roomname="x")
        self.assertEqual(self.third.take(), [])

    @spec("XEP-0045", "10.2")
    def test_membersOnly(self) -> None:
        """Who is no member is out, with 322 for all."""
        self.all()
        self.configure(membersonly="1")
        (own,) = self.third.take()
        self.assertEqual((own.type, codes(own)), ("unavailable", {322, 110}))
        gone, notice = self.second.take()
        self.assertEqual((gone.type, codes(gone), codes(notice)), ("unavailable", {322}, {104}))

    @spec("XEP-0045", "10.2")
    def test_people(self) -> None:
        """Admins and owners that the lists add or leave out are told to all."""
        self.all()
        self.configure(roomadmins=[self.third.bare])
        got = {each.sender: item(each) for each in self.first.take() if each.kind == "presence"}
        self.assertEqual(got[f"{ROOM}/secondwitch"]["affiliation"], "none")
        self.assertEqual(got[f"{ROOM}/secondwitch"]["role"], "participant")
        self.assertEqual(got[f"{ROOM}/thirdwitch"]["affiliation"], "admin")
        self.assertEqual(got[f"{ROOM}/thirdwitch"]["role"], "moderator")
        self.configure(roomowners=[self.third.bare], roomadmins=[self.first.bare])
        self.assertEqual(self.room.of(Affiliation.OWNER), [self.third.bare])
        self.assertEqual(self.room.of(Affiliation.ADMIN), [self.first.bare])
        self.assertEqual(self.third.error("set", self.form(roomowners=[])), "conflict")

    def test_unmoderated(self) -> None:
        """Visitors get a voice when the room isn't moderated any more."""
        self.all(moderatedroom="1")
        self.configure(moderatedroom="0")
        self.assertEqual(item(self.third.take()[0])["role"], "participant")


class ArchiveTests(RoomCase):
    """What the archive gets, and who is warned (sections 7.2.12, 14.3)."""

    def setUp(self) -> None:
        super().setUp()
        self.service.archive = self.archive = FakeArchive()
        verifyObject(IRoomArchive, self.archive)

    @spec("XEP-0045", "7.2.12")
    def test_warned(self) -> None:
        """170 for who enters."""
        self.found()
        self.assertEqual(codes(self.enter(self.third, "t")[1]), {170, 110})
        self.configure(enablelogging="0")
        self.assertEqual(codes(self.enter(self.person("x"), "x")[2]), {110})

    def test_kept(self) -> None:
        """Each message once, as it was given to everybody, with the archive's id; and retractions."""
        self.all()
        self.say(self.third, "x")
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject>s</subject></message>")
        (room, id, stanza, sender), (_, subject, _, _) = self.archive.kept
        self.assertEqual((room, id, sender, stanza.sender, stanza.to), (ROOM, "id0", self.third.bare, f"{ROOM}/thirdwitch", None))
        self.assertEqual(subject, "id1")
        self.assertIn(b"id='id0'", self.first.take()[0].raw)
        payload = "<moderate xmlns='urn:xmpp:message-moderate:1' id='old'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
        self.first.result("set", payload)
        self.assertEqual((self.archive.retracted, len(self.archive.kept)), (["old"], 3))
        del self.archive.forgotten[:]
        self.first.result("set", DESTROY)
        self.assertEqual(self.archive.forgotten, [ROOM])

    @spec("XEP-0313", "3.5")
    def test_noStanzaId(self) -> None:
        """What isn't archived has no stanza id, and what is has one; the room says whether real JIDs were visible."""
        self.all()
        self.third.send(f"<message type='groupchat' to='{ROOM}'>{COMPOSING}</message>")
        self.say(self.third, "y")
        self.configure(whois="anyone")
        self.say(self.third, "z")
        told = [STANZA_ID in each.childNames for each in self.first.take() if each.kind == "message"]
        self.assertEqual(told, [False, True, False, True])
        self.assertEqual(self.archive.disclosed, [False, True])

    @spec("XEP-0425", "3")
    def test_rankByArchive(self) -> None:
        """Who stands above a moderator is above him also when only the archive knows who said something."""
        self.all()
        self.setRole(self.first, "thirdwitch", "moderator")
        payload = "<moderate xmlns='urn:xmpp:message-moderate:1' id='old'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
        for author, refusal in ((self.first.bare, "not-allowed"), (self.second.bare, "not-allowed"), ("", None), (self.third.bare, None)):
            self.archive.authors["old"] = author
            answer = self.third.ask("set", payload)
            self.assertEqual(conditionOf(answer) if answer.type == "error" else None, refusal)
        self.assertEqual(self.archive.retracted, ["old", "old"])

    def test_earlierRoom(self) -> None:
        """What an earlier room of the name left, since the server ended before it, is for nobody who makes a new one."""
        self.enter(self.first, "firstwitch")
        refusal = self.service.mayRead(ROOM, self.first.session.jid)
        self.assertEqual(refusal.condition if refusal is not None else None, "forbidden")
        self.assertEqual(self.archive.forgotten, [])
        self.configure()
        self.assertEqual(self.archive.forgotten, [ROOM])
        self.assertIsNone(self.service.mayRead(ROOM, self.first.session.jid))
        self.configure(roomname="x")
        self.assertEqual(self.archive.forgotten, [ROOM])

    def test_earlierRoomStays(self) -> None:
        """A room whose name's archive can't be forgotten stays locked."""
        self.enter(self.first, "firstwitch")
        self.patch(self.archive, "forget", lambda room: fail(StoreUnavailable()))
        self.assertEqual(self.first.error("set", self.form()), "resource-constraint")
        self.assertTrue(self.room.locked)


class DestroyTests(RoomCase):
    """Section 10.9."""

    @spec("XEP-0045", "10.9")
    def test_destroy(self) -> None:
        """Everybody gets one presence with the alternate venue, and the room is gone."""
        self.all()
        self.assertIsNone(self.first.result("set", DESTROY))
        for who in (self.first, self.second, self.third):
            (told,) = who.take()
            self.assertEqual((told.type, item(told)), ("unavailable", {"affiliation": "none", "role": "none"}))
            destroy = userX(told).find("destroy")
            assert destroy is not None
            self.assertEqual((destroy.get("jid"), destroy.textOf("password"), destroy.textOf("reason")), (f"heath@{SERVICE}", "pw", "Macbeth doth come."))
        self.assertEqual(self.service.rooms, {})
        self.say(self.third, "x")
        self.assertEqual(conditionOf(self.third.take()[0]), "item-not-found")

    def test_badVenue(self) -> None:
        """jid-malformed, and nothing happens."""
        self.all()
        self.assertEqual(self.first.error("set", f"<query xmlns='{OWNER}'><destroy jid='@'/></query>"), "jid-malformed")
        self.assertEqual(len(self.room.seats), 3)

    @spec("XEP-0045", "11.2")
    def test_shutdown(self) -> None:
        """When the service stops, each occupant hears 332 once."""
        self.all()
        self.host.hooks.stopping.notify()
        for who in (self.first, self.second, self.third):
            (told,) = who.take()
            self.assertEqual((told.type, codes(told)), ("unavailable", {332, 110}))


class StoredTests(RoomCase):
    """Rooms that outlive the server."""

    def setUp(self) -> None:
        super().setUp()
        self.all(persistentroom="1", roomname="A Dark Cave", membersonly="0")
        payload = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' jid='{}' nick='hag'/></query>"
        self.first.result("set", payload.format(self.third.bare))
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject>Spells</subject></message>")
        self.first.result("set", "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>YQ==</BINVAL></PHOTO></vCard>")
        self.quiet()

    def restarted(self) -> Any:
        """The same store under a new service."""
        self.rig.router.removeDestination(self.host)
        host = self.rig.service(disco, muc, domain=SERVICE)
        return host.rooms.rooms  # type: ignore[union-attr]

    @spec("XEP-0045", "4.2", "7.14")
    def test_stays(self) -> None:
        """A persistent room stays when everybody has left."""
        for who in (self.first, self.second, self.third):
            who.session.end()
        self.assertEqual(self.room.occupants, {})

    @spec("XEP-0045", "4.2", "5.2")
    def test_restart(self) -> None:
        """Configuration, affiliations, nicknames, subject and avatar come back."""
        room = self.restarted()["cave"]
        self.assertEqual((room.config, room.subjectText, room.nicks), (self.room.config, "Spells", {self.third.bare: "hag"}))
        self.assertEqual(room.affiliations, self.room.affiliations)
        self.assertEqual(room.avatars, ("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",))
        self.assertFalse(room.locked)

    def test_changes(self) -> None:
        """So do later changes."""
        self.affiliate("x@example.net", "outcast")
        self.affiliate(self.third, "none")
        self.configure(roomname="Heath", roomowners=[self.first.bare, "y@example.net"])
        room = self.restarted()["cave"]
        self.assertEqual((room.config.name, room.nicks), ("Heath", {}))
        expected = {self.first.bare: "owner", "y@example.net": "owner", self.second.bare: "admin", "x@example.net": "outcast"}
        self.assertEqual(room.affiliations, expected)

    def test_temporary(self) -> None:
        """What becomes temporary leaves nothing behind, and keeps what it is while it lasts."""
        self.configure(persistentroom="0")
        self.assertEqual(self.successResultOf(self.rig.store.facts.kinds(ROOM)), {})
        self.assertIn(b"YQ==", self.third.ask("get", "<vCard xmlns='vcard-temp'/>").raw)
        self.configure(persistentroom="1")
        self.assertEqual(self.restarted()["cave"].affiliations, self.room.affiliations)

    def test_destroyed(self) -> None:
        """What is destroyed is gone from the store as well."""
        self.first.result("set", DESTROY)
        self.assertEqual(self.successResultOf(self.rig.store.facts.kinds(ROOM)), {})
        self.assertEqual(self.restarted(), {})

    def test_accountGone(self) -> None:
        """Of an account that is gone no room knows anything."""
        self.host.hooks.removed.notify(self.third.bare)
        self.assertNotIn(self.third.bare, self.room.affiliations)
        self.assertEqual((self.room.nicks, self.restarted()["cave"].nicks), ({}, {}))

    def test_unreadable(self) -> None:
        """Facts that can't be read are complained of and don't keep the service from starting."""
        facts = self.rig.store.facts
        facts.put(SERVICE, "room", "bad", b"[]")
        facts.put(SERVICE, "room", "worse", b"\xff")
        facts.put(ROOM, "room-affiliation", "z@example.net", b"{}")
        facts.put(ROOM, "room-subject", "", b"x")
        facts.put(ROOM, "room-vcard", "", b"<")
        self.assertEqual(list(self.restarted()), ["cave"])
        self.flushLoggedErrors()

    def test_storeFails(self) -> None:
        """wait/resource-constraint, and nothing has changed; nor has it if the answer comes late."""
        store = FailingStore(self.rig.store)
        self.service.storage._facts = store.facts
        store.failWrites = True
        for payload in (self.form(roomname="x"), DESTROY):
            self.assertEqual(self.first.error("set", payload), "resource-constraint")
        self.assertEqual(conditionOf(self.setAffiliation(self.first, "x@example.net", "member")), "resource-constraint")
        self.assertEqual(self.room.config.name, "A Dark Cave")
        self.assertIs(self.room.affiliationOf("x@example.net"), Affiliation.NONE)
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject>Brews</subject></message>")
        self.assertEqual(self.room.subjectText, "Brews")

    def test_order(self) -> None:
        """Changes that come while another is being stored wait for it, and see what it has done."""
        store = FailingStore(self.rig.store)
        self.service.storage._facts = store.facts
        store.holding = True
        admin = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{}' jid='{}'/></query>"
        self.first.send(f"<iq type='set' id='1' to='{ROOM}'>{admin.format('owner', self.second.bare)}</iq>")
        self.first.send(f"<iq type='set' id='2' to='{ROOM}'>{admin.format('member', self.first.bare)}</iq>")
        self.second.send(f"<iq type='set' id='3' to='{ROOM}'>{admin.format('member', self.second.bare)}</iq>")
        self.assertEqual(self.first.take(), [])
        store.proceed()
        self.assertEqual([each.type for each in self.first.take() if each.kind == "iq"], ["result", "result"])
        (last,) = (each for each in self.second.take() if each.kind == "iq")
        self.assertEqual(conditionOf(last), "conflict")


class AvatarTests(RoomCase):
    """XEP-0486."""

    CARD = "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>YQ==</BINVAL></PHOTO><PHOTO><BINVAL>Yg==</BINVAL></PHOTO></vCard>"

    @spec("XEP-0486", "3.2", "3.3", "3.4", "5.1")
    def test_set(self) -> None:
        """Owners set it, all hear 104, everybody finds the hashes and gets the card; an empty one takes it away."""
        self.all()
        self.first.result("set", self.CARD)
        self.assertEqual(codes(self.third.take()[0]), {104})
        stranger = self.person("x")
        info = stranger.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>").raw
        self.assertIn(b"<value>86f7e437faa5a7fce15d1ddcb9eaeaea377667b8</value><value>e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98</value>", info)
        self.assertIn(b"YQ==", stranger.ask("get", "<vCard xmlns='vcard-temp'/>").raw)
        self.first.result("set", "<vCard xmlns='vcard-temp'/>")
        self.assertNotIn(b"avatarhash", stranger.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>").raw)
        card = stranger.result("get", "<vCard xmlns='vcard-temp'/>")
        self.assertEqual(card.children, ())  # type: ignore[union-attr]

    @spec("XEP-0486", "3.2", "6")
    def test_refused(self) -> None:
        """forbidden, bad-request, policy-violation."""
        self.all()
        self.assertEqual(self.second.error("set", self.CARD), "forbidden")
        self.assertEqual(self.first.error("set", "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>?</BINVAL></PHOTO></vCard>"), "bad-request")
        many = "<PHOTO><BINVAL>YQ==</BINVAL></PHOTO>" * 9
        self.assertEqual(self.first.error("set", f"<vCard xmlns='vcard-temp'>{many}</vCard>"), "policy-violation")
        self.host.limits = Limits(vcardBytes=100)
        self.assertEqual(self.first.error("set", self.CARD), "policy-violation")
        self.assertEqual(self.third.take(), [])


class RoomsTests(RoomCase):
    """What administrators and other features see (L{IRooms})."""

    def test_interface(self) -> None:
        """It is provided."""
        verifyObject(IRooms, self.service)

    def test_info(self) -> None:
        """Names and facts; the password stays a secret."""
        self.all()
        self.configure(roomsecret="pst")
        self.assertEqual(self.service.names(), [ROOM])
        info = self.service.info(ROOM)
        assert info is not None
        self.assertEqual((info["jid"], info["occupants"], info["config"]["password"]), (ROOM, 3, True))
        self.assertEqual(info["affiliations"], {self.first.bare: "owner", self.second.bare: "admin"})
        for other in ("x", "@", f"x@{SERVICE}", "cave@example.org"):
            self.assertIsNone(self.service.info(other))

    def test_change(self) -> None:
        """Affiliations and destruction."""
        self.all()
        self.successResultOf(self.service.setAffiliation(ROOM, self.third.full, "outcast"))
        self.assertEqual(codes(self.third.take()[0]), {301, 110})
        for room, jid, affiliation, condition in (
            (ROOM, "x@example.net", "king", "bad-request"), (ROOM, "@", "member", "jid-malformed"),
            (f"x@{SERVICE}", "x@example.net", "member", "item-not-found"), (ROOM, self.first.bare, "none", "conflict"),
        ):
            failure: Any = self.failureResultOf(self.service.setAffiliation(room, jid, affiliation))
            self.assertEqual(failure.value.condition, condition)
        self.successResultOf(self.service.destroy(ROOM, reason="over"))
        self.assertEqual(kinds(self.second.take())[-1][1], "unavailable")
        failure = self.failureResultOf(self.service.destroy(ROOM))
        self.assertEqual(failure.value.condition, "item-not-found")

    def test_reading(self) -> None:
        """Who may read what was said, and who may know who said it."""
        self.all()

        def may(who: Person | str) -> bool:
            return self.service.mayRead(ROOM, parse(who if isinstance(who, str) else who.full)) is None

        self.assertTrue(may(self.third) and may("x@example.net"))
        self.configure(membersonly="0", roomsecret="x", passwordprotectedroom="1")
        self.assertTrue(may(self.third) and may(self.second) and not may("x@example.net"))
        self.affiliate(self.third, "outcast")
        self.assertFalse(may(self.third) or self.service.mayRead("x@y", parse("a@b")) is None)
        for disclosed in (False, True):
            self.assertTrue(self.service.seesJIDs(ROOM, parse(self.second.full), disclosed))
            self.assertFalse(self.service.seesJIDs(ROOM, parse(self.third.full), disclosed))
        self.configure(whois="anyone")
        self.assertFalse(self.service.seesJIDs(ROOM, parse(self.third.full), False))
        self.assertTrue(self.service.seesJIDs(ROOM, parse(self.third.full), True))
        self.assertFalse(self.service.isArchived(ROOM) or self.service.isArchived("x"))

    def test_config(self) -> None:
        """A configuration survives the store; what isn't one is refused."""
        config = RoomConfig(name="x", broadcast=("moderator",), slowMode=3)
        self.assertEqual(configFrom(config.toBytes(), RoomConfig()), config)
        self.assertEqual(configFrom(b'{"later": 1}', RoomConfig(name="y")).name, "y")
        for bad in (b"[]", b"x", b'{"name": 1}'):
            self.assertRaises(ValueError, configFrom, bad, RoomConfig())
