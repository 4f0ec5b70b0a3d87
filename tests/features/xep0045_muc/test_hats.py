"""Tests of L{xmppd.features.xep0045_muc.hats}: XEP-0317."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FailingStore, Rig
from tests.features.rfc6121_im.base import Elsewhere
from tests.features.xep0045_muc.base import ROOM, SERVICE, Person, RoomCase, codes, conditionOf, nick
from tests.marks import spec
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0030_disco import feature as disco
from xmppd.features.xep0045_muc import feature as muc
from xmppd.features.xep0045_muc import hats
from xmppd.features.xep0045_muc.hats import Hat, fromBytes, hashOf, toBytes
from xmppd.features.xep0045_muc.service import Service
from xmppd.features.xep0050_commands import feature as commands
from xmppd.wire import forms, ns
from xmppd.wire.element import Element, escapeText
from xmppd.wire.stanza import Stanza

FORM = "urn:xmpp:hats:commands"
HATS = "urn:xmpp:hats:0 hats"
TEACHER = "http://tech.example.edu/hats#Teacher"
PROCTOR = "http://tech.example.edu/hats#Proctor"


def worn(stanza: Stanza) -> list[tuple[str, str, str | None]]:
    """URI, title and hue of each hat in a presence."""
    found = [each for each in stanza.elements() if each.qname == HATS]
    return [(hat.attrs["uri"], hat.attrs["title"], hat.get("hue")) for each in found for hat in each.elements("hat")]


def rows(form: Element) -> list[tuple[str, ...]]:
    """The rows of a table, as texts in the order of its columns."""
    (reported,) = form.elements("reported")
    columns = [field.attrs["var"] for field in reported.elements("field")]
    found = [{f.attrs["var"]: f.textOf("value") or "" for f in each.elements("field")} for each in form.elements("item")]
    return [tuple(each[column] for column in columns) for each in found]


class HatCase(RoomCase):
    """The cave, where all three are, and the commands."""

    persistent = "1"

    def setUp(self) -> None:
        self.store = FailingStore()
        self.rig = Rig(im, disco, store=self.store)
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere
        self.start()
        self.first = self.person("crone1", "desktop")
        self.second = self.person("wiccarocks", "laptop")
        self.third = self.person("hag66", "pda")
        self.all(persistentroom=self.persistent)

    def start(self) -> None:
        """The service starts, once more if it has been there."""
        self.rig.router.destinations.pop(SERVICE, None)
        self.host = self.rig.service(disco, commands, muc, domain=SERVICE)
        assert isinstance(self.host.rooms, Service)
        self.service = self.host.rooms

    def command(self, who: Person, name: str, session: str | None = None, **fields: str) -> Stanza:
        """Execute a command, with a form if there are fields; two underscores stand for C{#}."""
        values = {"FORM_TYPE": FORM} | {key.replace("__", "#"): value for key, value in fields.items()}
        inner = "".join(f"<field var='{key}'><value>{escapeText(value)}</value></field>" for key, value in values.items())
        form = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>" if fields else ""
        more = f" sessionid='{session}'" if session else ""
        return who.ask("set", f"<command xmlns='{ns.COMMANDS}' node='{FORM}:{name}'{more}>{form}</command>")

    def done(self, who: Person, name: str, **fields: str) -> Element:
        """A command that is completed."""
        answer = self.command(who, name, **fields)
        self.assertEqual(answer.type, "result", answer.raw)
        command = answer.elements()[0]
        self.assertEqual((command.get("status"), command.get("node")), ("completed", f"{FORM}:{name}"))
        return command

    def create(self, uri: str = TEACHER, title: str = "Teacher", hue: str = "") -> None:
        """The owner makes a hat."""
        self.done(self.first, "create", hats__title=title, hats__uri=uri, hats__hue=hue)

    def assign(self, who: Person | str, uri: str = TEACHER) -> None:
        """The owner gives it."""
        self.done(self.first, "assign", hats__jid=who if isinstance(who, str) else who.bare, hats__uri=uri)

    def presences(self, who: Person) -> Sequence[Stanza]:
        """The presence that somebody has got."""
        return [each for each in who.take() if each.kind == "presence"]


class ListTests(HatCase):
    """Making hats (sections 2, 3.2 to 3.4)."""

    def info(self) -> Element:
        """What disco says of the room."""
        found = self.third.result("get", f"<query xmlns='{ns.DISCO_INFO}'/>")
        assert found is not None
        return found

    @spec("XEP-0317", "2")
    def test_disco(self) -> None:
        """The room says that it has hats, and, if there are any, a hash that is another one for other hats."""

        def hashes() -> tuple[str, ...]:
            form = forms.formIn(self.info())
            assert form is not None
            return forms.values(form).get("hats#hash", ())

        self.assertIn("urn:xmpp:hats:0", {each.get("var") for each in self.info().elements("feature")})
        self.assertEqual(hashes(), ())
        seen = set()
        for uri in (TEACHER, PROCTOR):
            self.create(uri)
            seen.add(hashes())
        self.assertEqual(len(seen), 2)
        self.assertEqual(hashes(), (hashOf([PROCTOR, TEACHER]),))

    @spec("XEP-0050", "2.2")
    def test_listed(self) -> None:
        """Everybody is shown the commands he may use."""

        def nodes(who: Person) -> list[str]:
            found = who.result("get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>")
            assert found is not None
            self.assertEqual({each.get("jid") for each in found.elements("item")} - {ROOM}, set())
            return [(each.get("node") or "").rpartition(":")[2] for each in found.elements("item")]

        everything = ["create", "destroy", "list", "assign", "unassign", "list-assigned"]
        self.assertEqual(nodes(self.first), everything)
        self.assertEqual((nodes(self.second), nodes(self.third)), (["list"], ["list"]))
        self.configure(membersonly="1")
        self.assertEqual(nodes(self.third), [])

    @spec("XEP-0317", "3.2")
    @spec("XEP-0050", "2.4")
    def test_stages(self) -> None:
        """The form is given when asked for, and its submission makes the hat; everybody hears 104."""
        asked = self.command(self.first, "create").elements()[0]
        form = forms.formIn(asked)
        assert form is not None
        self.assertEqual((asked.get("status"), forms.formTypeOf(form)), ("executing", FORM))
        self.assertEqual([f.get("var") for f in form.elements("field")][1:], ["hats#title", "hats#uri", "hats#hue"])
        fields = {"hats__title": "Teacher", "hats__uri": TEACHER, "hats__hue": "327.255249"}
        answer = self.command(self.first, "create", asked.get("sessionid"), **fields)
        self.assertEqual(answer.elements()[0].get("status"), "completed")
        for who in (self.first, self.second, self.third):
            (notice,) = who.take()
            self.assertEqual((notice.type, notice.sender, codes(notice)), ("groupchat", ROOM, {104}))
        (form,) = (e for e in self.done(self.third, "list").elements() if e.qname == forms.FORM)
        self.assertEqual(rows(form), [("Teacher", TEACHER, "327.255249")])

    def test_joinedEmoji(self) -> None:
        """A title may have pictures that are made of several."""
        self.create(title="\U0001f469\u200d\U0001f692 Brigade")
        self.assertEqual(self.room.hats[TEACHER].title, "\U0001f469\u200d\U0001f692 Brigade")

    @spec("XEP-0317", "3.3")
    def test_destroyForm(self) -> None:
        """The form to destroy a hat names those there are; the field may be called as in the example, too."""
        self.create()
        self.create(PROCTOR, "Proctor")
        form = forms.formIn(self.command(self.first, "destroy").elements()[0])
        assert form is not None
        options = [(o.get("label"), o.textOf("value")) for f in form.elements("field") for o in f.elements("option")]
        self.assertEqual(options, [("Teacher", TEACHER), ("Proctor", PROCTOR)])
        self.done(self.first, "destroy", hat=PROCTOR)
        self.done(self.first, "destroy", hats__uri=TEACHER)
        self.assertEqual(self.room.hats, {})
        self.assertEqual(conditionOf(self.command(self.first, "destroy", hats__uri=TEACHER)), "item-not-found")

    def test_refused(self) -> None:
        """What is no hat is refused, and so is what isn't about hats."""
        good = {"hats__title": "x", "hats__uri": "urn:x"}
        for bad in (
            {"hats__title": ""},
            {"hats__title": "x" * 129},
            {"hats__title": "a\u202eb"},
            {"hats__title": "\u200d"},
            {"hats__uri": "nothing"},
            {"hats__uri": "urn: x"},
            {"hats__uri": "urn:" + "x" * 510},
            {"hats__hue": "red"},
            {"hats__hue": "361"},
            {"hats__hue": "-1"},
            {"FORM_TYPE": "urn:y"},
        ):
            self.assertEqual(conditionOf(self.command(self.first, "create", **{**good, **bad})), "bad-request", bad)
        self.assertEqual(self.room.hats, {})

    def test_bound(self) -> None:
        """There are only so many hats; those there are can be changed still."""
        for number in range(hats.MOST):
            self.create(f"urn:{number}")
        many = self.command(self.first, "create", hats__title="x", hats__uri="urn:more")
        self.assertEqual(conditionOf(many), "resource-constraint")
        self.create("urn:1", "Other")
        self.assertEqual(self.room.hats["urn:1"].title, "Other")

    def test_who(self) -> None:
        """Hats are the owners' business; who may read what is said may know which there are."""
        self.create()
        fields = {"hats__title": "x", "hats__uri": TEACHER, "hats__jid": self.third.bare}
        for who in (self.second, self.third):
            for name in ("create", "destroy", "assign", "unassign", "list-assigned"):
                self.assertEqual(conditionOf(self.command(who, name)), "forbidden")
                self.assertEqual(conditionOf(self.command(who, name, **fields)), "forbidden")
        self.done(self.third, "list")
        self.configure(membersonly="1")
        self.assertEqual(conditionOf(self.command(self.person("x"), "list")), "forbidden")
        self.assertEqual(list(self.room.hats), [TEACHER])


class WearingTests(HatCase):
    """Giving hats, and what is seen of them (sections 3.1, 3.5 to 3.7)."""

    def setUp(self) -> None:
        super().setUp()
        self.create(hue="12.5")
        self.create(PROCTOR, "Test 'n' <Proctor>")
        self.quiet()

    @spec("XEP-0317", "3.1", "3.5")
    def test_assign(self) -> None:
        """All see the hat at once, and whoever enters, and it stays when the wearer changes or comes back."""
        hat = (TEACHER, "Teacher", "12.5")
        self.assign(self.third)
        for who in (self.first, self.second, self.third):
            (told,) = who.take()
            self.assertEqual((told.kind, nick(told), worn(told)), ("presence", "thirdwitch", [hat]))
        fourth = self.person("x")
        self.assertEqual([worn(each) for each in self.enter(fourth, "x") if nick(each) == "thirdwitch"], [[hat]])
        self.third.send(f"<presence to='{ROOM}/thirdwitch'><show>away</show></presence>")
        self.assertEqual([worn(each) for each in self.presences(fourth)], [[hat]])
        self.third.send(f"<presence to='{ROOM}/other'/>")
        self.assertEqual([worn(each) for each in self.presences(fourth)], [[], [hat]])
        self.third.send(f"<presence to='{ROOM}/other' type='unavailable'/>")
        self.assertEqual(worn(self.enter(self.third, "thirdwitch")[-2]), [hat])

    @spec("XEP-0317", "3.1")
    def test_several(self) -> None:
        """One may wear several; giving one twice changes nothing and tells nobody."""
        self.assign(self.third)
        self.assign(self.third, PROCTOR)
        self.quiet()
        self.assign(self.third, PROCTOR)
        self.assertEqual(self.first.take(), [])
        told = self.enter(self.third, "thirdwitch")
        self.assertEqual([uri for uri, _, _ in worn(next(e for e in told if nick(e) == "thirdwitch"))], [TEACHER, PROCTOR])

    @spec("XEP-0317", "3.2")
    def test_update(self) -> None:
        """A changed hat is shown at once to all, with 104; who doesn't wear it isn't told of again."""
        self.assign(self.third)
        self.quiet()
        self.create(title="Professor")
        told, notice = self.first.take()
        self.assertEqual((nick(told), worn(told)), ("thirdwitch", [(TEACHER, "Professor", None)]))
        self.assertEqual(codes(notice), {104})

    @spec("XEP-0317", "3.6")
    def test_unassign(self) -> None:
        """A hat that is taken off is seen no more; nobody can take off what he doesn't wear."""
        self.assign(self.third)
        self.quiet()
        self.done(self.first, "unassign", hats__jid=self.third.bare, hats__uri=TEACHER)
        (told,) = self.second.take()
        self.assertEqual((nick(told), worn(told), HATS in told.childNames), ("thirdwitch", [], False))
        again = self.command(self.first, "unassign", hats__jid=self.third.bare, hats__uri=TEACHER)
        self.assertEqual(conditionOf(again), "item-not-found")

    @spec("XEP-0317", "3.3")
    def test_destroy(self) -> None:
        """A destroyed hat is worn by nobody any more, and all see that."""
        self.assign(self.third)
        self.assign(self.second)
        self.assign(self.second, PROCTOR)
        self.quiet()
        self.done(self.first, "destroy", hats__uri=TEACHER)
        told = {nick(each): [uri for uri, _, _ in worn(each)] for each in self.presences(self.third)}
        self.assertEqual(told, {"thirdwitch": [], "secondwitch": [PROCTOR]})
        self.assertEqual(self.room.wearers, {self.second.bare: (PROCTOR,)})

    @spec("XEP-0317", "3.7")
    def test_assigned(self) -> None:
        """Owners may know who wears what."""
        self.assign(self.third)
        self.assign("away@example.net", PROCTOR)
        (form,) = (e for e in self.done(self.first, "list-assigned").elements() if e.qname == forms.FORM)
        expected = [
            (self.third.bare, TEACHER, "Teacher", "12.5"),
            ("away@example.net", PROCTOR, "Test 'n' <Proctor>", ""),
        ]
        self.assertEqual(rows(form), expected)

    def test_mistakes(self) -> None:
        """Only users can wear hats, and only those there are."""
        for bad, condition in (
            ({"hats__jid": "example.org"}, "bad-request"),
            ({"hats__jid": ""}, "bad-request"),
            ({"hats__jid": "@"}, "jid-malformed"),
            ({"hats__uri": "urn:x"}, "item-not-found"),
        ):
            fields = {"hats__jid": self.third.bare, "hats__uri": TEACHER, **bad}
            self.assertEqual(conditionOf(self.command(self.first, "assign", **fields)), condition)

    def test_bounds(self) -> None:
        """Only so many hats for one, and only so many wearers."""
        for number in range(hats.MOST_EACH):
            self.create(f"urn:{number}")
            self.assign(self.third, f"urn:{number}")
        fields = {"hats__jid": self.third.bare, "hats__uri": TEACHER}
        self.assertEqual(conditionOf(self.command(self.first, "assign", **fields)), "resource-constraint")
        self.patch(hats, "WEARERS", 1)
        fields["hats__jid"] = self.second.bare
        self.assertEqual(conditionOf(self.command(self.first, "assign", **fields)), "resource-constraint")
        self.assertEqual(list(self.room.wearers), [self.third.bare])

    @spec("mission", "A7")
    def test_removed(self) -> None:
        """With the account its hats are gone, in the store, too."""
        self.assign(self.third)
        self.assertIn("cave", self.service._mentioned[self.third.bare])
        self.successResultOf(self.rig.host.registrar.remove(self.third.bare))
        self.assertEqual((self.room.wearers, self.room.badges), ({}, {}))
        self.assertNotIn(self.third.bare, self.service._mentioned)
        self.assertEqual(self.successResultOf(self.store.facts.all(ROOM, "room-hats")), {})
        self.rig.clock.advance(1)
        self.rig.account("hag66")
        self.assertEqual([worn(each) for each in self.enter(self.person("hag66"), "later")[:-1]], [[], [], []])

    def test_storeFails(self) -> None:
        """What can't be stored doesn't take effect."""
        self.store.failWrites = True
        fields = {"hats__jid": self.third.bare, "hats__uri": TEACHER}
        self.assertEqual(conditionOf(self.command(self.first, "assign", **fields)), "resource-constraint")
        self.assertEqual((self.room.wearers, self.third.take()), ({}, []))

    def test_survive(self) -> None:
        """Hats and wearers survive a restart, and go with the room."""
        self.assign(self.third)
        self.assign("away@example.net", PROCTOR)
        self.done(self.first, "unassign", hats__jid="away@example.net", hats__uri=PROCTOR)
        self.start()
        self.assertEqual((list(self.room.hats), self.room.wearers), ([TEACHER, PROCTOR], {self.third.bare: (TEACHER,)}))
        self.assertEqual(worn(self.enter(self.third, "t")[0]), [(TEACHER, "Teacher", "12.5")])
        self.assertIn("cave", self.service._mentioned[self.third.bare])
        self.successResultOf(self.service.destroy(ROOM))
        self.assertEqual(self.successResultOf(self.store.facts.kinds(ROOM)), {})
        self.assertEqual(self.service._mentioned, {})

    def test_unreadable(self) -> None:
        """A room whose hats can't be read has none, and the log says so."""
        self.successResultOf(self.store.facts.put(ROOM, "room-hat-list", "", b"[1]"))
        self.start()
        self.assertEqual(self.room.hats, {})


class TemporaryTests(HatCase):
    """Hats of a room that doesn't stay."""

    persistent = "0"

    def test_madeToStay(self) -> None:
        """They are stored when the room is made to stay, and not before."""
        self.create()
        self.assign(self.third)
        self.assertEqual(self.successResultOf(self.store.facts.kinds(ROOM)), {})
        self.configure(persistentroom="1")
        self.start()
        self.assertEqual(self.room.wearers, {self.third.bare: (TEACHER,)})


class ValueTests(SynchronousTestCase):
    """Hats as values."""

    def test_bytes(self) -> None:
        """They survive being written; what isn't a list of hats is refused."""
        some = [Hat("urn:1", "One"), Hat("urn:2", "Zwölf", "360")]
        self.assertEqual(list(fromBytes(toBytes(some)).values()), some)
        for bad in (b"{}", b"[1]", b'[["urn:1", "x"]]', b'[["x", "x", ""]]', b'[["urn:1", 1, ""]]', b"x"):
            self.assertRaises(ValueError, fromBytes, bad)
