"""Tests of what owners do: L{xmppd.pubsub.owning}, L{xmppd.pubsub.people}, and creating nodes."""

from __future__ import annotations

from tests.features.xep0060_pubsub.base import EVENT, OWNER, SERVICE, ServiceCase, form
from tests.marks import spec
from xmppd.ixmppd import RosterItem
from xmppd.wire import forms
from xmppd.wire.element import Element


class CreateTests(ServiceCase):
    """Creating nodes."""

    @spec("XEP-0060", "8.1.1", "8.1.2")
    def test_created(self) -> None:
        """A user creates a node and owns it."""
        self.set(self.romeo, "<create node='news'/>")
        found = self.get(self.romeo, "<affiliations node='news'/>", owner=True)
        self.assertEqual([(each.get("jid"), each.get("affiliation")) for each in found.elements()], [("romeo@example.org", "owner")])

    @spec("XEP-0060", "8.1.1")
    def test_conflict(self) -> None:
        """There is only one node of a name."""
        self.create(self.juliet, "news")
        self.assertEqual(self.refused(self.romeo, "set", "<create node='news'/>"), ("cancel", "conflict"))

    @spec("XEP-0060", "8.1.1")
    def test_instant(self) -> None:
        """Without a name the service makes one, and tells it."""
        result = self.set(self.romeo, "<create/>")
        node = result.find("create").get("node")
        self.publish(self.romeo, node, "i")

    @spec("XEP-0060", "8.1.3", "8.1.2")
    def test_configured(self) -> None:
        """A node can be configured as it is created."""
        self.create(self.romeo, "news", title="News", access_model="whitelist", max_items="5")
        values = self.config("news")
        self.assertEqual([forms.first(values, f"pubsub#{name}") for name in ("title", "access_model", "max_items")], ["News", "whitelist", "5"])

    def config(self, node: str) -> forms.Values:
        """The configuration of a node of Romeo's."""
        return forms.values(forms.formIn(self.get(self.romeo, f"<configure node='{node}'/>", owner=True)))

    @spec("XEP-0060", "8.1.2")
    def test_badConfiguration(self) -> None:
        """What can't be had is refused, and no node is made."""
        for values, error in (
            ({"access_model": "chess"}, ("modify", "not-acceptable", "unsupported-access-model")),
            ({"node_type": "collection"}, ("cancel", "feature-not-implemented", "unsupported collections")),
            ({"persist_items": "maybe"}, ("modify", "not-acceptable")),
            ({"max_items": "-1"}, ("modify", "not-acceptable")),
            ({"max_items": "9" * 5000}, ("modify", "not-acceptable")),
            ({"title": "x" * 5000}, ("modify", "not-acceptable")),
            ({"title": ["a", "b"]}, ("modify", "not-acceptable")),
            ({"contact": "@"}, ("modify", "not-acceptable")),
            ({"roster_groups_allowed": ["g"] * 101}, ("modify", "not-acceptable")),
            ({"purge_offline": "1"}, ("modify", "not-acceptable")),
        ):
            content = f"<create node='news'/><configure>{form(values)}</configure>"
            self.assertEqual(self.refused(self.romeo, "set", content), error, values)
        self.create(self.romeo, "news", node_type="leaf", purge_offline="0", unknown="1")

    def test_absurdName(self) -> None:
        """A name beyond all measure is refused; one that can't be there isn't found."""
        self.assertEqual(self.refused(self.romeo, "set", f"<create node='{'x' * 600}'/>")[1], "not-acceptable")
        self.assertEqual(self.refused(self.romeo, "set", "<create node=''/>")[1], "not-acceptable")
        self.assertEqual(self.refused(self.romeo, "get", f"<items node='{'x' * 600}'/>")[1], "item-not-found")

    @spec("XEP-0060", "8.1.1")
    def test_guests(self) -> None:
        """Guests, and people from elsewhere, create no nodes."""
        guest = self.bind("guest@example.org/g", guest=True)
        self.assertEqual(self.refused(guest, "set", "<create node='news'/>"), ("auth", "forbidden"))


class AdminsTests(ServiceCase):
    """A service where administrators create nodes."""

    serviceOptions = {"create": "admins"}

    @spec("XEP-0060", "8.1.1")
    def test_admins(self) -> None:
        """Users don't; administrators do, and may do everything."""
        self.assertEqual(self.refused(self.romeo, "set", "<create node='news'/>"), ("auth", "forbidden"))
        self.create(self.admin, "news")
        self.publish(self.admin, "news", "i")
        self.affiliate(self.admin, "news", romeo="owner")
        self.publish(self.romeo, "news", "j")


class ConfigureTests(ServiceCase):
    """Configuring a node of Juliet's."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subscribe(self.romeo, "news")

    def configure(self, **values: object) -> None:
        """Change the configuration."""
        self.set(self.juliet, f"<configure node='news'>{form(values)}</configure>", owner=True)

    @spec("XEP-0060", "8.2.1", "8.2.2")
    def test_form(self) -> None:
        """The form has types, labels and choices, and the present values."""
        found = forms.formIn(self.get(self.juliet, "<configure node='news'/>", owner=True))
        self.assertEqual((found.get("type"), forms.formTypeOf(found)), ("form", "http://jabber.org/protocol/pubsub#node_config"))
        model = next(each for each in found.elements("field") if each.get("var") == "pubsub#access_model")
        self.assertEqual(model.textOf("value"), "open")
        self.assertEqual({each.textOf("value") for each in model.elements("option")}, {"authorize", "open", "presence", "roster", "whitelist"})

    @spec("XEP-0060", "8.2.4", "8.2.5.1")
    def test_configured(self) -> None:
        """What is submitted changes, everything else stays."""
        self.configure(title="A")
        self.configure(description="B")
        values = forms.values(forms.formIn(self.get(self.juliet, "<configure node='news'/>", owner=True)))
        self.assertEqual((values["pubsub#title"], values["pubsub#description"]), (("A",), ("B",)))

    @spec("XEP-0060", "8.2.4")
    def test_cancelled(self) -> None:
        """A cancelled form changes nothing."""
        self.set(self.juliet, "<configure node='news'><x xmlns='jabber:x:data' type='cancel'/></configure>", owner=True)

    @spec("XEP-0060", "8.2.5.3")
    def test_notified(self) -> None:
        """If the node says so, subscribers get the new configuration; without payloads the bare event."""
        self.configure(notify_config="1", title="A")
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("node")), ("configuration", "news"))
        self.assertEqual(forms.first(forms.values(forms.formIn(Element("c", EVENT, {}, event.children)) or event.find("x", "jabber:x:data")), "pubsub#title"), "A")
        self.configure(deliver_payloads="0")
        (event,) = self.events(self.romeo)
        self.assertEqual(event.children, ())

    def test_fewerItems(self) -> None:
        """Fewer items are kept at once; none, if items aren't kept any more."""
        for id in "abc":
            self.publish(self.juliet, "news", id)
        self.configure(max_items="2")
        self.assertEqual(self.ids(self.juliet, "news"), ["b", "c"])
        self.configure(persist_items="0")
        self.assertEqual(self.successResultOf(self.host.pubsub.countItems(SERVICE, "news")), 0)

    @spec("XEP-0060", "12.14")
    def test_closed(self) -> None:
        """Who loses access by a change is subscribed no more, and hears of it."""
        self.configure(access_model="whitelist")
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("subscription")), ("subscription", "none"))

    @spec("XEP-0060", "8.2.3.2", "8.2.3.3", "8.2.3.5", "14.2")
    def test_errors(self) -> None:
        """Others may not; the node has to be named, and to be."""
        submitted = form({"title": "x"})
        for type, content in (
            ("get", "<configure node='news'/>"), ("set", f"<configure node='news'>{submitted}</configure>"),
            ("set", "<delete node='news'/>"), ("set", "<purge node='news'/>"),
            ("get", "<subscriptions node='news'/>"), ("get", "<affiliations node='news'/>"),
            ("set", "<subscriptions node='news'><subscription jid='a@b' subscription='none'/></subscriptions>"),
            ("set", "<affiliations node='news'><affiliation jid='a@b' affiliation='none'/></affiliations>"),
        ):
            self.assertEqual(self.refused(self.romeo, type, content, owner=True), ("auth", "forbidden"), content)
            missing = content.replace("node='news'", "node='none'")
            self.assertEqual(self.refused(self.juliet, type, missing, owner=True), ("cancel", "item-not-found"), content)
            unnamed = content.replace(" node='news'", "")
            self.assertEqual(self.refused(self.juliet, type, unnamed, owner=True), ("modify", "bad-request", "nodeid-required"), content)
        self.assertEqual(self.refused(self.juliet, "set", "<configure node='news'/>", owner=True)[1], "bad-request")

    @spec("XEP-0060", "8.3.1", "8.3.3")
    def test_default(self) -> None:
        """The default configuration, of leaves only."""
        found = forms.formIn(self.get(self.romeo, "<default/>", owner=True))
        self.assertEqual(forms.first(forms.values(found), "pubsub#access_model"), "open")
        self.assertEqual(self.refused(self.romeo, "get", "<default type='collection'/>", owner=True)[2], "unsupported collections")


class DeleteTests(ServiceCase):
    """Deleting and purging."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subscribe(self.romeo, "news")
        self.publish(self.juliet, "news", "i")
        self.forgetAll()

    @spec("XEP-0060", "8.4.1", "8.4.2")
    def test_deleted(self) -> None:
        """The node is gone, subscribers are told where there is another."""
        self.set(self.juliet, "<delete node='news'><redirect uri='xmpp:x@example.org?;node=blog'/></delete>", owner=True)
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("node"), event.find("redirect").get("uri")), ("delete", "news", "xmpp:x@example.org?;node=blog"))
        self.assertEqual(self.refused(self.romeo, "get", "<items node='news'/>"), ("cancel", "item-not-found"))

    @spec("XEP-0060", "8.4.2")
    def test_pendingToo(self) -> None:
        """Who waits for approval hears of the end, too."""
        self.create(self.juliet, "club", access_model="authorize")
        self.set(self.romeo, "<subscribe node='club' jid='romeo@example.org'/>")
        self.forgetAll()
        self.set(self.juliet, "<delete node='club'/>", owner=True)
        self.assertEqual([event.name for event in self.events(self.romeo)], ["delete"])

    def test_withoutAccess(self) -> None:
        """Who has lost access meanwhile hears of the end of the subscription, and the node is gone all the same."""
        self.create(self.juliet, "p", access_model="presence")
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="from"))
        self.subscribe(self.romeo, "p")
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="none"))
        self.set(self.juliet, "<delete node='p'/>", owner=True)
        self.assertEqual([event.name for event in self.events(self.romeo)], ["subscription"])

    @spec("XEP-0060", "8.5.1", "8.5.2")
    def test_purged(self) -> None:
        """All items are gone, one event tells so."""
        self.publish(self.juliet, "news", "j")
        self.forgetAll()
        self.set(self.juliet, "<purge node='news'/>", owner=True)
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("node")), ("purge", "news"))
        self.assertEqual(self.ids(self.romeo, "news"), [])

    @spec("XEP-0060", "8.5.3.3")
    def test_nothingToPurge(self) -> None:
        """A node without items can't be purged."""
        self.create(self.juliet, "passing", persist_items="0")
        self.assertEqual(self.refused(self.juliet, "set", "<purge node='passing'/>", owner=True), ("cancel", "feature-not-implemented", "unsupported persistent-items"))


class AffiliationTests(ServiceCase):
    """Affiliations."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")

    def found(self) -> dict[str | None, str | None]:
        """The affiliations there are."""
        answer = self.get(self.juliet, "<affiliations node='news'/>", owner=True)
        return {each.get("jid"): each.get("affiliation") for each in answer.elements()}

    @spec("XEP-0060", "8.9.1.2", "8.9.2.1", "8.9.3")
    def test_changed(self) -> None:
        """Affiliations are given and taken."""
        self.affiliate(self.juliet, "news", romeo="publisher", mercutio="member", tybalt="outcast")
        self.assertEqual(self.found(), {"juliet@example.org": "owner", "romeo@example.org": "publisher", "mercutio@example.org": "member", "tybalt@example.org": "outcast"})
        self.affiliate(self.juliet, "news", romeo="none")
        self.assertNotIn("romeo@example.org", self.found())

    @spec("XEP-0060", "8.9.2.4", "8.2.5.2")
    def test_lastOwner(self) -> None:
        """The last owner stays; all other changes of the request are made."""
        changes = "<affiliation jid='juliet@example.org' affiliation='none'/><affiliation jid='romeo@example.org' affiliation='publisher'/>"
        answer = self.request(self.juliet, "set", f"<affiliations node='news'>{changes}</affiliations>", owner=True)
        self.assertEqual(answer.type, "error")
        pubsub, error = answer.elements()
        self.assertEqual(pubsub.qname, f"{OWNER} pubsub")
        self.assertEqual([(each.get("jid"), each.get("affiliation")) for each in pubsub.find("affiliations").elements()], [("juliet@example.org", "owner")])
        self.assertIsNotNone(error.find("not-acceptable", "urn:ietf:params:xml:ns:xmpp-stanzas"))
        self.assertEqual(self.found()["romeo@example.org"], "publisher")

    @spec("XEP-0060", "4.1", "8.9.2.4")
    def test_resign(self) -> None:
        """With another owner, one may resign, but not become something less at once."""
        self.affiliate(self.juliet, "news", romeo="owner")
        change = "<affiliations node='news'><affiliation jid='juliet@example.org' affiliation='{}'/></affiliations>"
        for affiliation in ("member", "publisher", "outcast"):
            self.assertEqual(self.refused(self.juliet, "set", change.format(affiliation), owner=True)[1], "not-acceptable")
        self.set(self.juliet, change.format("none"), owner=True)
        self.assertEqual(self.refused(self.juliet, "get", "<affiliations node='news'/>", owner=True)[1], "forbidden")

    @spec("XEP-0060", "8.9.2.4", "4.1")
    def test_bad(self) -> None:
        """Somebody twice, what is no affiliation, full JIDs, and what isn't an address."""
        one = "<affiliation jid='romeo@example.org' affiliation='member'/>"
        for changes, condition in (
            (one + one, "bad-request"), ("", "bad-request"), (one.replace("member", "king"), "bad-request"),
            (one.replace(".org'", ".org/x'"), "not-acceptable"), (one.replace("romeo@example.org", "@"), "jid-malformed"),
        ):
            content = f"<affiliations node='news'>{changes}</affiliations>"
            self.assertEqual(self.refused(self.juliet, "set", content, owner=True)[1], condition, changes)

    @spec("XEP-0060", "12.14")
    def test_outcastSubscriber(self) -> None:
        """An outcast's subscription ends, and that is told."""
        self.subscribe(self.romeo, "news")
        change = "<affiliation jid='romeo@example.org' affiliation='outcast'/>"
        self.set(self.juliet, f"<affiliations node='news'>{change}</affiliations>", owner=True)
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("subscription")), ("subscription", "none"))


class SubscriptionTests(ServiceCase):
    """Subscriptions, as owners manage them."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subid = self.subscribe(self.romeo, "news")

    def found(self) -> list[tuple[str | None, ...]]:
        """The subscriptions there are."""
        answer = self.get(self.juliet, "<subscriptions node='news'/>", owner=True)
        return [(each.get("jid"), each.get("subscription")) for each in answer.elements()]

    def change(self, changes: str) -> str:
        """A request."""
        return f"<subscriptions node='news'>{changes}</subscriptions>"

    @spec("XEP-0060", "8.8.1.2")
    def test_list(self) -> None:
        """Approved subscriptions are listed, pending ones not."""
        self.assertEqual(self.found(), [("romeo@example.org", "subscribed")])
        self.set(self.juliet, f"<configure node='news'>{form({'access_model': 'authorize'})}</configure>", owner=True)
        other = self.bind("mercutio@example.org/x")
        self.set(other, "<subscribe node='news' jid='mercutio@example.org'/>")
        self.assertEqual(self.found(), [("romeo@example.org", "subscribed")])

    @spec("XEP-0060", "8.8.2.1", "8.8.3", "8.8.4")
    def test_changed(self) -> None:
        """Subscriptions are ended and begun, and those concerned hear of it."""
        self.set(self.juliet, self.change("<subscription jid='romeo@example.org' subscription='none'/>"), owner=True)
        self.assertEqual(self.found(), [])
        self.set(self.juliet, self.change("<subscription jid='romeo@example.org' subscription='subscribed'/>"), owner=True)
        self.assertEqual(self.found(), [("romeo@example.org", "subscribed")])
        self.assertEqual([event.get("subscription") for event in self.events(self.romeo)], ["none", "subscribed"])

    @spec("XEP-0060", "8.8.2.4")
    def test_partly(self) -> None:
        """What can't be changed is answered as it is; all else is changed."""
        changes = "<subscription jid='romeo@example.org' subscription='dreaming'/><subscription jid='a@example.org' subscription='subscribed'/>"
        answer = self.request(self.juliet, "set", self.change(changes), owner=True)
        pubsub, _ = answer.elements()
        returned = [(each.get("jid"), each.get("subscription")) for each in pubsub.find("subscriptions").elements()]
        self.assertEqual(returned, [("romeo@example.org", "subscribed")])
        self.assertEqual(dict(self.found()), {"romeo@example.org": "subscribed", "a@example.org": "subscribed"})

    @spec("XEP-0060", "8.8.2.1")
    def test_unchanged(self) -> None:
        """Without a state nothing changes."""
        self.set(self.juliet, self.change("<subscription jid='romeo@example.org'/>"), owner=True)
        self.assertEqual(self.found(), [("romeo@example.org", "subscribed")])


class DiscoTests(ServiceCase):
    """What disco tells."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news", title="The News", description="d")
        self.create(self.juliet, "secret", access_model="whitelist")
        self.publish(self.juliet, "news", "a")
        self.publish(self.juliet, "news", "b")

    def disco(self, kind: str, node: str | None = None, session: object = None) -> Element:
        """An answer."""
        attribute = "" if node is None else f" node='{node}'"
        payload = f"<query xmlns='http://jabber.org/protocol/disco#{kind}'{attribute}/>"
        answer = self.result(session or self.romeo, "get", payload, SERVICE)
        assert answer is not None
        return answer

    @spec("XEP-0060", "5.1", "3")
    def test_service(self) -> None:
        """Identity and features."""
        found = self.disco("info")
        self.assertEqual([(each.get("category"), each.get("type")) for each in found.elements("identity")], [("pubsub", "service")])
        features = {each.get("var") for each in found.elements("feature")}
        for name in ("", "#publish", "#subscribe", "#create-nodes", "#access-open", "#rsm", "#subscription-options", "#get-pending"):
            self.assertIn("http://jabber.org/protocol/pubsub" + name, features)
        self.assertNotIn("http://jabber.org/protocol/pubsub#last-published", features)

    @spec("XEP-0060", "5.2")
    def test_nodes(self) -> None:
        """The nodes one may know of."""
        found = [(each.get("jid"), each.get("node"), each.get("name")) for each in self.disco("items").elements()]
        self.assertEqual(found, [(SERVICE, "news", "The News")])
        self.assertEqual([each.get("node") for each in self.disco("items", session=self.juliet).elements()], ["news", "secret"])

    @spec("XEP-0060", "5.3", "5.4")
    def test_node(self) -> None:
        """What a node is, with its metadata."""
        self.subscribe(self.romeo, "news")
        found = self.disco("info", "news")
        identity = found.find("identity")
        self.assertEqual((identity.get("category"), identity.get("type")), ("pubsub", "leaf"))
        values = forms.values(forms.formIn(found))
        self.assertEqual(forms.formTypeOf(forms.formIn(found)), "http://jabber.org/protocol/pubsub#meta-data")
        for name, value in (("owner", "juliet@example.org"), ("creator", "juliet@example.org"), ("title", "The News"), ("creation_date", "2001-09-09T01:46:40Z"), ("num_subscribers", "1"), ("access_model", "open"), ("max_items", "max")):
            self.assertEqual(values[f"pubsub#{name}"], (value,))

    @spec("XEP-0060", "5.5")
    def test_items(self) -> None:
        """The items of a node, by name and without a node."""
        found = [(each.get("jid"), each.get("name"), each.get("node")) for each in self.disco("items", "news").elements()]
        self.assertEqual(found, [(SERVICE, "a", None), (SERVICE, "b", None)])

    def test_hidden(self) -> None:
        """Nodes one may not know of aren't there."""
        for kind in ("info", "items"):
            for node in ("secret", "none"):
                payload = f"<query xmlns='http://jabber.org/protocol/disco#{kind}' node='{node}'/>"
                self.assertEqual(self.error(self.romeo, "get", payload, SERVICE), "item-not-found")


class EndTests(ServiceCase):
    """What is left of those who are gone."""

    def test_removed(self) -> None:
        """A removed account, or a guest that has left, is nothing to any node any more."""
        self.create(self.juliet, "news")
        self.subscribe(self.romeo, "news")
        self.affiliate(self.juliet, "news", romeo="publisher")
        self.host.hooks.removed.notify("romeo@example.org")
        self.assertFalse(self.successResultOf(self.host.pubsub.subscriptions(SERVICE, "news")))
        self.assertEqual(self.successResultOf(self.host.pubsub.affiliationsOf(SERVICE, "romeo@example.org")), {})

    def publishers(self, node: str) -> list[tuple[str | None, str | None]]:
        """The ids and publishers of a node's items, as they are retrieved."""
        items = self.get(self.juliet, f"<items node='{node}'/>").elements("item")
        return [(item.get("id"), item.get("publisher")) for item in items]

    def test_publisher(self) -> None:
        """What a removed account has published stays, without its name; whoever gets the name may not retract it."""
        self.create(self.juliet, "news", publish_model="open")
        self.publish(self.romeo, "news", "his")
        self.publish(self.juliet, "news", "hers")
        self.assertEqual(self.publishers("news"), [("his", "romeo@example.org"), ("hers", "juliet@example.org")])
        self.host.hooks.removed.notify("romeo@example.org")
        self.assertEqual(self.publishers("news"), [("his", None), ("hers", "juliet@example.org")])
        retract = "<retract node='news'><item id='his'/></retract>"
        self.assertEqual(self.refused(self.romeo, "set", retract), ("auth", "forbidden"))

    def test_soleOwner(self) -> None:
        """The nodes of which a removed account was the only owner go, and their subscribers are told."""
        for name in ("his", "both"):
            self.create(self.romeo, name)
            self.subscribe(self.juliet, name)
        self.affiliate(self.romeo, "both", juliet="owner")
        self.host.hooks.removed.notify("romeo@example.org")
        self.rig.clock.advance(1)
        self.assertEqual([(event.name, event.get("node")) for event in self.events(self.juliet)], [("delete", "his")])
        self.assertEqual(self.refused(self.juliet, "get", "<items node='his'/>"), ("cancel", "item-not-found"))
        self.assertEqual(self.ids(self.juliet, "both"), [])

    def test_interrupted(self) -> None:
        """Nodes whose owner was removed before a crash go at the start; those that are there stay."""
        self.create(self.romeo, "his")
        self.create(self.juliet, "hers")
        self.successResultOf(self.rig.store.forget("romeo@example.org"))
        for observer in self.host.hooks.starting.observe:
            observer()
        self.assertEqual([each.node for each in self.successResultOf(self.host.pubsub.nodes(SERVICE))], ["hers"])

    def test_late(self) -> None:
        """What a last request wrote after the account was removed goes too, unless there is a new account."""
        for number, there in enumerate((False, True)):
            bare = f"late{number}@example.org"
            self.create(self.juliet, f"news{number}")
            if there:
                self.successResultOf(self.rig.store.accounts.create(bare, [], 0))
            self.host.hooks.removed.notify(bare)
            self.successResultOf(self.host.pubsub.setAffiliations(SERVICE, f"news{number}", {bare: "publisher"}))
            self.rig.clock.advance(1)
            found = self.successResultOf(self.host.pubsub.affiliationsOf(SERVICE, bare))
            self.assertEqual(found, {f"news{number}": "publisher"} if there else {})

    def test_stopped(self) -> None:
        """Nothing is looked for after the end."""
        self.host.hooks.removed.notify("romeo@example.org")
        for observer in self.host.hooks.stopping.observe:
            observer()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])


class AdminsEndTests(ServiceCase):
    """Where administrators create nodes."""

    serviceOptions = {"create": "admins"}

    def test_removed(self) -> None:
        """A removed administrator's nodes stay, and are the other administrators'."""
        self.create(self.admin, "news")
        self.host.hooks.removed.notify("admin@example.org")
        self.rig.clock.advance(1)
        self.assertEqual([each.node for each in self.successResultOf(self.host.pubsub.nodes(SERVICE))], ["news"])
        self.assertEqual(self.get(self.admin, "<configure node='news'/>", owner=True).name, "configure")
