"""
Tests of what rooms keep of people: what is left when an account is removed, what a crash leaves, and what happens to a
room while something of it is being stored.
"""

from __future__ import annotations

from tests.doubles import FailingStore, Rig
from tests.features.rfc6121_im.base import Elsewhere
from tests.features.xep0045_muc.base import ROOM, SERVICE, Person, RoomCase, conditionOf, item
from tests.marks import spec
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0030_disco import feature as disco
from xmppd.features.xep0045_muc import feature as muc
from xmppd.features.xep0045_muc import storage
from xmppd.features.xep0045_muc.service import Service
from xmppd.features.xep0199_ping import feature as ping
from xmppd.features.xep0313_archive import feature as archive
from xmppd.ixmppd import ABOUT, ArchivedMessage, ArchiveQuery
from xmppd.wire import ns
from xmppd.wire.stanza import Stanza

OCCUPANT = "urn:xmpp:occupant-id:0 occupant-id"
RETRACTION = "urn:xmpp:message-retract:1"
MODERATION = "urn:xmpp:message-moderate:1"


class ArchivedCase(RoomCase):
    """The cave has an archive, in a store that can be made to wait."""

    def setUp(self) -> None:
        self.store = FailingStore()
        self.rig = Rig(im, disco, store=self.store)
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere
        self.start()
        self.first = self.person("crone1", "desktop")
        self.second = self.person("wiccarocks", "laptop")
        self.third = self.person("hag66", "pda")

    def start(self) -> None:
        """The service starts, once more if it has been there."""
        self.rig.router.destinations.pop(SERVICE, None)
        self.host = self.rig.service(disco, ping, muc, archive, domain=SERVICE, retention_days=0, page=50, most=50, **self.options)
        assert isinstance(self.host.rooms, Service)
        self.service = self.host.rooms
        self.turn()

    def turn(self, count: int = 5) -> None:
        """What waits for the end of the turn happens."""
        for _ in range(count):
            self.rig.clock.advance(0)

    def archived(self, room: str = ROOM) -> list[ArchivedMessage]:
        """What is in the archive."""
        self.turn()
        return list(self.successResultOf(self.store.archives.query(room, ArchiveQuery())).messages)

    def remove(self, who: Person) -> None:
        """An account is removed."""
        self.successResultOf(self.rig.host.registrar.remove(who.bare))
        self.turn()

    def again(self, local: str) -> Person:
        """A later account of a name."""
        self.rig.clock.advance(10)
        self.rig.account(local)
        return self.person(local, "new")

    def facts(self, owner: str = ROOM) -> dict[str, int]:
        """How many facts of each kind somebody has."""
        return dict(self.successResultOf(self.store.facts.kinds(owner)))


def idOf(stanza: Stanza, name: str = f"{ns.STANZA_ID} stanza-id") -> str:
    """The id that the room has given."""
    found = stanza.find(name)
    return (found.get("id") or "") if found is not None else ""


@spec("mission", "A7")
class RemovedTests(ArchivedCase):
    """An account is gone, and its name has a new owner."""

    def said(self, who: Person) -> str:
        """Somebody says something; its stanza id."""
        self.quiet()
        self.say(who, "secret")
        (got,) = (each for each in self.first.take() if b"secret" in each.raw)
        return idOf(got)

    @spec("XEP-0421", "4.1")
    def test_occupantId(self) -> None:
        """The same user has the same id whenever he enters, with whatever client; a later owner has another."""
        self.all()

        def idNow(who: Person) -> str:
            return idOf(self.enter(who, who.full[-6:])[-2], OCCUPANT)

        first = idOf(next(each for each in self.enter(self.third, "thirdwitch") if each.kind == "presence"), OCCUPANT)
        ids = {idNow(self.person("hag66", f"again{n}")) for n in range(2)}
        self.third.session.end()
        ids.add(idNow(self.person("hag66", "still")))
        self.remove(self.third)
        later = self.again("hag66")
        self.assertEqual(len(ids), 1, first)
        self.assertNotIn(idNow(later), ids)

    @spec("XEP-0424", "5")
    def test_retraction(self) -> None:
        """A later owner can't take back what the earlier one said, in the history or in the archive."""
        self.all()
        id = self.said(self.third)
        self.remove(self.third)
        later = self.again("hag66")
        self.enter(later, "later")
        later.send(f"<message type='groupchat' to='{ROOM}' id='r'><retract xmlns='{RETRACTION}' id='{id}'/></message>")
        self.assertIn(b"secret", self.archived()[0].stanza)
        self.assertIsNotNone(self.room.history.find(id))

    def test_anonymous(self) -> None:
        """Neither the archive nor the room knows who it was."""
        self.all()
        self.said(self.third)
        self.assertEqual(self.archived()[0].sender, self.third.bare)
        self.assertIn(self.third.bare, self.service._mentioned)
        self.remove(self.third)
        self.assertEqual(self.archived()[0].sender, "")
        self.assertNotIn(self.third.bare, self.service._mentioned)
        self.assertNotIn(self.third.bare, self.room.known())
        self.assertEqual(list(self.room.history.authors), [])

    def test_forgottenHistory(self) -> None:
        """Who is no author any more, since the history has only newer messages, is known no more."""
        self.all()
        self.said(self.third)
        for _ in range(60):
            self.say(self.first, "x")
        self.assertNotIn(self.third.bare, self.service._mentioned)

    def test_storeAlone(self) -> None:
        """The one call that forgets an account leaves nothing of it with rooms, even if the server dies then."""
        self.all(persistentroom="1")
        self.affiliate(self.third, "member")
        self.affiliate("other@example.net", "admin")
        self.said(self.third)
        self.turn()
        self.successResultOf(self.store.forget(self.third.bare))
        self.successResultOf(self.store.forget(self.first.bare))
        self.assertEqual(sorted(self.successResultOf(self.store.facts.all(ROOM, storage.AFFILIATIONS))), ["other@example.net", self.second.bare])
        self.start()
        self.assertEqual(sorted(self.room.affiliations), ["other@example.net", self.second.bare])
        self.assertEqual((self.room.config.creator, self.service._created), ("", {"": 1}))
        self.assertEqual(self.archived()[0].sender, "")

    def test_kinds(self) -> None:
        """The kinds of facts that the store forgets are those by which rooms know somebody."""
        self.assertEqual(set(ABOUT), {storage.AFFILIATIONS, storage.REGISTRATIONS, storage.HATS})


@spec("mission", "A7")
class OwnerlessTests(ArchivedCase):
    """The only owner of a room is removed."""

    def test_destroyed(self) -> None:
        """A room that nobody else has anything to do with goes, with all that is kept of it."""
        self.found(persistentroom="1")
        self.affiliate(self.second, "none")
        self.say(self.first, "x")
        self.turn()
        self.remove(self.first)
        self.assertEqual((self.service.rooms, self.facts(), self.archived()), ({}, {}, []))
        self.assertEqual(self.successResultOf(self.store.facts.all(SERVICE, storage.ROOMS)), {})
        self.start()
        self.assertEqual(self.service.rooms, {})

    def test_occupied(self) -> None:
        """While somebody is in, it stays."""
        self.all(persistentroom="1")
        self.affiliate(self.second, "none")
        self.remove(self.first)
        self.assertIn("cave", self.service.rooms)
        for who, nick in ((self.second, "secondwitch"), (self.third, "thirdwitch")):
            who.send(f"<presence to='{ROOM}/{nick}' type='unavailable'/>")
        self.turn()
        self.assertEqual((self.service.rooms, self.facts()), ({}, {}))

    def test_administrated(self) -> None:
        """With an admin or a member it stays, and those who administrate the service own it."""
        self.found(persistentroom="1")
        self.remove(self.first)
        self.start()
        self.assertEqual(self.room.affiliations, {self.second.bare: "admin"})
        boss = self.person("admin")
        self.assertEqual(item(self.enter(boss, "boss")[0])["affiliation"], "owner")
        self.affiliate(self.second, "owner", boss)
        self.assertEqual(self.room.affiliations, {self.second.bare: "owner"})

    def test_crash(self) -> None:
        """The server dies between the removal and what follows from it: the room goes at the start."""
        self.found(persistentroom="1")
        self.affiliate(self.second, "outcast")
        self.successResultOf(self.store.forget(self.first.bare))
        self.start()
        self.assertEqual((self.service.rooms, self.facts()), ({}, {}))


    def test_unreadable(self) -> None:
        """A room of which not every affiliation can be read isn't taken for one that nobody owns."""
        self.found(persistentroom="1")
        for bare in (self.first.bare, self.second.bare):
            self.successResultOf(self.store.facts.put(ROOM, storage.AFFILIATIONS, bare, b"?"))
        self.start()
        self.assertEqual((list(self.service.rooms), self.room.affiliations), (["cave"], {}))


class CrashTests(ArchivedCase):
    """What a server that was killed has left."""

    def test_temporary(self) -> None:
        """A room that was to go with its last occupant has gone with the server, and so has its archive."""
        self.all(persistentroom="0")
        self.say(self.third, "x")
        self.assertEqual(len(self.archived()), 1)
        self.rig.clock.advance(1)
        self.start()
        self.assertEqual((self.service.rooms, self.archived()), ({}, []))

    def test_persistent(self) -> None:
        """A room that stays keeps its archive."""
        self.all(persistentroom="1")
        self.say(self.third, "x")
        self.turn()
        self.rig.clock.advance(1)
        self.start()
        self.assertEqual((list(self.service.rooms), len(self.archived())), (["cave"], 1))

    def test_half(self) -> None:
        """What is left of a room without a configuration is deleted; a room that can't be read is not."""
        for room in ("half", "odd"):
            for kind in (storage.AFFILIATIONS, storage.SUBJECT):
                self.successResultOf(self.store.facts.put(f"{room}@{SERVICE}", kind, "", b"{}"))
        self.successResultOf(self.store.facts.put(SERVICE, storage.ROOMS, "odd", b"odd"))
        self.start()
        self.assertEqual(self.facts(f"half@{SERVICE}"), {})
        self.assertEqual(len(self.facts(f"odd@{SERVICE}")), 2)
        self.assertEqual(len(self.flushLoggedErrors()), 0)


class RaceTests(ArchivedCase):
    """A room goes while something of it is being stored."""

    def held(self) -> None:
        """The store answers nobody."""
        self.store.holding = True

    def go(self) -> None:
        """It answers everybody."""
        self.store.holding = False
        for _ in range(10):
            self.store.proceed()
            self.turn()

    def wish(self, who: Person, payload: str) -> None:
        """Ask without waiting for the answer."""
        who.send(f"<iq type='set' id='w' to='{ROOM}'>{payload}</iq>")

    def answer(self, who: Person) -> Stanza:
        """The answer to that."""
        (answer,) = (each for each in who.take() if each.kind == "iq")
        return answer

    def nothingLeft(self) -> None:
        """Nothing of the room is in the store or comes back."""
        self.assertEqual(self.successResultOf(self.store.facts.all(SERVICE, storage.ROOMS)), {})
        self.assertEqual((self.facts(), self.archived()), ({}, []))
        self.start()
        self.assertEqual(self.service.rooms, {})

    def test_leavingWhileConfigured(self) -> None:
        """The creator leaves before his new room is stored: it isn't made."""
        self.enter(self.first, "firstwitch")
        self.held()
        self.wish(self.first, self.form(persistentroom="1"))
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        self.assertEqual(self.service.rooms, {})
        self.go()
        self.assertEqual(conditionOf(self.answer(self.first)), "item-not-found")
        self.assertEqual(self.service._mentioned, {})
        self.nothingLeft()

    def test_lastLeaves(self) -> None:
        """The last one leaves a temporary room while it is made to stay."""
        self.found()
        self.held()
        self.wish(self.first, self.form(persistentroom="1"))
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        self.go()
        self.assertEqual(conditionOf(self.answer(self.first)), "item-not-found")
        self.nothingLeft()

    def test_affiliationMeanwhile(self) -> None:
        """So with affiliations: what is not there any more learns of none."""
        self.found()
        self.held()
        self.wish(self.first, self.form(persistentroom="1"))
        item = f"<item affiliation='member' jid='{self.third.bare}'/>"
        self.second.send(f"<iq type='set' id='w' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query></iq>")
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        self.go()
        self.assertEqual(conditionOf(self.answer(self.second)), "item-not-found")
        self.assertEqual(self.service._mentioned, {})
        self.nothingLeft()

    def test_removedMeanwhile(self) -> None:
        """An account is removed while it is given an affiliation: it has none then."""
        self.found(persistentroom="1")
        self.held()
        member = f"<item affiliation='member' jid='{self.third.bare}'/>"
        self.wish(self.first, f"<query xmlns='http://jabber.org/protocol/muc#admin'>{member}</query>")
        self.service.forgetUser(self.third.bare)
        self.go()
        self.assertNotIn(self.third.bare, self.room.affiliations)
        self.assertNotIn(self.third.bare, self.successResultOf(self.store.facts.all(ROOM, storage.AFFILIATIONS)))
        self.assertNotIn(self.third.bare, self.service._mentioned)

    def test_entering(self) -> None:
        """Who enters while a room is being destroyed is put out with all others, and what he says stays nowhere."""
        self.found(persistentroom="1")
        self.held()
        self.wish(self.first, "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>")
        self.enter(self.third, "thirdwitch")
        self.say(self.third, "late")
        self.first.send(f"<message type='groupchat' to='{ROOM}'><subject>late</subject></message>")
        self.go()
        self.assertEqual(self.third.take()[-1].type, "unavailable")
        self.assertEqual(self.answer(self.first).type, "result")
        self.nothingLeft()

    def test_again(self) -> None:
        """A new room of the same name isn't hurt by what is still being deleted of the old one."""
        self.found(persistentroom="1")
        self.say(self.first, "old")
        self.turn()
        self.held()
        self.service.end(self.room)
        self.rig.clock.advance(1)
        self.enter(self.third, "thirdwitch")
        self.wish(self.third, self.form(persistentroom="1"))
        self.assertTrue(self.room.locked)
        self.go()
        self.assertEqual(self.answer(self.third).type, "result")
        self.say(self.third, "new")
        (kept,) = self.archived()
        self.assertIn(b"new", kept.stanza)
        self.start()
        self.assertEqual(self.room.affiliations, {self.third.bare: "owner"})
        self.assertEqual(len(self.archived()), 1)

    def test_moderatedMeanwhile(self) -> None:
        """A message is retracted while its room goes: nothing is archived for the room that is no more."""
        self.found()
        self.say(self.first, "x")
        (got,) = (each for each in self.first.take() if each.kind == "message")
        self.turn()
        self.held()
        self.wish(self.first, f"<moderate xmlns='{MODERATION}' id='{idOf(got)}'><retract xmlns='{RETRACTION}'/></moderate>")
        self.first.send(f"<presence to='{ROOM}/firstwitch' type='unavailable'/>")
        self.go()
        self.assertEqual(conditionOf(self.answer(self.first)), "item-not-found")
        self.nothingLeft()
