"""Tests of L{xmppd.features.xep0402_bookmarks} and of the nodes that are private by themselves."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.features.xep0163_pep.base import JULIET, PersonalCase
from tests.marks import spec
from xmppd.features import (
    rfc6121_im,
    xep0030_disco,
    xep0049_private,
    xep0163_pep,
    xep0172_nick,
    xep0189_pubkeys,
    xep0402_bookmarks,
    xep0490_mds,
)
from xmppd.wire import forms
from xmppd.wire.element import Element, parse

NODE = "urn:xmpp:bookmarks:1"
OLD = "storage:bookmarks"
THEPLAY = "<conference xmlns='urn:xmpp:bookmarks:1' name='The Play' autojoin='true'><nick>JC</nick>{}</conference>"
EXTENSIONS = "<extensions><state xmlns='urn:client' minimized='true'/></extensions>"
PRIVATE = "jabber:iq:private"


class BookmarkTests(PersonalCase):
    """Juliet's bookmarks, in three ways."""

    features = (
        rfc6121_im.feature, xep0030_disco.feature, xep0049_private.feature, xep0163_pep.feature,
        xep0402_bookmarks.feature, xep0490_mds.feature, xep0172_nick.feature, xep0189_pubkeys.feature,
    )

    def add(self, room: str, more: str = "") -> None:
        """Publish a bookmark."""
        self.set(self.juliet, f"<publish node='{NODE}'><item id='{room}'>{THEPLAY.format(more)}</item></publish>")

    def private(self) -> Element:
        """The list in private storage."""
        answer = self.result(self.juliet, "get", f"<query xmlns='{PRIVATE}'><storage xmlns='{OLD}'/></query>")
        return next(answer.elements())

    def list(self) -> Element:
        """The list on the old node."""
        items = self.get(self.juliet, f"<items node='{OLD}'/>")
        return next(next(items.elements("item")).elements())

    def save(self, inner: str) -> None:
        """Write private storage."""
        self.result(self.juliet, "set", f"<query xmlns='{PRIVATE}'><storage xmlns='{OLD}'>{inner}</storage></query>")

    @spec("XEP-0402", "5.3.1", "6")
    def test_toOld(self) -> None:
        """Published bookmarks are in both old lists, each with its address."""
        self.add("play@rooms.example")
        self.add("orchard@rooms.example")
        for storage in (self.private(), self.list()):
            self.assertEqual([each.get("jid") for each in storage.elements("conference")], ["play@rooms.example", "orchard@rooms.example"])
            one = storage.find("conference")
            self.assertEqual((one.get("name"), one.get("autojoin"), one.textOf("nick")), ("The Play", "true", "JC"))

    @spec("XEP-0402", "3.5", "5.3.1")
    def test_retracted(self) -> None:
        """Retracted ones leave the lists."""
        self.add("play@rooms.example")
        self.set(self.juliet, f"<retract node='{NODE}' notify='true'><item id='play@rooms.example'/></retract>")
        for storage in (self.private(), self.list()):
            self.assertEqual(list(storage.elements()), [])

    @spec("XEP-0402", "5.3.2")
    @spec("XEP-0048", "3.1")
    def test_fromPrivate(self) -> None:
        """A list in private storage becomes items; only what differs is told."""
        self.add("play@rooms.example", EXTENSIONS)
        self.add("gone@rooms.example")
        self.available(self.juliet, NODE)
        self.forgetAll()
        inner = (
            "<conference jid='play@rooms.example' name='The Play' autojoin='true'><nick>JC</nick></conference>"
            "<conference jid='New@Rooms.example' name='New'/><conference jid='@'/><url name='w' url='http://w.example/'/>"
        )
        self.send(self.juliet, "set", f"<query xmlns='{PRIVATE}'><storage xmlns='{OLD}'>{inner}</storage></query>")
        events = [[(each.name, each.get("id")) for each in event.elements()] for event in self.events(self.juliet)]
        self.assertEqual(events, [[("item", "new@rooms.example")], [("retract", "gone@rooms.example")]])
        self.assertEqual(self.ids(self.juliet, NODE), ["play@rooms.example", "new@rooms.example"])
        self.assertEqual(len(list(self.list().elements("conference"))), 2)

    @spec("XEP-0402", "2", "5.3.2")
    def test_extensionsKept(self) -> None:
        """What an old client can't know stays when it changes a bookmark."""
        self.add("play@rooms.example", EXTENSIONS)
        self.save("<conference jid='play@rooms.example' name='Changed'/>")
        (item,) = self.get(self.juliet, f"<items node='{NODE}'/>").elements("item")
        conference = next(item.elements())
        self.assertEqual(conference.get("name"), "Changed")
        self.assertIsNotNone(conference.find("extensions").find("state", "urn:client"))

    def test_othersKept(self) -> None:
        """Web pages in private storage stay there."""
        self.save("<url name='w' url='http://w.example/'/>")
        self.add("play@rooms.example")
        self.assertEqual([each.name for each in self.private().elements()], ["conference", "url"])

    @spec("XEP-0402", "5.3", "6")
    def test_fromOldNode(self) -> None:
        """A list on the old node becomes items and private storage."""
        storage = f"<storage xmlns='{OLD}'><conference jid='play@rooms.example' name='P'><password>x</password></conference></storage>"
        self.set(self.juliet, f"<publish node='{OLD}'><item id='current'>{storage}</item></publish>")
        self.assertEqual(self.ids(self.juliet, NODE), ["play@rooms.example"])
        self.assertEqual(self.private().find("conference").textOf("password"), "x")

    def test_deleted(self) -> None:
        """Without the node there are no bookmarks."""
        self.add("play@rooms.example")
        self.set(self.juliet, f"<delete node='{NODE}'/>", owner=True)
        self.assertEqual(list(self.private().elements()), [])

    @spec("XEP-0402", "5.3", "6")
    def test_disco(self) -> None:
        """It is told that the ways are one."""
        found = self.result(self.juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", JULIET)
        features = {each.get("var") for each in found.elements("feature")}
        self.assertLessEqual({NODE + "#compat", NODE + "#compat-pep"}, features)

    @spec("XEP-0402", "5.1", "3.3")
    @spec("XEP-0490", "7")
    @spec("XEP-0189", "6")
    @spec("XEP-0172", "4.3")
    def test_defaults(self) -> None:
        """Nodes are as their specification wants them, even if a client forgets to say so."""
        for node, payload, model, most, last in (
            (NODE, "<conference xmlns='urn:xmpp:bookmarks:1'/>", "whitelist", "max", "never"),
            (OLD, "<storage xmlns='storage:bookmarks'/>", "whitelist", "1", "never"),
            ("urn:xmpp:mds:displayed:0", "<displayed xmlns='urn:xmpp:mds:displayed:0'/>", "whitelist", "max", "never"),
            ("urn:xmpp:pubkey:2", "<pubkey xmlns='urn:xmpp:pubkey:2'/>", "presence", "max", "never"),
            ("http://jabber.org/protocol/nick", "<nick xmlns='http://jabber.org/protocol/nick'>J</nick>", "presence", "1", "on_sub_and_presence"),
        ):
            self.set(self.juliet, f"<publish node='{node}'><item id='a@b'>{payload}</item></publish>")
            values = forms.values(forms.formIn(self.get(self.juliet, f"<configure node='{node}'/>", owner=True)))
            found = [forms.first(values, f"pubsub#{name}") for name in ("access_model", "max_items", "send_last_published_item")]
            self.assertEqual(found, [model, most, last], node)

    @spec("XEP-0490", "4.2")
    def test_mdsOptions(self) -> None:
        """The options clients give are met by what the node is."""
        options = {"persist_items": "true", "max_items": "max", "send_last_published_item": "never", "access_model": "whitelist"}
        for chat in ("a@example.org", "b@example.org"):
            self.publish(self.juliet, "urn:xmpp:mds:displayed:0", chat, **options)
        self.assertEqual(self.ids(self.juliet, "urn:xmpp:mds:displayed:0"), ["a@example.org", "b@example.org"])

    def test_together(self) -> None:
        """Clients that write in both ways at the same time don't wait for each other for ever."""
        held: list[Deferred[None]] = []
        items = self.rig.host.personal.items

        def slowly(account: str, node: str) -> Deferred[object]:
            gate: Deferred[None] = Deferred()
            held.append(gate)
            return gate.addCallback(lambda _: items(account, node))

        self.rig.host.personal.items = slowly
        storage = f"<storage xmlns='{OLD}'><conference jid='a@rooms.example'/></storage>"
        for content in (
            f"<publish node='{NODE}'><item id='b@rooms.example'>{THEPLAY.format('')}</item></publish>",
            f"<publish node='{OLD}'><item id='current'>{storage}</item></publish>",
        ):
            self.send(self.juliet, "set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>")
        while held:
            held.pop(0).callback(None)
        self.assertEqual([each.type for each in self.streams[self.juliet].take() if each.id == "1"], ["result", "result"])

    def test_withoutPersonal(self) -> None:
        """Without personal eventing there is nothing to follow."""
        self.rig.host.personal = None
        for feature in (xep0402_bookmarks.feature, xep0490_mds.feature, xep0172_nick.feature, xep0189_pubkeys.feature):
            feature.join(self.rig.host)

    def test_stored(self) -> None:
        """Private storage holds what the XEP says, in its own namespace."""
        self.add("play@rooms.example")
        fact = self.successResultOf(self.rig.host.facts.get(JULIET, "private", f"{OLD} storage"))
        self.assertEqual(parse(fact, PRIVATE).qname, f"{OLD} storage")
