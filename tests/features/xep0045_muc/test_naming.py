"""
Rooms and nicknames that look like others (XEP-0165).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.doubles import Rig
from tests.features.xep0045_muc.base import ADMIN, JOIN, ROOM, SERVICE, Person, RoomCase, conditionOf, nick
from tests.marks import spec
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0030_disco import feature as disco
from xmppd.features.xep0045_muc import feature as muc
from xmppd.features.xep0045_muc.service import Service
from xmppd.naming import EDITIONS, NamesConfig
from xmppd.store.memory import MemoryStore
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza


def imitation(stanza: Stanza) -> Element:
    """What an error says about a name."""
    error = stanza.elements()[-1]
    (found,) = (each for each in error.elements() if each.ns == ns.NAMES)
    return found


class NamingCase(RoomCase):
    """A service whose policy can be changed."""

    def policy(self, **values: Any) -> None:
        """Another policy from now on."""
        self.host.reconfigure(replace(self.host.config, names=NamesConfig(**values)), self.host.limits)

    def change(self, who: Person, name: str) -> list[Stanza]:
        """Take another nickname."""
        who.take()
        who.send(f"<presence to='{ROOM}/{name}'/>")
        return who.take()

    def index(self) -> list[str]:
        """The rooms in the database's index."""
        return [each.name for each in self.successResultOf(self.host.nameIndex.list("room", SERVICE))]

    def register(self, who: Person, name: str) -> Stanza:
        """Register a nickname."""
        form = "http://jabber.org/protocol/muc#register"
        fields = f"<field var='FORM_TYPE'><value>{form}</value></field>"
        fields += f"<field var='muc#register_roomnick'><value>{name}</value></field>"
        return who.ask("set", f"<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>")


class NicknameTests(NamingCase):
    """Nicknames."""

    @spec("XEP-0165", "1")
    @spec("XEP-0045", "7.2.8")
    @spec("mission", "M2")
    def test_entering(self) -> None:
        """Who looks like another occupant doesn't get in, and is told like whom."""
        self.found()
        self.enter(self.second, "stpeter")
        for name in ("ᏚᎢᎵᎬᎢᎬᏒ", "stpeteг"[:-1] + "\U0001d42b", "sтрeтer"):
            (answer,) = self.enter(self.third, name)
            self.assertEqual(conditionOf(answer), "conflict", name)
            self.assertEqual(imitation(answer).textOf("like"), "stpeter")
        self.assertEqual(len(self.room.seats), 2)
        self.enter(self.third, "thirdwitch")
        self.assertEqual(len(self.room.seats), 3)

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_paypal(self) -> None:
        """C{paypa1} beside C{paypal}, and the other way round; when one has gone the other may come."""
        self.found()
        for there, comes in (("paypal", "paypa1"), ("paypa1", "paypal"), ("paypal", "p\u0430ypal")):
            self.enter(self.second, there)
            self.assertEqual(self.refused(self.third, comes), "conflict")
            self.second.send(f"<presence to='{ROOM}/{there}' type='unavailable'/>")
            self.assertEqual(nick(self.enter(self.third, comes)[-2]), comes)
            self.third.send(f"<presence to='{ROOM}/{comes}' type='unavailable'/>")

    @spec("mission", "M2")
    def test_hidden(self) -> None:
        """Invisible, padded and bidirectional nicknames are not acceptable."""
        self.found()
        for name in ("wi  tch", "witch\u2800", "witch" + "\u0331" * 5):
            (answer,) = self.enter(self.third, name)
            self.assertEqual(conditionOf(answer), "not-acceptable", ascii(name))
            self.assertTrue(imitation(answer).textOf("reason"))
        for name in ("witch\u200b", "\u2063witch", "\u202ehctiw", "witch\u00ad", "\u2066witch", " witch", "witch\u00a0"):
            (answer,) = self.enter(self.third, name)
            self.assertEqual(conditionOf(answer), "jid-malformed", ascii(name))
        self.assertNotIn(self.third.full, self.room.seats)

    @spec("XEP-0045", "7.6")
    @spec("mission", "M2")
    def test_changing(self) -> None:
        """Nobody becomes a look-alike; of oneself one may."""
        self.all()
        (answer,) = self.change(self.third, "firstw\u0456tch")
        self.assertEqual((conditionOf(answer), imitation(answer).textOf("like")), ("conflict", "firstwitch"))
        (answer,) = self.change(self.third, "hag  66")
        self.assertEqual(conditionOf(answer), "not-acceptable")
        self.assertIn("thirdwitch", self.room.occupants)
        self.change(self.third, "th\u0456rdwitch")
        self.assertIn("th\u0456rdwitch", self.room.occupants)
        self.change(self.third, "hag")
        self.enter(self.person("other"), "thirdwitch")
        self.assertIn("thirdwitch", self.room.occupants)

    @spec("mission", "M2")
    def test_registered(self) -> None:
        """What looks like a registered nickname is nobody else's, whether or not its owner is in."""
        self.found()
        self.assertEqual(self.register(self.third, "hecate").type, "result")
        other = self.person("other")
        self.assertEqual(self.refused(other, "h\u0435cate"), "conflict")
        self.assertEqual(conditionOf(self.register(other, "h\u0435cate")), "conflict")
        refusal = self.register(other, "firstw\u0456tch")
        self.assertEqual((conditionOf(refusal), imitation(refusal).textOf("like")), ("conflict", None))  # not in the room
        self.enter(other, "other")
        self.assertEqual(imitation(self.register(other, "firstw\u0456tch")).textOf("like"), "firstwitch")
        other.send(f"<presence to='{ROOM}/other' type='unavailable'/>")
        self.assertEqual(conditionOf(self.register(other, "a\u2800")), "not-acceptable")
        self.enter(self.third, "hecate")
        self.assertIn("hecate", self.room.occupants)
        self.third.ask("set", "<query xmlns='jabber:iq:register'><remove/></query>")
        self.change(self.third, "hag")
        self.enter(other, "h\u0435cate")
        self.assertIn("h\u0435cate", self.room.occupants)

    @spec("mission", "M2")
    def test_givenByAdmins(self) -> None:
        """Admins can't give out look-alikes either, not even two at once; protected names they may."""
        self.found()

        def give(*pairs: tuple[str, str]) -> str | None:
            items = "".join(f"<item affiliation='member' jid='{jid}@example.org' nick='{name}'/>" for jid, name in pairs)
            answer = self.first.ask("set", f"<query xmlns='{ADMIN}'>{items}</query>")
            return None if answer.type == "result" else conditionOf(answer)

        self.assertEqual(give(("a", "f\u0456rstwitch")), "conflict")
        self.assertEqual(give(("a", "hecate"), ("b", "h\u0435cate")), "conflict")
        self.assertEqual(give(("a", "hecate"), ("b", "support")), None)
        self.assertEqual(give(("a", "hecate"), ("c", "supp\u043ert")), "conflict")

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """Protected nicknames are for the room's admins, and for who has an account by that name."""
        self.found()
        self.assertEqual(self.refused(self.third, "Admin"), "not-acceptable")
        self.assertEqual(self.refused(self.third, "\u0430dmin"), "not-acceptable")
        self.enter(self.second, "Admin")
        self.enter(self.person("support"), "Support")
        self.assertEqual({"firstwitch", "Admin", "Support"}, set(self.room.occupants))
        self.assertEqual(self.refused(self.person("support", "2"), "Supp\u043ert"), "not-acceptable")

    def test_severalClients(self) -> None:
        """Another client of the same user shares the nickname, whatever it looks like."""
        self.policy(nicknames="allow")
        self.all()
        other = self.person("other")
        self.enter(other, "firstw\u0456tch")
        self.assertIn("firstw\u0456tch", self.room.occupants)
        self.policy()
        self.enter(self.person("other", "2"), "firstw\u0456tch")
        self.assertEqual(len(self.room.occupants["firstw\u0456tch"].seats), 2)
        self.assertEqual(self.refused(self.person("else"), "f\u0456rstwitch"), "conflict")

    @spec("mission", "M2")
    def test_warning(self) -> None:
        """Where the policy is to warn, they come in, and it is counted."""
        self.policy(nicknames="warn")
        self.all()
        self.enter(self.person("other"), "firstw\u0456tch")
        self.assertIn("firstw\u0456tch", self.room.occupants)
        tally = self.host.counters.tally("names", "", "host", "kind", "action")
        self.assertEqual(tally.values, {(SERVICE, "nickname", "warn"): 1})

    def test_nothingLeft(self) -> None:
        """However people come, change and go, only the names that are there are kept."""
        self.all()
        self.change(self.third, "hag")
        self.enter(self.third, "hag")
        self.assertEqual(len(self.room.likes), 3)
        self.third.session.end()
        self.change(self.second, "x")
        self.second.send(f"<presence to='{ROOM}/x' type='unavailable'/>")
        self.assertEqual(len(self.room.likes), 1)
        room = self.room
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual((len(room.likes), len(self.service.naming.rooms)), (0, 0))


class RoomNameTests(NamingCase):
    """Names of rooms."""

    @spec("mission", "M2")
    def test_alike(self) -> None:
        """A room that looks like another isn't made; which one is told if it is listed."""
        self.found()
        (answer,) = self.enter(self.third, "hag", room=f"c\u0430ve@{SERVICE}")
        self.assertEqual(conditionOf(answer), "conflict")
        self.assertEqual(imitation(answer).textOf("like"), "cave")
        self.configure(publicroom="0")
        (answer,) = self.enter(self.third, "hag", room=f"c\u0430ve@{SERVICE}")
        self.assertIsNone(imitation(answer).find("like"))
        self.assertEqual(list(self.service.rooms), ["cave"])
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual(self.refused(self.third, "hag", room=f"c\u0430ve@{SERVICE}"), "not-acceptable")
        self.enter(self.third, "hag", room=f"\u0441\u0430\u0475\u0435@{SERVICE}")
        self.assertEqual(len(self.service.rooms), 1)

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """Rooms with protected names are made by administrators only."""
        self.assertEqual(self.refused(self.first, "x", room=f"support@{SERVICE}"), "not-acceptable")
        self.enter(self.person("admin"), "x", room=f"support@{SERVICE}")
        self.assertEqual(self.refused(self.first, "x", room=f"supp0rt@{SERVICE}"), "conflict")

    @spec("mission", "M2")
    def test_badNick(self) -> None:
        """Who has an impossible nickname makes no room."""
        self.assertEqual(self.refused(self.first, "x\u2800"), "not-acceptable")
        self.assertEqual((self.service.rooms, len(self.service.naming.rooms)), ({}, 0))

    @spec("mission", "M2")
    def test_deleted(self) -> None:
        """When one of two look-alikes is destroyed, the other is as well protected as before."""
        self.policy(rooms="allow")
        for name in ("paypal", "paypa1"):
            self.enter(self.first, "x", room=f"{name}@{SERVICE}")
        self.policy()
        self.successResultOf(self.service.destroy(f"paypal@{SERVICE}"))
        self.assertEqual(self.refused(self.third, "x", room=f"paypal@{SERVICE}"), "conflict")
        self.successResultOf(self.service.destroy(f"paypa1@{SERVICE}"))
        self.enter(self.third, "x", room=f"paypal@{SERVICE}")
        self.assertEqual(list(self.service.rooms), ["paypal"])

    @spec("mission", "M2", "M8")
    def test_stored(self) -> None:
        """Rooms that stay are in the database's index as long as they do."""
        self.found()
        self.assertEqual(self.index(), [])
        self.configure(persistentroom="1")
        self.assertEqual(self.index(), ["cave"])
        self.configure(persistentroom="0")
        self.assertEqual(self.index(), [])
        self.configure(persistentroom="1")
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual(self.index(), [])


class RestartTests(NamingCase):
    """Rooms that come back from the store."""

    def restarted(self, store: MemoryStore) -> Service:
        """The service after a restart."""
        self.rig = Rig(im, store=store)
        self.host = self.rig.service(disco, muc, domain=SERVICE)
        assert isinstance(self.host.rooms, Service)
        self.service = self.host.rooms
        return self.service

    @spec("mission", "M2")
    def test_restart(self) -> None:
        """Look-alikes of the past come back, and both are protected against others."""
        self.policy(rooms="allow")
        for name in ("paypal", "paypa1"):
            room = f"{name}@{SERVICE}"
            self.enter(self.first, "x", room=room)
            self.first.result("set", self.form(persistentroom="1"), room)
        service = self.restarted(self.rig.store)
        self.assertEqual(sorted(service.rooms), ["paypa1", "paypal"])
        self.assertEqual(self.refused(self.person("other"), "x", room=f"pay\u0440al@{SERVICE}"), "conflict")

    @spec("mission", "M2")
    def test_upgrade(self) -> None:
        """The index is made at the first start, and mended when a crash has left it behind or ahead of the rooms."""
        self.found(persistentroom="1")
        store = self.rig.store
        for _ in range(2):
            index = store.nameIndex
            self.successResultOf(index.remove("room", SERVICE, "cave"))
            store.facts.delete(SERVICE, EDITIONS, "room")
            self.restarted(store)
            self.assertEqual(self.index(), ["cave"])
        self.successResultOf(index.remove("room", SERVICE, "cave"))
        self.successResultOf(index.claim(replace(self.service.storage._name("gone"))))
        self.restarted(store)
        self.assertEqual(self.index(), ["cave"])


class PathTests(NamingCase):
    """What is said in a room has nothing to do with names."""

    @spec("mission", "M2")
    def test_messages(self) -> None:
        """No message, and no changed presence, asks about names."""
        self.all()

        def fail(*arguments: object, **named: object) -> None:
            raise AssertionError("asked")

        for name in ("judge", "note", "error", "action"):
            self.patch(type(self.host.names), name, fail)
        self.say(self.first, "Hail")
        self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>away</show></presence>")
        self.third.send(f"<presence to='{ROOM}/thirdwitch'>{JOIN}</presence>")
        self.assertEqual(len(self.third.take()) > 3, True)
