"""Tests of L{xmppd.features.xep0357_push}: who is woken, for what, and how often."""

from __future__ import annotations

from typing import Any

from tests.doubles import FailingStore
from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.marks import spec
from tests.server import ServerCase
from xmppd.features.xep0357_push import feature, matters
from xmppd.wire.stanza import Stanza, fromBytes

SERVICE = "push.example.net"
NS = "urn:xmpp:push:0"
FORM = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
    "http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>s3cret</value></field></x>"
)


class Service:
    """A push service that remembers."""

    domain = SERVICE

    def __init__(self) -> None:
        self.got: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.got.append(stanza)


def enable(node: str | None = "n1", inner: str = "", jid: str = SERVICE) -> str:
    """The request."""
    named = "" if node is None else f" node='{node}'"
    return f"<enable xmlns='{NS}' jid='{jid}'{named}>{inner}</enable>"


class PushCase(AskingCase):
    """Romeo's client knows a push service."""

    features = (feature,)
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        self.options = {"options": {(feature.name, key): value for key, value in self.settings.items()}}
        super().setUp()
        self.service = Service()
        self.rig.router.addDestination(self.service)

    def enable(self, *arguments: Any, session: Any = None) -> None:
        """It works."""
        self.assertIsNone(self.result(session or self.romeo, "set", enable(*arguments)))

    def away(self) -> None:
        """Romeo has gone."""
        self.romeo.end()

    def say(self, body: str = "<body>hi</body>", to: str = ROMEO, type: str = "chat", clock: bool = True) -> None:
        """Juliet says something."""
        self.rig.send(self.juliet, f"<message to='{to}' type='{type}'>{body}</message>".encode())
        if clock:
            self.rig.clock.advance(0)

    def took(self) -> list[Stanza]:
        """What the service got since the last time."""
        got, self.service.got = self.service.got, []
        return got

    def answer(self, stanza: Stanza, error: str | None = None) -> None:
        """The service answers."""
        inner = "" if error is None else f"<error type='{error}'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        type = "result" if error is None else "error"
        self.rig.inject(f"<iq type='{type}' id='{stanza.id}' from='{SERVICE}' to='example.org'>{inner}</iq>".encode())

    def fields(self, stanza: Stanza) -> dict[str, str | None]:
        """The summary."""
        (pubsub,) = stanza.elements()
        publish = pubsub.find("publish")
        assert publish is not None
        item = publish.find("item")
        assert item is not None
        form = item.find("notification", NS).find("x", "jabber:x:data")  # type: ignore[union-attr]
        return {field.attrs["var"]: field.textOf("value") for field in form.elements("field")}  # type: ignore[union-attr]

    def kept(self) -> int:
        """How many nodes the store has."""
        return len(self.successResultOf(self.rig.store.facts.all(ROMEO, "push")))


class RequestTests(PushCase):
    """Sections 4 to 6."""

    @spec("XEP-0357", "4.1", "5")
    def test_enabled(self) -> None:
        """Kept with the account, once for each node; the bare JID says that it can be."""
        self.assertIn(NS, self.rig.host.accountNamespaces)
        for node in ("n1", "n2", "n1", None):
            self.enable(node)
        self.assertEqual(self.kept(), 3)

    @spec("XEP-0357", "6")
    def test_disabled(self) -> None:
        """One node, or all of a service."""
        for node in ("n1", "n2", "n3"):
            self.enable(node)
        self.enable("n1", "", "other.example.net")
        self.assertIsNone(self.result(self.romeo, "set", f"<disable xmlns='{NS}' jid='{SERVICE}' node='n2'/>"))
        self.assertEqual(self.kept(), 3)
        self.assertIsNone(self.result(self.romeo, "set", f"<disable xmlns='{NS}' jid='{SERVICE}'/>"))
        self.assertEqual(self.kept(), 1)
        self.away()
        self.say()
        self.assertEqual(self.took(), [])

    @spec("XEP-0357", "5", "6")
    def test_refused(self) -> None:
        """Bad requests, others' accounts."""
        other = FORM.replace("publish-options", "node_config")
        for payload, condition in (
            (f"<enable xmlns='{NS}'/>", "bad-request"),
            (f"<disable xmlns='{NS}'/>", "bad-request"),
            (enable(jid="@"), "jid-malformed"),
            (enable("x" * 1024), "not-acceptable"),
            (enable("n", other), "bad-request"),
            (enable("n", FORM.replace("s3cret", "x" * 5000)), "not-acceptable"),
        ):
            self.assertEqual(self.error(self.romeo, "set", payload), condition)
        self.assertEqual(self.error(self.juliet, "set", enable(), ROMEO), "forbidden")
        self.assertEqual(self.kept(), 0)

    def test_most(self) -> None:
        """Only so many; the last request for a node counts."""
        for number in range(20):
            self.enable(f"n{number}")
        self.assertEqual(self.error(self.romeo, "set", enable("n20")), "resource-constraint")
        self.enable("n5")

    def test_store(self) -> None:
        """What can't be kept isn't enabled."""
        store = FailingStore(self.rig.store)
        self.rig.host.facts = store.facts
        store.failWrites = True
        self.assertEqual(self.error(self.romeo, "set", enable()), "resource-constraint")
        self.away()
        self.say()
        self.assertEqual(self.took(), [])


class OfflineTests(PushCase):
    """Messages that no session can take."""

    @spec("XEP-0357", "7", "9")
    def test_told(self) -> None:
        """From the server to each node, with a number and nothing else."""
        self.enable("n1", FORM)
        self.enable("n2")
        self.away()
        self.say()
        first, second = self.took()
        self.assertEqual((first.type, first.sender, first.to), ("set", "example.org", SERVICE))
        self.assertEqual(self.fields(first), {"FORM_TYPE": "urn:xmpp:push:summary", "message-count": "1"})
        self.assertIn(b"<publish node='n1'>", first.raw)
        self.assertIn(b"<publish-options>", first.raw)
        self.assertIn(b"s3cret", first.raw)
        self.assertNotIn(b"publish-options", second.raw)
        for stanza in (first, second):
            self.assertNotIn(b"body", stanza.raw)
            self.assertNotIn(b"juliet", stanza.raw)

    def test_afterRestart(self) -> None:
        """The store knows it still."""
        self.enable()
        self.away()
        push = self.rig.host.hooks.undeliverable.change[0].__self__
        push._accounts.clear()
        self.say()
        self.assertEqual(len(self.took()), 1)

    def test_bounced(self) -> None:
        """The message goes its way: here nobody keeps it, and it comes back."""
        self.enable()
        self.away()
        stream = self.streams[self.juliet]
        stream.take()
        self.say()
        self.assertEqual([stanza.type for stanza in stream.take()], ["error"])

    def test_notForAll(self) -> None:
        """Nobody is woken for states of a conversation, errors, or nothing."""
        self.enable()
        self.away()
        for body in ("", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", "<received xmlns='urn:xmpp:receipts' id='1'/>"):
            self.say(body)
        self.say(type="headline")
        self.assertEqual(self.took(), [])

    def test_matters(self) -> None:
        """Bodies, encrypted ones too, and calls; of rooms if that is wanted."""
        cases = (
            ("<message><body>x</body></message>", True),
            ("<message><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>", True),
            ("<message><propose xmlns='urn:xmpp:jingle-message:0' id='1'/></message>", True),
            ("<message><subject>x</subject></message>", False),
            ("<message type='error'><body>x</body></message>", False),
            ("<presence/>", False),
        )
        for raw, wanted in cases:
            self.assertEqual(matters(fromBytes(raw.encode()), True), wanted, raw)
        room = fromBytes(b"<message type='groupchat'><body>x</body></message>")
        self.assertEqual((matters(room, True), matters(room, False)), (True, False))

    def test_removed(self) -> None:
        """A removed account's services aren't told any more."""
        self.enable()
        self.away()
        self.say(clock=False)
        self.successResultOf(self.rig.host.registrar.remove(ROMEO))
        self.rig.clock.advance(10)
        self.assertEqual((self.took(), self.kept()), ([], 0))

    def test_storeFails(self) -> None:
        """A store that can't be read costs the notification, nothing else."""
        store = FailingStore(self.rig.store)
        self.rig.host.facts = store.facts
        self.enable()
        self.away()
        self.rig.host.hooks.undeliverable.change[0].__self__._accounts.clear()
        store.failReads = True
        self.say()
        self.assertEqual(self.took(), [])


class PaceTests(PushCase):
    """Not too often."""

    @spec("XEP-0357", "7")
    def test_together(self) -> None:
        """Many messages are told together: one at a time, and some seconds apart."""
        self.enable()
        self.away()
        for _ in range(10):
            self.say()
        (first,) = self.took()
        self.assertEqual(self.fields(first)["message-count"], "1")
        self.answer(first)
        self.assertEqual(self.took(), [])
        self.rig.clock.advance(4.9)
        self.assertEqual(self.took(), [])
        self.rig.clock.advance(0.2)
        (second,) = self.took()
        self.assertEqual(self.fields(second)["message-count"], "10")
        self.answer(second)
        self.rig.clock.advance(100)
        self.assertEqual(self.took(), [])

    def test_hasCome(self) -> None:
        """What the client has seen meanwhile isn't told."""
        self.enable()
        self.away()
        for _ in range(3):
            self.say()
        self.answer(self.took()[0])
        session = self.bind(ROMEO + "/orchard")
        self.rig.host.hooks.available.notify(session, True)
        self.rig.clock.advance(10)
        self.assertEqual(self.took(), [])
        session.end()
        self.say()
        self.assertEqual(self.fields(self.took()[0])["message-count"], "1")


class ErrorTests(PushCase):
    """Section 7.1."""

    def tell(self, error: str | None) -> int:
        """A message, and the answer; how many were told."""
        self.say()
        got = self.took()
        for stanza in got:
            self.answer(stanza, error)
        self.rig.clock.advance(10)
        return len(got)

    @spec("XEP-0357", "6", "7.1")
    def test_dropped(self) -> None:
        """Three errors in a row, and the node is gone."""
        self.enable()
        self.away()
        self.assertEqual([self.tell(each) for each in ("cancel", "auth", None, "cancel", "cancel")], [1] * 5)
        self.assertEqual(self.kept(), 1)
        self.assertEqual((self.tell("modify"), self.kept(), self.tell(None)), (1, 0, 0))

    @spec("XEP-0357", "7.1")
    def test_passing(self) -> None:
        """Errors that pass are borne for longer."""
        self.enable()
        self.away()
        for _ in range(19):
            self.assertEqual(self.tell("wait"), 1)
        self.assertEqual(self.kept(), 1)
        self.assertEqual((self.tell("wait"), self.kept()), (1, 0))

    def test_silence(self) -> None:
        """A service that doesn't answer is asked again later, once."""
        self.enable()
        self.away()
        for _ in range(5):
            self.say()
        self.assertEqual(len(self.took()), 1)
        self.rig.clock.advance(59)
        self.assertEqual(self.took(), [])
        self.rig.clock.advance(2)
        self.assertEqual(len(self.took()), 1)


class HibernationTests(PushCase):
    """Sessions whose connection is gone."""

    def sleep(self) -> None:
        """Romeo's connection is cut, and his session waits."""
        if self.romeo.keep is None:
            self.romeo.keep = lambda: True
        self.romeo.detached()

    def test_told(self) -> None:
        """A message for it is told to the nodes that it named, not to others'."""
        other = self.bind(ROMEO + "/phone")
        self.enable("mine")
        self.enable("others", session=other)
        self.sleep()
        self.say(to=ROMEO + "/orchard")
        (stanza,) = self.took()
        self.assertIn(b"node='mine'", stanza.raw)

    def test_connected(self) -> None:
        """Nobody is told of what a connected client gets; nor of what matters to nobody."""
        self.enable()
        self.say(to=ROMEO + "/orchard")
        self.rig.clock.advance(1000)
        self.sleep()
        self.say("<active xmlns='http://jabber.org/protocol/chatstates'/>", to=ROMEO + "/orchard")
        self.assertEqual(self.took(), [])

    def test_lately(self) -> None:
        """What was given to the connection shortly before may not have arrived."""
        self.romeo.keep = lambda: True
        self.enable()
        self.say(to=ROMEO + "/orchard")
        self.rig.clock.advance(100)
        self.assertEqual(self.took(), [])
        self.sleep()
        self.rig.clock.advance(0)
        self.assertEqual(len(self.took()), 1)

    def test_notKept(self) -> None:
        """A session that ends with its connection isn't told of that way."""
        self.romeo.keep = lambda: False
        self.enable()
        self.say(to=ROMEO + "/orchard")
        self.romeo.detached()
        self.rig.clock.advance(0)
        self.assertEqual((self.romeo.over, self.took()), (True, []))

    def test_revived(self) -> None:
        """A session that has outlived a restart remembers its nodes."""
        self.enable("mine")
        kept = self.romeo.slots["kept"]
        self.assertEqual(len(kept[feature.name]), 1)
        account = self.romeo.account
        self.romeo.end()
        session = self.successResultOf(self.rig.host.revive(account, "orchard", kept))
        self.assertIsNone(session.stream)
        self.say(to=ROMEO + "/orchard")
        self.assertEqual(len(self.took()), 1)

    def test_others(self) -> None:
        """Sessions that named nothing cost nothing."""
        self.enable()
        self.assertEqual((self.romeo.receiving, self.juliet.receiving), (True, False))
        self.assertEqual(JULIET, self.juliet.bare)


class SummaryTests(PushCase):
    """What is told if the administrator wants it."""

    settings = {"sender": True, "body": True}

    @spec("XEP-0357", "7", "9")
    def test_all(self) -> None:
        """The sender, and the beginning of the text."""
        self.enable()
        self.away()
        self.say("<body>" + "x" * 500 + "</body>")
        fields = self.fields(self.took()[0])
        self.assertEqual((fields["last-message-sender"], fields["last-message-body"]), (JULIET + "/balcony", "x" * 200))


class WholeServerTests(ServerCase):
    """With everything else there is: offline messages, stream management, blocking."""

    def setUp(self) -> None:
        self.server = self.serve()
        self.service = Service()
        self.server.server.router.addDestination(self.service)
        self.romeo = self.server.login("romeo", "orchard", available=True)
        self.juliet = self.server.login("juliet", "balcony")

    def enable(self) -> None:
        """Romeo's client names a node."""
        self.romeo.send(f"<iq type='set' id='push'>{enable()}</iq>")
        self.assertEqual(self.romeo.take()[-1].get("type"), "result")

    def say(self) -> int:
        """Juliet says something; how many notifications came of it."""
        self.juliet.send("<message to='romeo@example.org' type='chat' id='1'><body>hi</body></message>")
        self.assertEqual(self.juliet.take(), [])
        got, self.service.got = self.service.got, []
        return len(got)

    def test_offline(self) -> None:
        """A message that is kept for later is told, too; one of somebody blocked is neither."""
        self.enable()
        self.romeo.send("</stream:stream>")
        self.assertEqual(self.say(), 1)
        romeo = self.server.login("romeo", "orchard")
        romeo.send("<presence/>")
        self.assertIn("message", "".join(each.tag for each in romeo.take()))
        romeo.send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@example.org'/></block></iq>")
        romeo.send("</stream:stream>")
        self.server.advance(10)
        self.juliet.send("<message to='romeo@example.org' type='chat' id='1'><body>hi</body></message>")
        self.assertEqual(self.service.got, [])

    @spec("XEP-0357", "7")
    def test_hibernating(self) -> None:
        """A message for a session whose connection was cut is told, and waits in its queue."""
        self.romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        self.assertTrue(self.romeo.take()[-1].tag.endswith("enabled"))
        self.enable()
        self.romeo.cut()
        self.assertIsNone(self.server.host.sessions["romeo@example.org"]["orchard"].stream)
        self.assertEqual(self.say(), 1)
