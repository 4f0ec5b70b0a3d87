"""Tests of publishing: L{xmppd.pubsub.publishing} as a service has it."""

from __future__ import annotations

from tests.features.xep0060_pubsub.base import EVENT, PUBSUB, SERVICE, ServiceCase, form
from tests.marks import spec
from xmppd.ixmppd import NodeSubscription
from xmppd.wire.stanza import Stanza

ITEM = "<item id='i'><entry xmlns='urn:entry'/></item>"


def publish(items: str, node: str = "news") -> str:
    """A request to publish."""
    return f"<publish node='{node}'>{items}</publish>"


class PublishTests(ServiceCase):
    """Publishing to a node of Juliet's that Romeo has subscribed to."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subscribe(self.romeo, "news")

    @spec("XEP-0060", "3", "7.1.1", "7.1.2", "7.1.2.1")
    def test_notified(self) -> None:
        """Subscribers get the item with its payload, in a message with an id."""
        self.publish(self.juliet, "news", "i1", "hello")
        (message,) = self.messages(self.romeo)
        self.assertEqual((message.sender, message.to, message.type), (SERVICE, "romeo@example.org", "headline"))
        self.assertTrue(message.id)
        event = message.find(f"{EVENT} event")
        items = event.find("items")
        self.assertEqual(items.get("node"), "news")
        self.assertEqual(items.find("item").get("id"), "i1")
        self.assertEqual(items.find("item").find("entry", "urn:entry").text, "hello")

    @spec("XEP-0060", "7.1.1", "7.1.2")
    def test_idGenerated(self) -> None:
        """Without an id the service makes one, and tells the publisher."""
        result = self.set(self.juliet, publish("<item><entry xmlns='urn:entry'/></item>"))
        id = result.find("publish").find("item").get("id")
        self.assertTrue(id)
        self.assertEqual(self.ids(self.juliet, "news"), [id])

    @spec("XEP-0060", "7.1.3", "12.9")
    def test_overwritten(self) -> None:
        """An item of the same id replaces the former, becomes the newest, and is told."""
        for id, text in (("a", "1"), ("b", "2"), ("a", "3")):
            self.publish(self.juliet, "news", id, text)
        self.assertEqual(self.ids(self.juliet, "news"), ["b", "a"])
        self.assertEqual([event.find("item").find("entry", "urn:entry").text for event in self.events(self.romeo)], ["1", "2", "3"])

    @spec("XEP-0060", "7.1.2.3")
    def test_publisherStamped(self) -> None:
        """The publisher named is the one who published, whatever the item says."""
        self.set(self.juliet, publish("<item id='i' publisher='romeo@example.org'><entry xmlns='urn:entry'/></item>"))
        (event,) = self.events(self.romeo)
        self.assertEqual(event.find("item").get("publisher"), "juliet@example.org")
        (item,) = self.get(self.romeo, "<items node='news'/>").elements("item")
        self.assertEqual(item.get("publisher"), "juliet@example.org")

    @spec("XEP-0060", "12.17")
    def test_publisherHidden(self) -> None:
        """A node can be configured not to name publishers."""
        self.create(self.juliet, "quiet", itemreply="none")
        self.publish(self.juliet, "quiet", "i")
        (item,) = self.get(self.romeo, "<items node='quiet'/>").elements("item")
        self.assertIsNone(item.get("publisher"))

    @spec("XEP-0060", "4.3", "7.1.2.2")
    def test_withoutPayload(self) -> None:
        """A node that doesn't deliver payloads keeps them all the same."""
        self.create(self.juliet, "light", deliver_payloads="false")
        self.subscribe(self.romeo, "light")
        self.publish(self.juliet, "light", "i", "text")
        (event,) = self.events(self.romeo)
        self.assertEqual(list(event.find("item").elements()), [])
        self.assertIn(b"text", self.request(self.romeo, "get", "<items node='light'/>").raw)
        self.set(self.juliet, publish("<item id='empty'/>", "light"))

    @spec("XEP-0060", "4.3", "7.1.3.7")
    def test_transient(self) -> None:
        """A node without items and payloads tells that something happened, and takes no item."""
        self.create(self.juliet, "doorbell", persist_items="0", deliver_payloads="0")
        self.subscribe(self.romeo, "doorbell")
        self.set(self.juliet, publish("", "doorbell"))
        (event,) = self.events(self.romeo)
        self.assertEqual((event.name, event.get("node"), list(event.elements())), ("items", "doorbell", []))
        error = self.refused(self.juliet, "set", publish("<item id='i'/>", "doorbell"))
        self.assertEqual(error, ("modify", "bad-request", "item-forbidden"))

    @spec("XEP-0060", "7.1.3.7")
    def test_itemRequired(self) -> None:
        """A node with items wants one, and a node with payloads a payload."""
        self.assertEqual(self.refused(self.juliet, "set", publish("")), ("modify", "bad-request", "item-required"))
        error = self.refused(self.juliet, "set", publish("<item id='i'/>"))
        self.assertEqual(error, ("modify", "bad-request", "payload-required"))

    @spec("XEP-0060", "7.1.3.6")
    def test_badPayload(self) -> None:
        """One payload, in the namespace the node is configured for."""
        two = "<item><a xmlns='urn:a'/><b xmlns='urn:b'/></item>"
        self.assertEqual(self.refused(self.juliet, "set", publish(two)), ("modify", "bad-request", "invalid-payload"))
        self.create(self.juliet, "typed", type="urn:other")
        error = self.refused(self.juliet, "set", publish(ITEM, "typed"))
        self.assertEqual(error, ("modify", "bad-request", "invalid-payload"))

    @spec("XEP-0060", "7.1.1")
    def test_oneItem(self) -> None:
        """Several items at once are refused, and none is published."""
        self.assertEqual(self.refused(self.juliet, "set", publish(ITEM + ITEM.replace("'i'", "'j'")))[1], "bad-request")
        self.assertEqual(self.ids(self.juliet, "news"), [])

    @spec("XEP-0060", "7.1.3.5")
    def test_tooBig(self) -> None:
        """A payload beyond the limit of the service, or that of the node, is refused."""
        big = f"<item id='i'><entry xmlns='urn:entry'>{'x' * 70_000}</entry></item>"
        error = ("modify", "not-acceptable", "payload-too-big")
        self.assertEqual(self.refused(self.juliet, "set", publish(big)), error)
        self.create(self.juliet, "small", max_payload_size="40")
        self.assertEqual(self.refused(self.juliet, "set", publish(big.replace("x" * 69_900, ""), "small")), error)

    @spec("XEP-0060", "7.1.3.1")
    def test_forbidden(self) -> None:
        """Who is nothing to a node may not publish."""
        self.assertEqual(self.refused(self.romeo, "set", publish(ITEM)), ("auth", "forbidden"))

    @spec("XEP-0060", "7.1.3.3")
    def test_noNode(self) -> None:
        """The service creates no nodes of itself."""
        self.assertEqual(self.refused(self.juliet, "set", publish(ITEM, "nowhere")), ("cancel", "item-not-found"))
        self.assertEqual(self.refused(self.juliet, "set", f"<publish>{ITEM}</publish>"), ("modify", "bad-request", "nodeid-required"))

    @spec("XEP-0060", "4.1")
    def test_publishers(self) -> None:
        """Publishers publish; so do those who may do nothing else."""
        for affiliation in ("publisher", "publish-only"):
            self.affiliate(self.juliet, "news", romeo=affiliation)
            self.publish(self.romeo, "news", affiliation)
            self.affiliate(self.juliet, "news", romeo="none")
        self.assertEqual(self.ids(self.juliet, "news"), ["publisher", "publish-only"])

    @spec("XEP-0060", "8.2")
    def test_publishModels(self) -> None:
        """Everybody may publish at an open node, subscribers at one for subscribers; outcasts nowhere."""
        self.create(self.juliet, "open", publish_model="open")
        self.publish(self.romeo, "open", "i")
        self.create(self.juliet, "for-subscribers", publish_model="subscribers")
        self.assertEqual(self.refused(self.romeo, "set", publish(ITEM, "for-subscribers"))[1], "forbidden")
        self.subscribe(self.romeo, "for-subscribers")
        self.publish(self.romeo, "for-subscribers", "i")
        self.affiliate(self.juliet, "open", romeo="outcast")
        self.assertEqual(self.refused(self.romeo, "set", publish(ITEM, "open"))[1], "forbidden")

    @spec("XEP-0060", "7.1.2.5")
    def test_full(self) -> None:
        """The oldest item gives way; with notify_retract subscribers are told."""
        self.create(self.juliet, "two", max_items="2", notify_retract="1")
        self.subscribe(self.romeo, "two")
        for id in "abc":
            self.publish(self.juliet, "two", id)
        self.assertEqual(self.ids(self.juliet, "two"), ["b", "c"])
        last = self.events(self.romeo)[-1]
        self.assertEqual([each.get("id") for each in last.elements("retract")], ["a"])

    @spec("XEP-0060", "7.1.2.5", "7.1.3.4")
    def test_reject(self) -> None:
        """A node may refuse new items when it is full, but not new versions of those it has."""
        self.create(self.juliet, "one", max_items="1", publish_node_full="reject")
        self.publish(self.juliet, "one", "a")
        self.assertEqual(self.refused(self.juliet, "set", publish(ITEM, "one")), ("cancel", "conflict", "node-full"))
        self.publish(self.juliet, "one", "a")

    @spec("XEP-0060", "7.1.5")
    def test_preconditions(self) -> None:
        """Publish options are conditions; unknown ones are never met."""
        self.publish(self.juliet, "news", "i", access_model="open", max_items="max")
        unmet = ("cancel", "conflict", "precondition-not-met")
        for options in ({"access_model": "whitelist"}, {"unheard_of": "1"}, {"max_items": "many"}):
            more = f"<publish-options>{form(options, 'publish-options')}</publish-options>"
            self.assertEqual(self.refused(self.juliet, "set", publish(ITEM.replace("'i'", "'j'")) + more), unmet, options)
        self.assertEqual(self.ids(self.juliet, "news"), ["i"])

    @spec("XEP-0060", "7.1.5")
    def test_preconditionsNeedForm(self) -> None:
        """Options without a form, or with a form of another type, are a bad request."""
        for more in ("<publish-options/>", f"<publish-options>{form({})}</publish-options>"):
            self.assertEqual(self.refused(self.juliet, "set", publish(ITEM) + more)[1], "bad-request")

    def test_encodedOnce(self) -> None:
        """All subscribers share the bytes of an event."""
        self.subscribe(self.juliet, "news")
        self.publish(self.juliet, "news", "i")
        (mine,) = [each for each in self.messages(self.romeo)]
        self.assertTrue(mine.raw.startswith(b"<message to='romeo@example.org' from='pubsub.example.org' id='"))

    def test_many(self) -> None:
        """So many subscribers are told in several turns of the reactor, in the order of publication."""
        sent: list[bool] = []

        class Elsewhere:
            """Where the others are."""

            domain = "elsewhere.example"

            @staticmethod
            def deliver(stanza: Stanza) -> None:
                """Keep which item it was."""
                sent.append(b"id='b'" in stanza.raw)

        self.rig.router.addDestination(Elsewhere())  # type: ignore[arg-type]
        for index in range(1000):
            subscription = NodeSubscription(f"a@elsewhere.example/{index}", "s", "subscribed")
            self.host.pubsub.setSubscription(SERVICE, "news", subscription)
        for id in "ab":
            payload = f"<pubsub xmlns='{PUBSUB}'>{publish(ITEM.replace(chr(39) + 'i', chr(39) + id))}</pubsub>"
            self.send(self.juliet, "set", payload, SERVICE)
        self.assertLessEqual(len(sent), 400)
        self.rig.clock.pump([0] * 10)
        self.assertEqual(sent, [False] * 1000 + [True] * 1000)

    def test_configurationCounts(self) -> None:
        """What is kept for nodes themselves counts, too."""
        texts = ["x" * 900 + str(index) for index in range(40)]
        for index in range(10):
            answer = self.request(self.romeo, "set", f"<create node='n{index}'/><configure>{form({'roster_groups_allowed': texts})}</configure>")
            if answer.type == "error":
                break
        self.assertIsNotNone(answer.find("jabber:client error"))

    serviceOptions = {"bytes": 300_000}

    def test_quiet(self) -> None:
        """A node may be configured not to notify."""
        self.create(self.juliet, "silent", deliver_notifications="0")
        self.subscribe(self.romeo, "silent")
        self.publish(self.juliet, "silent", "i")
        self.assertEqual(self.events(self.romeo), [])

    @spec("XEP-0060", "12.7")
    def test_normal(self) -> None:
        """A node may send messages that are kept for those who are away."""
        self.create(self.juliet, "mail", notification_type="normal")
        self.subscribe(self.romeo, "mail")
        self.publish(self.juliet, "mail", "i")
        (message,) = self.messages(self.romeo)
        self.assertIsNone(message.type)

    @spec("XEP-0060", "16.4.4")
    def test_expired(self) -> None:
        """Expired items are not answered."""
        self.create(self.juliet, "fresh", item_expire="100")
        self.publish(self.juliet, "fresh", "a")
        self.rig.clock.advance(60)
        self.publish(self.juliet, "fresh", "b")
        self.rig.clock.advance(60)
        self.assertEqual(self.ids(self.juliet, "fresh"), ["b"])

    def test_payloadWithoutNamespace(self) -> None:
        """A payload in no namespace stays in none."""
        self.set(self.juliet, publish("<item id='i'><entry xmlns=''>x</entry></item>"))
        (event,) = self.events(self.romeo)
        self.assertEqual(next(event.find("item").elements()).ns, "")

    def test_longId(self) -> None:
        """An id beyond all measure is refused."""
        self.assertEqual(self.refused(self.juliet, "set", publish(ITEM.replace("'i'", f"'{'x' * 1100}'")))[1], "not-acceptable")


class BoundsTests(ServiceCase):
    """What a service keeps is bounded."""

    serviceOptions = {"bytes": 2000, "nodes": 2, "items": 3}

    def test_bytes(self) -> None:
        """All nodes together have so many octets."""
        self.create(self.juliet, "news")
        error = self.refused(self.juliet, "set", publish(f"<item id='i'><e xmlns='urn:e'>{'x' * 2000}</e></item>"))
        self.assertEqual(error[1], "resource-constraint")

    def test_nodes(self) -> None:
        """One user has so many nodes."""
        self.create(self.juliet, "a")
        self.create(self.juliet, "b")
        self.assertEqual(self.refused(self.juliet, "set", "<create node='c'/>"), ("cancel", "not-allowed", "max-nodes-exceeded"))
        self.create(self.romeo, "c")

    @spec("XEP-0060", "12.23")
    def test_items(self) -> None:
        """A node keeps so many items, even if it keeps as many as it can; and can't be configured for more."""
        self.create(self.juliet, "news", max_items="max")
        for id in "abcd":
            self.publish(self.juliet, "news", id)
        self.assertEqual(self.ids(self.juliet, "news"), list("bcd"))
        error = self.refused(self.juliet, "set", f"<create node='x'/><configure>{form({'max_items': '4'})}</configure>")
        self.assertEqual(error[1], "not-acceptable")


class RetractTests(ServiceCase):
    """Deleting items."""

    def setUp(self) -> None:
        super().setUp()
        self.create(self.juliet, "news")
        self.subscribe(self.romeo, "news")
        self.publish(self.juliet, "news", "a")
        self.publish(self.juliet, "news", "b")
        self.forgetAll()

    def retract(self, more: str = "", item: str = "<item id='a'/>", node: str = " node='news'") -> str:
        """A request."""
        return f"<retract{node}{more}>{item}</retract>"

    @spec("XEP-0060", "7.2.1", "7.2.2")
    def test_retracted(self) -> None:
        """The item is gone; nobody is told."""
        self.assertIsNone(self.set(self.juliet, self.retract()))
        self.assertEqual(self.ids(self.juliet, "news"), ["b"])
        self.assertEqual(self.events(self.romeo), [])

    @spec("XEP-0060", "7.2.2.1")
    def test_notify(self) -> None:
        """Subscribers are told if the request wants it, in both spellings of a boolean."""
        self.set(self.juliet, self.retract(" notify='1'"))
        self.set(self.juliet, self.retract(" notify='true'", "<item id='b'/>"))
        found = [[each.get("id") for each in event.elements("retract")] for event in self.events(self.romeo)]
        self.assertEqual(found, [["a"], ["b"]])

    @spec("XEP-0060", "7.2.3.1")
    def test_forbidden(self) -> None:
        """Others may not; publishers only what they published themselves."""
        self.assertEqual(self.refused(self.romeo, "set", self.retract()), ("auth", "forbidden"))
        self.affiliate(self.juliet, "news", romeo="publisher")
        self.assertEqual(self.refused(self.romeo, "set", self.retract()), ("auth", "forbidden"))
        self.publish(self.romeo, "news", "mine")
        self.set(self.romeo, self.retract(item="<item id='mine'/>"))

    @spec("XEP-0060", "7.2.3.2", "7.2.3.3", "7.2.3.4", "7.2.3.5")
    def test_errors(self) -> None:
        """What is missing is told."""
        self.create(self.juliet, "passing", persist_items="0")
        for request, error in (
            (self.retract(item="<item id='z'/>"), ("cancel", "item-not-found")),
            (self.retract(node=" node='nowhere'"), ("cancel", "item-not-found")),
            (self.retract(node=""), ("modify", "bad-request", "nodeid-required")),
            (self.retract(item=""), ("modify", "bad-request", "item-required")),
            (self.retract(item="<item/>"), ("modify", "bad-request", "item-required")),
            (self.retract(node=" node='passing'"), ("cancel", "feature-not-implemented", "unsupported persistent-items")),
            (self.retract(" notify='perhaps'"), ("modify", "bad-request")),
        ):
            self.assertEqual(self.refused(self.juliet, "set", request), error, request)

    @spec("XEP-0060", "12.11")
    def test_allOrNone(self) -> None:
        """If one of several items isn't there, none is deleted."""
        self.assertEqual(self.refused(self.juliet, "set", self.retract(item="<item id='a'/><item id='z'/>"))[1], "item-not-found")
        self.assertEqual(self.ids(self.juliet, "news"), ["a", "b"])


class RequestTests(ServiceCase):
    """Requests that aren't any."""

    def test_absurd(self) -> None:
        """A typed error for everything."""
        self.create(self.juliet, "news")
        for type, content in (
            ("get", ""),
            ("set", "<dance/>"),
            ("get", "<publish node='news'/>"),
            ("set", "<create node='a'/><create node='b'/>"),
            ("set", "<create node='a'/><options/>"),
            ("set", "<create node='a'/><configure node='b'/>"),
            ("set", "<subscribe node='news' jid='juliet@example.org'/><options jid='juliet@example.org'/>"),
            ("set", f"<publish xmlns='{PUBSUB}#event' node='news'/>"),
            ("get", "<items node='news' max_items='0'/>"),
            ("get", "<items node='news' max_items='-1'/>"),
            ("get", "<items node='news'><item/></items>"),
            ("get", "<items node='news'/><set xmlns='http://jabber.org/protocol/rsm'><max>x</max></set>"),
        ):
            self.assertEqual(self.refused(self.juliet, type, content)[1], "bad-request", content)
