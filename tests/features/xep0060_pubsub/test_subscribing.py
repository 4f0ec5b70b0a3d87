"""Tests of subscriptions: L{xmppd.pubsub.subscribing}, L{xmppd.features.xep0060_pubsub.correspondence}."""

from __future__ import annotations

from typing import Any

from tests.features.xep0060_pubsub.base import EVENT, PUBSUB, SERVICE, ServiceCase, form
from tests.marks import spec
from xmppd.ixmppd import ISession, RosterItem
from xmppd.wire import forms
from xmppd.wire.element import Element

SHIM = "http://jabber.org/protocol/shim"


def subscribe(jid: str = "romeo@example.org", node: str = "news", options: dict[str, Any] | None = None) -> str:
    """A request to subscribe."""
    more = "" if options is None else f"<options>{form(options, 'subscribe_options')}</options>"
    return f"<subscribe node='{node}' jid='{jid}'/>{more}"


class SubscribeTests(ServiceCase):
    """Subscribing to Juliet's nodes."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")

    @spec("XEP-0060", "6.1.1", "6.1.2", "4.2")
    def test_subscribed(self) -> None:
        """The subscriber is told the state and the id."""
        result = self.set(self.romeo, subscribe())
        subscription = result.find("subscription")
        self.assertEqual((subscription.get("node"), subscription.get("jid"), subscription.get("subscription")), ("news", "romeo@example.org", "subscribed"))
        self.assertTrue(subscription.get("subid"))

    @spec("XEP-0060", "12.3")
    def test_toSubscribedJid(self) -> None:
        """Notifications go to the JID that was subscribed."""
        self.subscribe(self.romeo, "news", "romeo@example.org/orchard")
        self.publish(self.juliet, "news", "i")
        (message,) = self.messages(self.romeo)
        self.assertEqual(message.to, "romeo@example.org/orchard")

    @spec("XEP-0060", "6.1.3.1")
    def test_others(self) -> None:
        """Nobody subscribes others, and an address is one."""
        for jid in ("juliet@example.org", "@", "romeo@elsewhere.example"):
            self.assertEqual(self.refused(self.romeo, "set", subscribe(jid)), ("modify", "bad-request", "invalid-jid"))
        self.assertEqual(self.refused(self.romeo, "set", "<subscribe node='news'/>")[2], "jid-required")

    @spec("XEP-0060", "6.1.3.12")
    def test_noNode(self) -> None:
        """There is no such node."""
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="none")), ("cancel", "item-not-found"))

    @spec("XEP-0060", "6.1.3.2", "6.5.9.6")
    def test_presence(self) -> None:
        """Those who see the presence of an owner subscribe and retrieve."""
        self.create(self.juliet, "p", access_model="presence")
        error = ("auth", "not-authorized", "presence-subscription-required")
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="p")), error)
        self.assertEqual(self.refused(self.romeo, "get", "<items node='p'/>"), error)
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="from"))
        self.subscribe(self.romeo, "p")
        self.assertEqual(self.ids(self.romeo, "p"), [])

    @spec("XEP-0060", "6.1.3.3", "6.5.9.7")
    def test_roster(self) -> None:
        """Those in a group subscribe and retrieve."""
        self.create(self.juliet, "r", access_model="roster", roster_groups_allowed=["friends", "family"])
        error = ("auth", "not-authorized", "not-in-roster-group")
        for groups, subscription in (((), "both"), (("enemies",), "both"), (("friends",), "to")):
            item = RosterItem("romeo@example.org", subscription=subscription, groups=groups)
            self.rig.store.rosters.put("juliet@example.org", item)
            self.assertEqual(self.refused(self.romeo, "set", subscribe(node="r")), error)
            self.assertEqual(self.refused(self.romeo, "get", "<items node='r'/>"), error)
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="both", groups=("family",)))
        self.subscribe(self.romeo, "r")

    @spec("XEP-0060", "6.1.3.4", "6.5.9.8", "4.5")
    def test_whitelist(self) -> None:
        """Members and the owner subscribe and retrieve, nobody else."""
        self.create(self.juliet, "w", access_model="whitelist")
        error = ("cancel", "not-allowed", "closed-node")
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="w")), error)
        self.assertEqual(self.refused(self.romeo, "get", "<items node='w'/>"), error)
        self.ids(self.juliet, "w")
        self.affiliate(self.juliet, "w", romeo="member")
        self.subscribe(self.romeo, "w")
        self.ids(self.romeo, "w")

    @spec("XEP-0060", "12.14", "14.3")
    def test_lostAccess(self) -> None:
        """Who has lost access is not notified; the subscription ends and that is told."""
        self.create(self.juliet, "p", access_model="presence")
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="from"))
        self.subscribe(self.romeo, "p")
        self.rig.store.rosters.put("juliet@example.org", RosterItem("romeo@example.org", subscription="none"))
        self.publish(self.juliet, "p", "i")
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("subscription")), ("subscription", "none"))

    @spec("XEP-0060", "6.1.3.8", "6.5.9.10", "4.1")
    def test_outcast(self) -> None:
        """Outcasts, and those who may only publish, neither subscribe nor retrieve."""
        for affiliation in ("outcast", "publish-only"):
            self.affiliate(self.juliet, "news", romeo=affiliation)
            self.assertEqual(self.refused(self.romeo, "set", subscribe()), ("auth", "forbidden"))
            self.assertEqual(self.refused(self.romeo, "get", "<items node='news'/>"), ("auth", "forbidden"))
            self.affiliate(self.juliet, "news", romeo="none")

    @spec("XEP-0060", "6.1.3.10")
    def test_unsupported(self) -> None:
        """A node may take no subscriptions."""
        self.create(self.juliet, "closed", subscribe="0")
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="closed")), ("cancel", "feature-not-implemented", "unsupported subscribe"))

    @spec("XEP-0060", "6.1.6")
    def test_again(self) -> None:
        """Subscribing again for the same is answered with what there is."""
        self.assertEqual(self.subscribe(self.romeo, "news"), self.subscribe(self.romeo, "news"))

    @spec("XEP-0060", "6.1.6", "7.1.2.4", "12.16")
    def test_several(self) -> None:
        """With other options there are several subscriptions, one notification, and it names all of them."""
        first = self.subscribe(self.romeo, "news")
        result = self.set(self.romeo, subscribe(options={"show-values": ["chat", "online"]}))
        second = result.find("subscription").get("subid")
        self.assertNotEqual(first, second)
        self.forgetAll()
        self.publish(self.juliet, "news", "i")
        (message,) = self.messages(self.romeo)
        self.assertEqual(message.childNames[-1], f"{SHIM} headers")
        headers = message.find(f"{SHIM} headers")
        self.assertEqual({each.text for each in headers.elements("header")}, {first, second})
        self.assertEqual(self.refused(self.romeo, "set", "<unsubscribe node='news' jid='romeo@example.org'/>"), ("modify", "bad-request", "subid-required"))
        self.assertEqual(self.refused(self.romeo, "get", "<items node='news'/>"), ("modify", "bad-request", "subid-required"))
        self.assertEqual(self.refused(self.romeo, "get", "<items node='news' subid='x'/>"), ("modify", "not-acceptable", "invalid-subid"))
        self.assertEqual(self.ids(self.romeo, "news", subid=first), ["i"])
        self.set(self.romeo, f"<unsubscribe node='news' jid='romeo@example.org' subid='{first}'/>")
        self.set(self.romeo, "<unsubscribe node='news' jid='romeo@example.org'/>")

    @spec("XEP-0060", "6.1.7")
    def test_lastItem(self) -> None:
        """New subscribers get the last item, with its time, if the node says so."""
        self.create(self.juliet, "s", send_last_published_item="on_sub")
        self.publish(self.juliet, "s", "a")
        self.publish(self.juliet, "s", "b")
        self.send(self.romeo, "set", f"<pubsub xmlns='{PUBSUB}'>{subscribe(node='s')}</pubsub>", SERVICE)
        (message,) = self.messages(self.romeo)
        self.assertEqual(message.find(f"{EVENT} event").find("items").find("item").get("id"), "b")
        self.assertEqual(message.find("urn:xmpp:delay delay").get("stamp"), "2001-09-09T01:46:40Z")

    @spec("XEP-0060", "12.10")
    def test_lastItemOnPresence(self) -> None:
        """Who sends presence to the service gets the last items, once."""
        self.create(self.juliet, "s", send_last_published_item="on_sub_and_presence")
        self.subscribe(self.romeo, "s")
        self.publish(self.juliet, "s", "a")
        self.forgetAll()
        presence = f"<presence from='romeo@example.org/orchard' to='{SERVICE}'/>".encode()
        for _ in range(2):
            self.rig.inject(presence)
        (message,) = self.messages(self.romeo)
        self.assertEqual(message.to, "romeo@example.org/orchard")
        self.rig.inject(presence.replace(b"/>", b" type='unavailable'/>"))
        self.rig.inject(presence)
        self.assertEqual(len(self.messages(self.romeo)), 1)

    @spec("XEP-0060", "12.4")
    def test_bounced(self) -> None:
        """Who isn't there any more is subscribed no more; other errors change nothing."""
        self.subscribe(self.romeo, "news")
        self.publish(self.juliet, "news", "i")
        (message,) = self.messages(self.romeo)
        for condition, left in (("service-unavailable", 1), ("gone", 0)):
            error = f"<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            self.rig.inject(
                f"<message type='error' id='{message.id}' from='romeo@example.org' to='{SERVICE}'>{error}</message>".encode()
            )
            self.assertEqual(len(self.successResultOf(self.host.pubsub.subscriptions(SERVICE, "news"))), left)

    @spec("XEP-0060", "8.2")
    def test_notifySub(self) -> None:
        """Owners who want to know hear of subscribers."""
        self.create(self.juliet, "n", notify_sub="1")
        self.set(self.romeo, subscribe(node="n"))
        self.set(self.romeo, "<unsubscribe node='n' jid='romeo@example.org'/>")
        found = [(event.get("jid"), event.get("subscription")) for event in self.events(self.juliet)]
        self.assertEqual(found, [("romeo@example.org", "subscribed"), ("romeo@example.org", "none")])


class UnsubscribeTests(ServiceCase):
    """Unsubscribing, and options."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subid = self.subscribe(self.romeo, "news")

    @spec("XEP-0060", "6.2.1", "6.2.2")
    def test_unsubscribed(self) -> None:
        """The new state is told, and no notification comes any more."""
        result = self.set(self.romeo, "<unsubscribe node='news' jid='romeo@example.org'/>")
        subscription = result.find("subscription")
        self.assertEqual((subscription.get("subscription"), subscription.get("subid")), ("none", self.subid))
        self.publish(self.juliet, "news", "i")
        self.assertEqual(self.messages(self.romeo), [])

    @spec("XEP-0060", "6.2.3.2", "6.2.3.3", "6.2.3.4", "6.2.3.5")
    def test_errors(self) -> None:
        """Whatever can be wrong is told."""
        for content, error in (
            ("node='news' jid='romeo@example.org/x'", ("cancel", "unexpected-request", "not-subscribed")),
            ("node='news' jid='juliet@example.org'", ("auth", "forbidden")),
            ("node='none' jid='romeo@example.org'", ("cancel", "item-not-found")),
            ("node='news' jid='romeo@example.org' subid='x'", ("modify", "not-acceptable", "invalid-subid")),
            ("node='news'", ("modify", "bad-request", "jid-required")),
        ):
            self.assertEqual(self.refused(self.romeo, "set", f"<unsubscribe {content}/>"), error)

    @spec("XEP-0060", "6.3.2", "6.3.3", "6.3.5", "6.3.6.1")
    def test_options(self) -> None:
        """The form shows what is; submitting it changes that."""
        options = "<options node='news' jid='romeo@example.org'/>"
        found = self.get(self.romeo, options)
        self.assertEqual(forms.first(forms.values(forms.formIn(found)), "pubsub#deliver"), "1")
        self.set(self.romeo, options.replace("/>", f">{form({'deliver': 'false'}, 'subscribe_options')}</options>"))
        found = self.get(self.romeo, options)
        self.assertEqual(forms.first(forms.values(forms.formIn(found)), "pubsub#deliver"), "0")
        self.publish(self.juliet, "news", "i")
        self.assertEqual(self.messages(self.romeo), [])

    @spec("XEP-0060", "6.3.4.1", "6.3.4.2", "6.3.4.3", "6.3.4.5", "6.3.4.7")
    def test_optionErrors(self) -> None:
        """Whatever can be wrong is told."""
        for content, error in (
            ("node='news' jid='juliet@example.org'", ("auth", "forbidden")),
            ("node='news' jid='romeo@example.org/x'", ("modify", "unexpected-request", "not-subscribed")),
            ("node='news'", ("modify", "bad-request", "jid-required")),
            ("node='news' jid='romeo@example.org' subid='x'", ("modify", "not-acceptable", "invalid-subid")),
            ("node='none' jid='romeo@example.org'", ("cancel", "item-not-found")),
        ):
            self.assertEqual(self.refused(self.romeo, "get", f"<options {content}/>"), error)

    @spec("XEP-0060", "6.3.6.2", "12.8")
    def test_invalidOptions(self) -> None:
        """What can't be had is refused; a digest nobody asks for is fine."""
        for values in ({"deliver": "perhaps"}, {"digest": "1"}, {"include_body": "true"}, {"show-values": "busy"}, {"expire": "soon"}, {"expire": "presence"}, {"expire": "1999-01-01T00:00:00Z"}, {"subscription_type": "nodes"}):
            content = f"<options node='news' jid='romeo@example.org'>{form(values, 'subscribe_options')}</options>"
            self.assertEqual(self.refused(self.romeo, "set", content), ("modify", "bad-request", "invalid-options"), values)
        content = form({"digest": "0", "include_body": "false"}, "subscribe_options")
        self.set(self.romeo, f"<options node='news' jid='romeo@example.org'>{content}</options>")

    @spec("XEP-0060", "6.3.7")
    def test_subscribeWithOptions(self) -> None:
        """Options can come with the subscription; what they are is told."""
        result = self.set(self.romeo, subscribe("romeo@example.org/orchard", options={"deliver": "0"}))
        values = forms.values(forms.formIn(result.find("options")))
        self.assertEqual(forms.first(values, "pubsub#deliver"), "0")

    @spec("XEP-0060", "6.4.1", "6.4.2")
    def test_default(self) -> None:
        """The default options, of the service and of a node."""
        for content in ("<default/>", "<default node='news'/>"):
            values = forms.values(forms.formIn(self.get(self.romeo, content)))
            self.assertEqual(forms.first(values, "pubsub#deliver"), "1")
        self.assertEqual(self.refused(self.romeo, "get", "<default node='none'/>")[1], "item-not-found")

    @spec("XEP-0060", "6.3.3")
    def test_shows(self) -> None:
        """Who is in a state in which notifications aren't wanted gets none."""
        content = form({"show-values": ["chat", "online"]}, "subscribe_options")
        self.set(self.romeo, f"<options node='news' jid='romeo@example.org'>{content}</options>")
        self.rig.send(self.romeo, b"<presence><show>dnd</show></presence>")
        self.publish(self.juliet, "news", "i")
        self.assertEqual(self.messages(self.romeo), [])
        self.rig.send(self.romeo, b"<presence/>")
        self.publish(self.juliet, "news", "j")
        self.assertEqual(len(self.messages(self.romeo)), 1)

    @spec("XEP-0060", "12.19")
    def test_lease(self) -> None:
        """A subscription ends when it was said to."""
        content = form({"expire": "2001-09-09T01:50:00Z"}, "subscribe_options")
        self.set(self.romeo, f"<options node='news' jid='romeo@example.org'>{content}</options>")
        self.publish(self.juliet, "news", "i")
        self.assertEqual(len(self.messages(self.romeo)), 1)
        self.rig.clock.advance(600)
        self.publish(self.juliet, "news", "j")
        self.assertEqual(self.messages(self.romeo), [])
        self.assertEqual(list(self.get(self.romeo, "<subscriptions/>").elements()), [])


class MineTests(ServiceCase):
    """What one has."""

    @spec("XEP-0060", "5.6")
    def test_subscriptions(self) -> None:
        """All subscriptions of all resources, or those of one node; an empty list if there are none."""
        self.assertEqual(list(self.get(self.romeo, "<subscriptions/>").elements()), [])
        for node in ("a", "b"):
            self.create(self.juliet, node)
            self.subscribe(self.romeo, node)
        self.subscribe(self.romeo, "b", "romeo@example.org/orchard")
        self.subscribe(self.juliet, "b")

        def found(content: str) -> list[tuple[str | None, ...]]:
            return sorted((each.get("node"), each.get("jid"), each.get("subscription")) for each in self.get(self.romeo, content).elements())

        b = [("b", "romeo@example.org", "subscribed"), ("b", "romeo@example.org/orchard", "subscribed")]
        self.assertEqual(found("<subscriptions/>"), [("a", "romeo@example.org", "subscribed"), *b])
        self.assertEqual(found("<subscriptions node='b'/>"), b)

    @spec("XEP-0060", "5.7")
    def test_affiliations(self) -> None:
        """All affiliations, or that with one node."""
        self.assertEqual(list(self.get(self.romeo, "<affiliations/>").elements()), [])
        self.create(self.juliet, "a")
        self.create(self.romeo, "b")
        self.affiliate(self.juliet, "a", romeo="publisher")

        def found(content: str) -> dict[str, str]:
            return {each.get("node"): each.get("affiliation") for each in self.get(self.romeo, content).elements()}

        self.assertEqual(found("<affiliations/>"), {"a": "publisher", "b": "owner"})
        self.assertEqual(found("<affiliations node='a'/>"), {"a": "publisher"})


class TooManyTests(ServiceCase):
    """Bounds of subscriptions."""

    serviceOptions = {"subscriptions": 2}

    @spec("XEP-0060", "6.1.3.9")
    def test_tooMany(self) -> None:
        """One entity has so many subscriptions."""
        self.create(self.juliet, "a")
        self.create(self.juliet, "b")
        self.create(self.juliet, "c")
        self.subscribe(self.romeo, "a")
        self.subscribe(self.romeo, "b")
        error = ("wait", "policy-violation", "too-many-subscriptions")
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="c")), error)


class ApprovalTests(ServiceCase):
    """Subscriptions that have to be approved."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "club", access_model="authorize")
        result = self.set(self.romeo, subscribe(node="club"))
        self.state = result.find("subscription").get("subscription")
        (self.asked,) = self.messages(self.juliet)

    def answer(self, allow: str | None, session: ISession | None = None) -> None:
        """An owner's answer; None cancels."""
        asked = forms.values(self.asked.find("jabber:x:data x"))
        if allow is None:
            inner = "<x xmlns='jabber:x:data' type='cancel'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#subscribe_authorization</value></field></x>"
        else:
            values = {name.partition("#")[2]: value for name, value in asked.items() if name.startswith("pubsub#")}
            inner = form({**values, "allow": allow}, "subscribe_authorization")
        message = f"<message to='{SERVICE}' id='{self.asked.id}'>{inner}</message>"
        self.rig.send(session or self.juliet, message.encode())

    def states(self) -> list[str]:
        """The states Romeo was told of."""
        return [event.get("subscription") or "" for event in self.events(self.romeo)]

    @spec("XEP-0060", "6.1.4", "8.6")
    def test_asked(self) -> None:
        """The subscriber is pending, the owner gets a form."""
        self.assertEqual(self.state, "pending")
        values = forms.values(self.asked.find("jabber:x:data x"))
        self.assertEqual(forms.first(values, "pubsub#node"), "club")
        self.assertEqual(forms.first(values, "pubsub#subscriber_jid"), "romeo@example.org")
        self.assertIn("pubsub#allow", values)

    @spec("XEP-0060", "8.6", "12.14")
    def test_approved(self) -> None:
        """Approval is told, and gives access."""
        self.publish(self.juliet, "club", "i")
        self.assertEqual(self.messages(self.romeo), [])
        self.assertEqual(self.refused(self.romeo, "get", "<items node='club'/>"), ("auth", "not-authorized", "not-subscribed"))
        self.answer("true")
        self.assertEqual(self.states(), ["subscribed"])
        self.assertEqual(self.ids(self.romeo, "club"), ["i"])

    @spec("XEP-0060", "8.6")
    def test_denied(self) -> None:
        """Denial is told, and one may ask again."""
        self.answer("0")
        self.assertEqual(self.states(), ["none"])
        self.set(self.romeo, subscribe(node="club"))

    @spec("XEP-0060", "8.6")
    def test_cancelled(self) -> None:
        """Who cancels the form leaves the request pending."""
        self.answer(None)
        self.assertEqual(self.states(), [])
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="club")), ("auth", "not-authorized", "pending-subscription"))

    @spec("XEP-0060", "14.2")
    def test_notByOthers(self) -> None:
        """Nobody approves oneself."""
        self.answer("1", self.romeo)
        self.assertEqual(self.states(), [])
        self.assertEqual(self.refused(self.romeo, "set", subscribe(node="club"))[2], "pending-subscription")

    @spec("XEP-0060", "8.7.4")
    def test_affiliated(self) -> None:
        """Who becomes a publisher is approved, who becomes an outcast is refused."""
        self.affiliateQuietly("publisher")
        self.assertEqual(self.states(), ["subscribed"])
        self.set(self.romeo, "<unsubscribe node='club' jid='romeo@example.org'/>")
        self.affiliateQuietly("none")
        self.set(self.romeo, subscribe(node="club"))
        self.affiliateQuietly("outcast")
        self.assertEqual(self.states(), ["none"])

    def affiliateQuietly(self, affiliation: str) -> None:
        """Change Romeo's affiliation."""
        change = f"<affiliation jid='romeo@example.org' affiliation='{affiliation}'/>"
        self.set(self.juliet, f"<affiliations node='club'>{change}</affiliations>", owner=True)

    @spec("XEP-0060", "8.7.1", "8.7.2", "8.7.4")
    def test_pendingCommand(self) -> None:
        """By an ad-hoc command owners have the requests sent again."""
        command = "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/pubsub#get-pending'{}"
        answer = self.result(self.juliet, "set", command.format(" action='execute'/>"), SERVICE)
        field = [each for each in forms.formIn(answer).elements("field") if each.get("var") == "pubsub#node"]
        self.assertEqual([option.textOf("value") for option in field[0].elements("option")], ["club"])
        session = answer.get("sessionid")
        self.forgetAll()
        self.send(self.juliet, "set", command.format(f" action='complete' sessionid='{session}'>{form({'node': 'club'}, 'subscribe_authorization')}</command>"), SERVICE)
        (message,) = self.messages(self.juliet)
        self.assertEqual(forms.formTypeOf(message.find("jabber:x:data x")), "http://jabber.org/protocol/pubsub#subscribe_authorization")

    @spec("XEP-0060", "8.7.3.3")
    def test_pendingForbidden(self) -> None:
        """Who owns nothing has nothing to approve."""
        command = "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/pubsub#get-pending'/>"
        self.assertEqual(self.error(self.romeo, "set", command, SERVICE), "forbidden")

    def test_otherMessages(self) -> None:
        """A service isn't somebody to talk to."""
        self.rig.send(self.romeo, f"<message to='{SERVICE}' type='chat'><body>hi</body></message>".encode())
        (answer,) = self.messages(self.romeo)
        self.assertEqual(answer.type, "error")


class PageTests(ServiceCase):
    """Retrieving items, and pages of them."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        for index in range(10):
            self.publish(self.juliet, "news", f"i{index}")

    def page(self, content: str) -> tuple[str, Element]:
        """The numbers of the items of a page, and its set."""
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"
        answer = self.request(self.romeo, "get", f"<items node='news'/>{rsm}")
        self.assertEqual(answer.type, "result", answer.raw)
        pubsub = answer.elements()[0]
        items = "".join((item.get("id") or "")[1:] for item in pubsub.find("items").elements("item"))
        return items, pubsub.find("set", "http://jabber.org/protocol/rsm")

    @spec("XEP-0060", "6.5.2", "6.5.3", "6.5.1")
    def test_all(self) -> None:
        """All items, in the order of publication, for anybody at an open node."""
        self.assertEqual(self.ids(self.romeo, "news"), [f"i{index}" for index in range(10)])

    @spec("XEP-0060", "6.5.7")
    def test_newest(self) -> None:
        """The newest so many."""
        self.assertEqual(self.ids(self.romeo, "news", max_items=3), ["i7", "i8", "i9"])
        self.assertEqual(len(self.ids(self.romeo, "news", max_items=300)), 10)

    @spec("XEP-0060", "6.5.6", "6.5.8", "6.5.9.12")
    def test_byId(self) -> None:
        """Items by id; those that aren't there are left out."""
        found = self.get(self.romeo, "<items node='news'><item id='i4'/><item id='x'/><item id='i2'/></items>")
        self.assertEqual([item.get("id") for item in found.elements("item")], ["i4", "i2"])
        self.assertEqual(list(self.get(self.romeo, "<items node='news'><item id='x'/></items>").elements()), [])

    @spec("XEP-0059", "2.1", "2.2")
    def test_forwards(self) -> None:
        """Page after page."""
        items, page = self.page("<max>4</max>")
        self.assertEqual(items, "0123")
        self.assertEqual((page.find("first").get("index"), page.textOf("first"), page.textOf("last"), page.textOf("count")), ("0", "i0", "i3", "10"))
        items, page = self.page("<max>4</max><after>i3</after>")
        self.assertEqual((items, page.find("first").get("index")), ("4567", "4"))
        self.assertEqual(self.page("<max>4</max><after>i7</after>")[0], "89")
        self.assertEqual(self.page("<max>4</max><after>i9</after>")[0], "")

    @spec("XEP-0059", "2.3", "2.5")
    def test_backwards(self) -> None:
        """The last page, and those before it."""
        self.assertEqual(self.page("<max>4</max><before/>")[0], "6789")
        items, page = self.page("<max>4</max><before>i6</before>")
        self.assertEqual((items, page.find("first").get("index")), ("2345", "2"))

    @spec("XEP-0059", "2.4", "2.6", "2.7")
    def test_others(self) -> None:
        """By index; the count alone; an unknown id."""
        self.assertEqual(self.page("<max>2</max><index>5</index>")[0], "56")
        self.assertEqual(self.page("<max>2</max><index>500</index>")[0], "")
        items, page = self.page("<max>0</max>")
        self.assertEqual((items, page.textOf("count"), page.find("first")), ("", "10", None))
        rsm = "<set xmlns='http://jabber.org/protocol/rsm'><after>x</after></set>"
        self.assertEqual(self.refused(self.romeo, "get", f"<items node='news'/>{rsm}"), ("cancel", "item-not-found"))

    @spec("XEP-0060", "6.5.9.4", "6.5.9.11")
    def test_errors(self) -> None:
        """No such node; a node without items."""
        self.assertEqual(self.refused(self.romeo, "get", "<items node='none'/>"), ("cancel", "item-not-found"))
        self.create(self.juliet, "passing", persist_items="0")
        self.assertEqual(self.refused(self.romeo, "get", "<items node='passing'/>"), ("cancel", "feature-not-implemented", "unsupported persistent-items"))

    @spec("XEP-0060", "6.5.4")
    def test_truncated(self) -> None:
        """Too much for one answer: the newest, and which part of the whole they are."""
        self.create(self.juliet, "large")
        for index in range(20):
            self.publish(self.juliet, "large", f"i{index}", "x" * 60_000)
        pubsub = self.request(self.romeo, "get", "<items node='large'/>").elements()[0]
        items = list(pubsub.find("items").elements("item"))
        page = pubsub.find("set", "http://jabber.org/protocol/rsm")
        self.assertEqual([item.get("id") for item in items], ["i17", "i18", "i19"])
        self.assertEqual((page.find("first").get("index"), page.textOf("count")), ("17", "20"))
