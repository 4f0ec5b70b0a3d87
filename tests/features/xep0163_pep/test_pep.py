"""Tests of L{xmppd.features.xep0163_pep}."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.features.xep0163_pep.base import ENTRY, EVENT, JULIET, ROMEO, TUNE, PersonalCase, caps, infoFor
from tests.marks import spec
from xmppd.features.xep0163_pep import capabilities
from xmppd.features.xep0163_pep.capabilities import REMEMBERED, Capabilities
from xmppd.ixmppd import IPersonalNodes, RosterItem
from xmppd.wire import forms
from xmppd.wire.element import parse
from xmppd.wire.stanza import fromBytes

REMOTE = "nurse@elsewhere.example/tablet"


class PublishTests(PersonalCase):
    """Publishing at home."""

    @spec("XEP-0163", "3", "4.3.3")
    def test_autoCreate(self) -> None:
        """The first item creates the node, with the smart defaults."""
        self.publish(self.juliet, TUNE, "i")
        values = forms.values(forms.formIn(self.get(self.juliet, f"<configure node='{TUNE}'/>", owner=True)))
        for name, value in (("access_model", "presence"), ("send_last_published_item", "on_sub_and_presence"), ("deliver_notifications", "1"), ("max_items", "1"), ("persist_items", "1")):
            self.assertEqual(values[f"pubsub#{name}"], (value,))

    @spec("XEP-0163", "3", "4.3.1", "4.3.2", "2.3")
    def test_notified(self) -> None:
        """Own clients and contacts that want to hear of a node do, by their full JIDs, from the bare JID."""
        self.available(self.juliet, TUNE)
        self.available(self.romeo, TUNE)
        other = self.bind(ROMEO + "/deaf", available=True)
        self.forgetAll()
        self.publish(self.juliet, TUNE, "i")
        self.assertEqual(self.told(self.romeo), [(JULIET, TUNE, "i")])
        self.assertEqual(self.told(other), [])

    @spec("XEP-0163", "4.3.1")
    def test_ownNotified(self) -> None:
        """All own clients hear of it, the publishing one too; and everybody learns which one published."""
        chamber = self.bind(JULIET + "/chamber")
        self.available(self.juliet, TUNE)
        self.available(chamber, TUNE)
        self.available(self.romeo, TUNE)
        self.forgetAll()
        self.send(self.juliet, "set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{TUNE}'><item id='i'>{ENTRY}</item></publish></pubsub>")
        for session in (self.juliet, chamber, self.romeo):
            (message,) = self.messages(session)
            self.assertEqual((message.sender, message.to, message.type), (JULIET, session.full, "headline"))
            address = message.find("http://jabber.org/protocol/address addresses").find("address")
            self.assertEqual((address.get("type"), address.get("jid")), ("replyto", JULIET + "/balcony"))

    @spec("XEP-0163", "4.2")
    @spec("XEP-0060", "9.2")
    def test_filtered(self) -> None:
        """Nobody hears of what it hasn't asked for."""
        self.available(self.romeo, "urn:other")
        self.publish(self.juliet, TUNE, "i")
        self.assertEqual(self.told(self.romeo), [])

    @spec("XEP-0163", "2.2")
    def test_ownerOnly(self) -> None:
        """Others don't publish here, and create no nodes."""
        self.publish(self.juliet, "urn:n", "i")
        for node in ("urn:n", "urn:m"):
            content = f"<publish node='{node}'><item>{ENTRY}</item></publish>"
            self.assertEqual(self.refused(self.romeo, "set", content, to=JULIET), ("auth", "forbidden"))

    @spec("XEP-0223", "3")
    @spec("XEP-0060", "7.1.5")
    def test_options(self) -> None:
        """A node created by publishing is as the options want it; private then means private."""
        self.available(self.romeo, "urn:private")
        self.publish(self.juliet, "urn:private", "a", access_model="whitelist", persist_items="true", max_items="max", send_last_published_item="never")
        self.publish(self.juliet, "urn:private", "b", access_model="whitelist")
        self.assertEqual(self.told(self.romeo), [])
        self.assertEqual(self.refused(self.romeo, "get", "<items node='urn:private'/>", to=JULIET), ("cancel", "not-allowed", "closed-node"))
        self.assertEqual(self.ids(self.juliet, "urn:private"), ["a", "b"])
        content = f"<publish node='urn:private'><item id='c'>{ENTRY}</item></publish>"
        more = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>open</value></field></x></publish-options>"
        self.assertEqual(self.refused(self.juliet, "set", content + more), ("cancel", "conflict", "precondition-not-met"))

    @spec("XEP-0163", "5")
    def test_models(self) -> None:
        """All models but authorize."""
        for model in ("open", "presence", "roster", "whitelist"):
            self.create(self.juliet, f"urn:{model}", access_model=model)
        from tests.features.xep0060_pubsub.base import form

        content = f"<create node='x'/><configure>{form({'access_model': 'authorize'})}</configure>"
        self.assertEqual(self.refused(self.juliet, "set", content)[2], "unsupported-access-model")

    @spec("XEP-0163", "4.1")
    def test_roster(self) -> None:
        """Only contacts in the group hear of a node for a group, and read it."""
        self.available(self.romeo, "urn:g")
        for group, ids in (("Enemies", []), ("Lovers", ["i"])):
            self.create(self.juliet, f"urn:{group}", access_model="roster", roster_groups_allowed=group)
            self.publish(self.juliet, f"urn:{group}", "i")
            if ids:
                found = self.get(self.romeo, f"<items node='urn:{group}'/>", to=JULIET)
                self.assertEqual([each.get("id") for each in found.elements()], ids)
            else:
                error = self.refused(self.romeo, "get", f"<items node='urn:{group}'/>", to=JULIET)
                self.assertEqual(error, ("auth", "not-authorized", "not-in-roster-group"))
        self.create(self.juliet, "urn:g", access_model="roster", roster_groups_allowed="Enemies")
        self.publish(self.juliet, "urn:g", "i")
        self.assertEqual(self.told(self.romeo), [])

    @spec("XEP-0163", "4.3.3")
    def test_blocked(self) -> None:
        """Whom the user has blocked hears nothing."""
        self.available(self.juliet)
        self.available(self.romeo, TUNE)
        self.result(self.juliet, "set", f"<block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block>")
        self.forgetAll()
        self.publish(self.juliet, TUNE, "i")
        self.assertEqual(self.told(self.romeo), [])

    def test_sizes(self) -> None:
        """Too much is too much."""
        big = "x" * 140_000
        content = f"<publish node='{TUNE}'><item><entry xmlns='urn:entry'>{big}</entry></item></publish>"
        self.assertEqual(self.refused(self.juliet, "set", content), ("modify", "not-acceptable", "payload-too-big"))

    def test_guest(self) -> None:
        """What a guest has published is gone with the guest."""
        guest = self.bind("guest@example.org/g", guest=True)
        self.publish(guest, TUNE, "i")
        self.assertEqual(len(self.successResultOf(self.rig.host.pubsub.nodes("guest@example.org"))), 1)
        guest.end()
        self.assertFalse(self.successResultOf(self.rig.host.pubsub.nodes("guest@example.org")))

    @spec("mission", "A9")
    @spec("XEP-0175", "3")
    def test_guestGivesNobodyAnything(self) -> None:
        """A guest can't have those notified who didn't ask for it: neither as subscribers nor as owners."""
        guest = self.bind("guest@example.org/g", guest=True)
        self.create(guest, "n", access_model="open")
        for jid in (JULIET, "romeo@example.org/r", "x@example.net"):
            change = f"<subscriptions node='n'><subscription jid='{jid}' subscription='subscribed'/></subscriptions>"
            self.assertEqual(self.refused(guest, "set", change, owner=True), ("cancel", "not-allowed"))
        change = f"<affiliations node='n'><affiliation jid='{JULIET}' affiliation='owner'/></affiliations>"
        self.assertEqual(self.refused(guest, "set", change, owner=True), ("cancel", "not-allowed"))
        self.publish(guest, "n", "i")
        self.assertEqual((self.told(self.juliet), self.told(self.romeo)), ([], []))

    def test_guestDecides(self) -> None:
        """A guest decides about those who have asked, and says who may read."""
        guest = self.bind("guest@example.org/g", guest=True)
        self.create(guest, "n", access_model="open")
        self.set(self.juliet, f"<subscribe node='n' jid='{JULIET}'/>", to="guest@example.org")
        change = "<subscriptions node='n'><subscription jid='{}' subscription='{}'/></subscriptions>"
        self.set(guest, change.format(JULIET, "subscribed"), owner=True)
        self.set(guest, change.format("guest@example.org", "subscribed"), owner=True)
        self.set(guest, change.format(JULIET, "none"), owner=True)
        member = f"<affiliation jid='{JULIET}' affiliation='member'/><affiliation jid='{ROMEO}' affiliation='outcast'/>"
        self.set(guest, f"<affiliations node='n'>{member}</affiliations>", owner=True)

    def test_removed(self) -> None:
        """A removed account's nodes are gone."""
        self.publish(self.juliet, TUNE, "i")
        self.successResultOf(self.rig.host.registrar.remove(JULIET))
        self.assertFalse(self.successResultOf(self.rig.host.pubsub.nodes(JULIET)))

    def test_interface(self) -> None:
        """What other features use is as it says."""
        verifyObject(IPersonalNodes, self.rig.host.personal)


class LastItemTests(PersonalCase):
    """The last item, for those who become available."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(self.juliet, TUNE, "i")
        self.publish(self.juliet, "urn:other", "o")

    @spec("XEP-0163", "4.3.3", "4.3.4")
    def test_contact(self) -> None:
        """A contact gets the last items it is interested in, with their time; once."""
        self.available(self.romeo, TUNE)
        (message,) = self.messages(self.romeo)
        self.assertIsNotNone(message.find("urn:xmpp:delay delay"))
        self.assertEqual(message.to, ROMEO + "/orchard")
        self.available(self.romeo, TUNE)
        self.assertEqual(self.told(self.romeo), [])

    @spec("XEP-0163", "4.3.4")
    def test_own(self) -> None:
        """So do the account's own clients."""
        self.available(self.juliet, TUNE)
        self.assertEqual(self.told(self.juliet), [(JULIET, TUNE, "i")])

    @spec("XEP-0163", "4.3.3")
    def test_again(self) -> None:
        """After having been away, they come again."""
        self.available(self.romeo, TUNE)
        self.rig.send(self.romeo, b"<presence type='unavailable'/>")
        self.forgetAll()
        self.available(self.romeo, TUNE)
        self.assertEqual(self.told(self.romeo), [(JULIET, TUNE, "i")])

    @spec("XEP-0060", "12.2")
    def test_newInterest(self) -> None:
        """A new interest brings the items of that, not of the old ones."""
        self.available(self.romeo, TUNE)
        self.forgetAll()
        self.available(self.romeo, TUNE, "urn:other")
        self.assertEqual(self.told(self.romeo), [(JULIET, "urn:other", "o")])

    @spec("XEP-0163", "4.1")
    def test_strangers(self) -> None:
        """Who doesn't see the presence gets nothing."""
        other = self.bind("tybalt@example.org/x")
        self.available(other, TUNE)
        self.assertEqual(self.told(other), [])

    @spec("XEP-0163", "4.3.4", "7.1")
    def test_newContact(self) -> None:
        """Whoever begins to see the presence gets the last items."""
        other = self.bind("mercutio@example.org/x")
        self.available(self.juliet)
        self.available(other, TUNE)
        self.rig.send(other, f"<presence type='subscribe' to='{JULIET}'/>".encode())
        self.forgetAll()
        self.rig.send(self.juliet, b"<presence type='subscribed' to='mercutio@example.org'/>")
        self.assertEqual(self.told(other), [(JULIET, TUNE, "i")])

    @spec("XEP-0222", "2")
    def test_never(self) -> None:
        """A node may be configured never to send its last item."""
        self.publish(self.juliet, "urn:key", "k", send_last_published_item="never")
        self.available(self.romeo, "urn:key")
        self.assertEqual(self.told(self.romeo), [])
        self.publish(self.juliet, "urn:key", "l")
        self.assertEqual(self.told(self.romeo), [(JULIET, "urn:key", "l")])

    def test_deleted(self) -> None:
        """A deleted node sends nothing."""
        self.available(self.romeo, TUNE)
        self.set(self.juliet, f"<delete node='{TUNE}'/>", owner=True)
        self.rig.send(self.romeo, b"<presence type='unavailable'/>")
        self.forgetAll()
        self.available(self.romeo, TUNE)
        self.assertEqual(self.told(self.romeo), [])


class CapabilitiesTests(PersonalCase):
    """Finding out what clients are interested in."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(self.juliet, TUNE, "i")
        self.ver = infoFor([TUNE])[1]

    @spec("XEP-0115", "5.4", "6.2")
    def test_askedOnce(self) -> None:
        """A hash is asked for once, of one client; the others wait for the same answer."""
        second = self.bind(ROMEO + "/second")
        for session in (self.romeo, second):
            self.rig.send(session, f"<presence>{caps([TUNE])}</presence>".encode())
        (question,) = self.questions(self.romeo)
        self.assertEqual(question.elements()[0].get("node"), f"urn:test#{self.ver}")
        self.assertEqual(self.questions(second), [])
        self.answerDisco(self.romeo, [TUNE])
        for session in (self.romeo, second):
            self.assertEqual(self.told(session), [(JULIET, TUNE, "i")])
        third = self.bind(ROMEO + "/third")
        self.rig.send(third, f"<presence>{caps([TUNE])}</presence>".encode())
        self.assertEqual(self.questions(third), [])
        self.assertEqual(self.told(third), [(JULIET, TUNE, "i")])

    @spec("XEP-0115", "5.4")
    def test_poisoned(self) -> None:
        """An answer that doesn't match its hash counts for nothing; the next client is asked."""
        second = self.bind(ROMEO + "/second")
        for session in (self.romeo, second):
            self.rig.send(session, f"<presence>{caps([TUNE])}</presence>".encode())
        self.answerDisco(self.romeo, [TUNE, "urn:x"])
        self.assertEqual(self.told(self.romeo), [])
        self.assertEqual(self.answerDisco(second, [TUNE]), 1)
        self.assertEqual(self.told(second), [(JULIET, TUNE, "i")])

    @spec("XEP-0115", "5.4")
    def test_unknownHash(self) -> None:
        """Of a kind of hash we can't verify, the answer holds for that client."""
        second = self.bind(ROMEO + "/second")
        self.available(self.romeo, TUNE, ver="abc", hash="whirlpool")
        self.assertEqual(self.told(self.romeo), [(JULIET, TUNE, "i")])
        self.available(second, ver="abc", hash="whirlpool")
        self.assertEqual(self.told(second), [])

    def test_noAnswer(self) -> None:
        """Who doesn't answer is waited for half a minute, and then the next is asked."""
        second = self.bind(ROMEO + "/second")
        for session in (self.romeo, second):
            self.rig.send(session, f"<presence>{caps([TUNE])}</presence>".encode())
        self.rig.clock.advance(31)
        self.assertEqual(self.answerDisco(second, [TUNE]), 1)

    def test_gone(self) -> None:
        """An answer for a presence that isn't there any more is nobody's."""
        self.rig.send(self.romeo, f"<presence>{caps([TUNE])}</presence>".encode())
        self.rig.send(self.romeo, b"<presence/>")
        self.answerDisco(self.romeo, [TUNE])
        self.assertEqual(self.told(self.romeo), [])

    def test_kept(self) -> None:
        """What was learned survives a restart."""
        self.available(self.romeo, TUNE)
        fresh = Capabilities(self.rig.host)
        self.successResultOf(fresh.load())
        found: list[frozenset[str]] = []
        found_caps = capabilities.capsOf(fromBytes(f"<presence>{caps([TUNE])}</presence>".encode()))
        assert found_caps is not None
        fresh.learn(found_caps, "a@b/c", found.append)
        self.assertEqual(found, [frozenset({TUNE})])

    def test_bounded(self) -> None:
        """So many hashes are remembered, in memory and in the store."""
        fresh = Capabilities(self.rig.host)
        for index in range(REMEMBERED + 5):
            fresh._remember(f"sha-1 {index}", frozenset(), ROMEO + "/orchard")
        facts = self.successResultOf(self.rig.host.facts.all("example.org", "caps"))
        self.assertEqual(len(facts), REMEMBERED)
        self.assertEqual(len(fresh._known), REMEMBERED)

    def test_waitingBounded(self) -> None:
        """So many clients wait for answers."""
        fresh = Capabilities(self.rig.host)
        self.rig.host.ask = lambda *arguments: Deferred()
        for index in range(capabilities.WAITING + 5):
            fresh.learn(capabilities.Caps("sha-1", "n", f"v{index}"), "a@b/c", lambda interests: None)
        self.assertEqual(len(fresh._waiting), capabilities.WAITING)

    @spec("XEP-0115", "5.2", "5.3")
    def test_verification(self) -> None:
        """The two examples."""
        simple = parse(
            b"<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' name='Exodus 0.9.1' type='pc'/>"
            b"<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/caps'/>"
            b"<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/></query>"
        )
        self.assertEqual(capabilities.verification(simple, "sha1"), "QgayPKawpkPSDYmwT/WM94uAlu0=")
        extended = parse(
            "<query xmlns='http://jabber.org/protocol/disco#info'>"
            "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/><identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
            "<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
            "<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>"
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
            "<field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field><field var='os'><value>Mac</value></field>"
            "<field var='os_version'><value>10.5.1</value></field><field var='software'><value>Psi</value></field>"
            "<field var='software_version'><value>0.11</value></field></x></query>".encode()
        )
        self.assertEqual(capabilities.verification(extended, "sha1"), "q07IKJEyjvHSyhy//CH0CxmKi8w=")

    @spec("XEP-0115", "5.4")
    def test_illFormed(self) -> None:
        """What says something twice is no answer."""
        one = "<feature var='urn:a'/>"
        for inner in (one + one, "<identity category='a' type='b'/>" * 2):
            query = parse(f"<query xmlns='http://jabber.org/protocol/disco#info'>{inner}</query>".encode())
            self.assertIsNone(capabilities.verification(query, "sha1"))


class ElsewhereTests(PersonalCase):
    """Contacts of other servers."""

    def prepare(self) -> None:
        """The nurse sees Juliet's presence."""
        super().prepare()
        self.rig.store.rosters.put(JULIET, RosterItem("nurse@elsewhere.example", subscription="both"))
        self.sent: list[object] = []
        rig = self.rig

        class Elsewhere:
            """What goes to other servers."""

            domain = "elsewhere.example"

            @staticmethod
            def deliver(stanza: object) -> None:
                """Keep it."""
                self.sent.append(stanza)

        rig.router.addDestination(Elsewhere())  # type: ignore[arg-type]

    def arrive(self, raw: str) -> None:
        """A stanza comes from another server."""
        stanza = fromBytes(raw.encode())
        for change in self.rig.host.hooks.arriving.change:
            stanza = change(stanza)
        self.rig.router.route(stanza)

    def presence(self, sender: str = REMOTE, more: str = "") -> None:
        """Presence arrives, and the question that follows is answered."""
        self.arrive(f"<presence from='{sender}' to='{JULIET}'{more}>{'' if more else caps([TUNE])}</presence>")
        for each in [each for each in self.sent if each.type == "get"]:
            query = f"<query xmlns='http://jabber.org/protocol/disco#info'>{infoFor([TUNE])[0]}</query>"
            self.arrive(f"<iq type='result' id='{each.id}' from='{sender}' to='{each.sender}'>{query}</iq>")

    def heard(self) -> list[str]:
        """Whom events were sent to, since the last time."""
        found = [each.to for each in self.sent if f"{EVENT} event" in each.childNames]
        self.sent.clear()
        return found

    @spec("XEP-0163", "4.3.2", "4.3.4")
    def test_contact(self) -> None:
        """A contact's client gets the last item, and hears of what is published until it is gone."""
        self.publish(self.juliet, TUNE, "i")
        self.presence()
        self.assertEqual(self.heard(), [REMOTE])
        self.presence()
        self.assertEqual(self.heard(), [])
        self.publish(self.juliet, TUNE, "j")
        self.assertEqual(self.heard(), [REMOTE])
        self.presence(more=" type='unavailable'")
        self.publish(self.juliet, TUNE, "k")
        self.assertEqual(self.heard(), [])

    @spec("XEP-0163", "4.1")
    @spec("XEP-0060", "9.1.3")
    def test_stranger(self) -> None:
        """Who sends presence without seeing Juliet's hears of open nodes only, and not by which client."""
        self.publish(self.juliet, TUNE, "i")
        stranger = "peter@elsewhere.example/x"
        self.presence(stranger)
        self.publish(self.juliet, TUNE, "j")
        self.assertEqual(self.heard(), [])
        from tests.features.xep0060_pubsub.base import form

        self.set(self.juliet, f"<configure node='{TUNE}'>{form({'access_model': 'open'})}</configure>", owner=True)
        self.publish(self.juliet, TUNE, "k")
        (message,) = [each for each in self.sent if f"{EVENT} event" in each.childNames]
        self.assertEqual(message.to, stranger)
        self.assertNotIn("http://jabber.org/protocol/address addresses", message.childNames)

    @spec("XEP-0163", "4.3.2")
    def test_subscribed(self) -> None:
        """Who has subscribed and shows no presence is told at the JID it subscribed; otherwise only once."""
        self.create(self.juliet, TUNE, access_model="open")
        nurse = "nurse@elsewhere.example"
        subscribe = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='{TUNE}' jid='{nurse}'/></pubsub>"
        self.arrive(f"<iq type='set' id='s' from='{REMOTE}' to='{JULIET}'>{subscribe}</iq>")
        self.publish(self.juliet, TUNE, "i")
        self.assertEqual(self.heard(), [nurse])
        self.presence()
        self.heard()
        self.publish(self.juliet, TUNE, "j")
        self.assertEqual(self.heard(), [REMOTE])


class DiscoTests(PersonalCase):
    """What disco tells of accounts."""

    def disco(self, kind: str, node: str | None = None) -> str:
        """A question."""
        attribute = "" if node is None else f" node='{node}'"
        return f"<query xmlns='http://jabber.org/protocol/disco#{kind}'{attribute}/>"

    @spec("XEP-0163", "6.1")
    @spec("XEP-0060", "9")
    def test_account(self) -> None:
        """The identity and the features of an account."""
        found = self.result(self.juliet, "get", self.disco("info"), JULIET)
        identities = {(each.get("category"), each.get("type")) for each in found.elements("identity")}
        self.assertEqual(identities, {("account", "registered"), ("pubsub", "pep")})
        features = {each.get("var") for each in found.elements("feature")}
        for name in ("access-presence", "auto-create", "auto-subscribe", "filtered-notifications", "publish-options", "last-published", "persistent-items", "pubsub-on-a-jid"):
            self.assertIn("http://jabber.org/protocol/pubsub#" + name, features)

    @spec("XEP-0223", "5")
    def test_server(self) -> None:
        """The server says that it has all that."""
        feature = PersonalCase.features[-1]
        self.assertIn(("pubsub", "pep", ""), feature.identities)
        self.assertIn("http://jabber.org/protocol/pubsub#publish-options", feature.namespaces)

    @spec("XEP-0163", "6.2")
    def test_nodes(self) -> None:
        """Contacts learn of the nodes they may read, the owner of all."""
        self.create(self.juliet, "urn:presence")
        self.create(self.juliet, "urn:private", access_model="whitelist")
        for session, nodes in ((self.romeo, ["urn:presence"]), (self.juliet, ["urn:presence", "urn:private"])):
            found = self.result(session, "get", self.disco("items"), JULIET)
            self.assertEqual([each.get("node") for each in found.elements() if each.get("node")], nodes)
        self.assertEqual(self.error(self.romeo, "get", self.disco("info", "urn:private"), JULIET), "item-not-found")
        found = self.result(self.romeo, "get", self.disco("info", "urn:presence"), JULIET)
        self.assertEqual(found.find("identity").get("type"), "leaf")

    def test_strangers(self) -> None:
        """To strangers an account without a node is like no account."""
        other = self.bind("tybalt@example.org/x")
        for account in (JULIET, "nobody@example.org"):
            self.assertEqual(self.refused(other, "get", "<items node='urn:n'/>", to=account), ("cancel", "service-unavailable"))
        self.assertEqual(self.refused(self.romeo, "get", "<items node='urn:n'/>", to=JULIET), ("cancel", "item-not-found"))

    def test_enumeration(self) -> None:
        """No request of a stranger's that isn't about a node tells whether there is such an account."""
        other = self.bind("tybalt@example.org/x")
        self.create(self.juliet, "urn:n", access_model="whitelist")
        for type, action, owner in (
            ("get", "<subscriptions/>", False),
            ("get", "<affiliations/>", False),
            ("get", "<default/>", False),
            ("get", "<default/>", True),
            ("get", "", False),
            ("set", "<x/>", False),
            ("set", "<create node='urn:m'/>", False),
            ("set", "<publish node='urn:m'><item/></publish>", False),
            ("set", "<delete node='urn:m'/>", True),
            ("set", "<subscribe node='urn:m' jid='tybalt@example.org'/>", False),
        ):
            for account in (JULIET, "nobody@example.org"):
                answer = self.refused(other, type, action, to=account, owner=owner)
                self.assertEqual(answer, ("cancel", "service-unavailable"), action)

    @spec("XEP-0060", "5.6")
    def test_own(self) -> None:
        """A stranger's subscriptions to open nodes are told."""
        self.publish(self.juliet, "urn:keys", "k", access_model="open")
        other = self.bind("tybalt@example.org/x")
        self.set(other, "<subscribe node='urn:keys' jid='tybalt@example.org'/>", to=JULIET)
        found = self.get(other, "<subscriptions/>", to=JULIET)
        self.assertEqual([each.get("node") for each in found.elements()], ["urn:keys"])

    @spec("XEP-0163", "4.1")
    def test_open(self) -> None:
        """Anybody reads an open node."""
        self.publish(self.juliet, "urn:keys", "k", access_model="open")
        other = self.bind("tybalt@example.org/x")
        found = self.get(other, "<items node='urn:keys'/>", to=JULIET)
        self.assertEqual([each.get("id") for each in found.elements()], ["k"])

    def test_affiliations(self) -> None:
        """The owner owns all nodes, whatever else there is."""
        self.create(self.juliet, "urn:n")
        found = self.get(self.juliet, "<affiliations/>")
        self.assertEqual([(each.get("node"), each.get("affiliation")) for each in found.elements()], [("urn:n", "owner")])
        change = f"<affiliations node='urn:n'><affiliation jid='{JULIET}' affiliation='none'/></affiliations>"
        self.assertEqual(self.refused(self.juliet, "set", change, owner=True)[1], "not-acceptable")
        self.affiliate(self.juliet, "urn:n", romeo="owner")
        self.assertEqual(self.refused(self.juliet, "set", change, owner=True)[1], "not-acceptable")
