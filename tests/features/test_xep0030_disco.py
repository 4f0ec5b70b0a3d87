"""Tests of L{xmppd.features.xep0030_disco}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from xmppd.features.xep0030_disco import feature
from xmppd.hooks import DiscoInfo, DiscoItem
from xmppd.wire import forms, ns
from xmppd.wire.element import Element

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


class DiscoCase(SynchronousTestCase):
    """One host with service discovery."""

    def setUp(self) -> None:
        self.rig = Rig(feature)
        self.juliet, self.stream = self.rig.bind("juliet@example.org/balcony", available=True)
        self.romeo, self.romeoStream = self.rig.bind("romeo@example.org/orchard", available=True)

    def subscribe(self, state: str) -> None:
        """Romeo's roster entry for Juliet gets that state."""
        self.rig.host.presence.subscription = lambda owner, contact: succeed(
            state if (owner, contact) == ("romeo@example.org", "juliet@example.org") else "none"
        )

    def ask(self, namespace: str, to: str | None = "example.org", node: str | None = None) -> Any:
        """What Juliet is answered."""
        address = "" if to is None else f" to='{to}'"
        attribute = "" if node is None else f" node='{node}'"
        self.rig.send(
            self.juliet, f"<iq type='get' id='1'{address}><query xmlns='{namespace}'{attribute}/></iq>".encode()
        )
        (answer,) = self.stream.take()
        return answer

    def features(self, answer: Any) -> list[str]:
        """The features of an answer to disco#info."""
        self.assertEqual(answer.type, "result")
        return [each.attrs["var"] for each in answer.elements()[0].elements("feature")]


class DomainTests(DiscoCase):
    """What is told of the domain."""

    @spec("XEP-0030", "3.1")
    def test_info(self) -> None:
        """At least one identity, and the feature disco#info among the features."""
        answer = self.ask(INFO)
        identity = answer.elements()[0].find("identity")
        self.assertEqual(identity.attrs, {"category": "server", "type": "im", "name": "xmppd"})
        self.assertIn(INFO, self.features(answer))
        self.assertIn(ITEMS, self.features(answer))

    def test_infoFollowsTheHost(self) -> None:
        """What joins later is told, each feature once."""
        self.rig.host.namespaces.add("urn:example:new")
        listed = self.features(self.ask(INFO))
        self.assertIn("urn:example:new", listed)
        self.assertEqual(len(listed), len(set(listed)))

    @spec("XEP-0128", "3")
    def test_extendedInfo(self) -> None:
        """Forms of other features are part of the answer."""
        self.rig.host.disco.forms.append(forms.form("result", forms.field("a", "1"), formType="urn:example"))
        form = self.ask(INFO).elements()[0].find("x", ns.DATA_FORMS)
        self.assertEqual(forms.formTypeOf(form), "urn:example")

    @spec("XEP-0030", "4.1")
    def test_items(self) -> None:
        """Services are listed with their names."""
        self.rig.host.services.update({"rooms.example.org": "Rooms", "bot.example.org": ""})
        items = [dict(item.attrs) for item in self.ask(ITEMS).elements()[0].elements("item")]
        self.assertEqual(items, [{"jid": "bot.example.org"}, {"jid": "rooms.example.org", "name": "Rooms"}])

    @spec("XEP-0030", "4.1", "7")
    def test_noItems(self) -> None:
        """No items are an empty result and no error."""
        answer = self.ask(ITEMS)
        self.assertEqual(answer.type, "result")
        self.assertEqual(answer.elements()[0].children, ())

    @spec("XEP-0030", "3.2")
    def test_nodeIsMirrored(self) -> None:
        """The answer about a node names the node."""
        info = DiscoInfo((("automation", "command-list", ""),), (INFO,))
        self.rig.host.disco.info.append(lambda request, node: info if node == "n" else None)
        self.rig.host.disco.items.append(lambda request, node: succeed([DiscoItem("a.b", "A", "m")]) if node == "n" else None)
        self.assertEqual(self.ask(INFO, node="n").elements()[0].attrs, {"node": "n"})
        query = self.ask(ITEMS, node="n").elements()[0]
        self.assertEqual(query.attrs, {"node": "n"})
        self.assertEqual(next(query.elements("item")).attrs, {"jid": "a.b", "name": "A", "node": "m"})

    @spec("XEP-0030", "7")
    def test_unknownNode(self) -> None:
        """A node nobody knows is not found, whatever its length."""
        for node in ("n", "n" * 5000):
            for namespace in (INFO, ITEMS):
                self.assertIn(b"item-not-found", self.ask(namespace, node=node).raw)

    def test_emptyNode(self) -> None:
        """An empty node is no node."""
        self.assertIn(INFO, self.features(self.ask(INFO, node="")))

    def test_itemsOfSources(self) -> None:
        """Items of sources that belong to no node stand beside the services."""
        self.rig.host.disco.items.append(lambda request, node: [DiscoItem("x.example.org")] if not node else None)
        self.rig.host.disco.items.append(lambda request, node: None)
        self.assertIn(b"x.example.org", self.ask(ITEMS).raw)

    def test_later(self) -> None:
        """A source may take its time."""
        waiting: Deferred[Any] = Deferred()
        self.rig.host.disco.info.append(lambda request, node: waiting)
        self.rig.send(self.juliet, f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}' node='n'/></iq>".encode())
        self.assertEqual(self.stream.take(), [])
        waiting.callback(DiscoInfo((("a", "b", ""),), ()))
        self.assertEqual(self.stream.take()[0].type, "result")


class AccountTests(DiscoCase):
    """What is told of accounts."""

    @spec("XEP-0030", "3.1")
    def test_own(self) -> None:
        """One's own account is registered and has features."""
        for to in (None, "juliet@example.org"):
            answer = self.ask(INFO, to)
            identity = answer.elements()[0].find("identity")
            self.assertEqual(identity.attrs, {"category": "account", "type": "registered"})
            self.assertIn(INFO, self.features(answer))

    def test_guest(self) -> None:
        """A guest's account is anonymous."""
        guest, stream = self.rig.bind("g@example.org/x", guest=True)
        self.rig.send(guest, f"<iq type='get' id='1'><query xmlns='{INFO}'/></iq>".encode())
        self.assertIn(b"type='anonymous'", stream.takeBytes()[0])

    @spec("XEP-0030", "8")
    def test_strangersLearnNothing(self) -> None:
        """Without a subscription an account is answered for exactly like one that doesn't exist, with a node or not."""
        self.rig.host.disco.accountInfo.append(lambda request, node: DiscoInfo((), ("secret",)))
        self.rig.host.disco.accountItems.append(lambda request, node: [DiscoItem("secret.example.org")])
        for state in ("none", "to"):
            self.subscribe(state)
            for namespace, says in ((INFO, b"service-unavailable"), (ITEMS, b"disco#items")):
                for node in (None, "n"):
                    there = self.ask(namespace, "romeo@example.org", node).raw
                    absent = self.ask(namespace, "nobody@example.org", node).raw
                    self.assertIn(says, there)
                    self.assertNotIn(b"secret", there)
                    self.assertEqual(there.replace(b"romeo", b"nobody"), absent)

    @spec("XEP-0030", "8")
    def test_contacts(self) -> None:
        """Whoever may see the presence is told of the account and its available resources."""
        for state in ("from", "both"):
            self.subscribe(state)
            self.assertIn(INFO, self.features(self.ask(INFO, "romeo@example.org")))
            self.assertIn(b"jid='romeo@example.org/orchard'", self.ask(ITEMS, "romeo@example.org").raw)
        self.rig.send(self.romeo, b"<presence type='unavailable'/>")
        self.assertNotIn(b"orchard'", self.ask(ITEMS, "romeo@example.org").raw)

    def test_nodes(self) -> None:
        """Nodes of accounts come from their own sources; unknown ones are not found."""
        self.rig.host.disco.accountInfo.append(
            lambda request, node: DiscoInfo((("pubsub", "leaf", ""),), ()) if node == "n" else None
        )
        self.assertIn(b"leaf", self.ask(INFO, None, "n").raw)
        self.assertIn(b"item-not-found", self.ask(INFO, None, "m").raw)
        self.assertIn(b"item-not-found", self.ask(ITEMS, None, "m").raw)


class ValueTests(SynchronousTestCase):
    """The values that sources answer."""

    def test_info(self) -> None:
        """Identities, features and forms in this order; an empty name is left out."""
        form = Element("x", ns.DATA_FORMS)
        info = DiscoInfo((("a", "b", ""), ("c", "d", "e")), ("f",), (form,))
        self.assertEqual(
            info.toElement("n").toBytes(INFO),
            b"<query node='n'><identity category='a' type='b'/><identity category='c' type='d' name='e'/>"
            b"<feature var='f'/><x xmlns='jabber:x:data'/></query>",
        )
