"""Tests of L{xmppd.restrict.storage}, and of who asks it."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase

NOTE = "<iq type='set' id='{}'><query xmlns='jabber:iq:private'><note xmlns='urn:note'>{}</note></query></iq>"
PUBLISH = (
    "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'>"
    "<item id='i'><x xmlns='urn:x'/></item></publish></pubsub></iq>"
)
SETS = {
    "private": NOTE.format("p", "x"),
    "vcard": "<iq type='set' id='p'><vCard xmlns='vcard-temp'><FN>x</FN></vCard></iq>",
    "roster": "<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='a@example.org'/></query></iq>",
    "pubsub": PUBLISH,
    "push": "<iq type='set' id='p'><enable xmlns='urn:xmpp:push:0' jid='example.org' node='n'/></iq>",
    "block": "<iq type='set' id='p'><block xmlns='urn:xmpp:blocking'><item jid='a@example.org'/></block></iq>",
}


@spec("mission", "A9")
@spec("XEP-0175", "3")
class StorageTests(GuestCase):
    """What a guest may store."""

    def test_kinds(self) -> None:
        """Only the kinds that are named; each is asked for where it is written."""
        for allowed in (*SETS, ""):
            self.guests(f'storage = [{repr(allowed) if allowed else ""}]')
            client = self.guest()
            for kind, stanza in SETS.items():
                client.send(stanza)
                (answer,) = [each for each in client.take() if each.get("id") == "p"]
                if kind == allowed:
                    self.assertEqual(answer.get("type"), "result", kind)
                else:
                    self.assertError(answer, "not-allowed")

    def test_subscriptions(self) -> None:
        """Asking for a subscription is a matter of the roster, and ending one is not."""
        self.guests("storage = []")
        client = self.guest(available=True)
        client.send("<presence to='romeo@example.org' type='subscribe' id='1'/>")
        self.assertError(client.take()[0], "not-allowed")
        client.send("<presence to='romeo@example.org' type='unsubscribe' id='1'/>")
        self.assertEqual(self.errors(client), [])

    def test_size(self) -> None:
        """No more octets than that in a session, also if they replace others."""
        self.guests("storage_bytes = 1000")
        client = self.guest()
        for n in range(3):
            client.send(NOTE.format(n, "x" * 400))
        first, second, third = client.take()
        self.assertEqual((first.get("type"), second.get("type")), ("result", "result"))
        self.assertLimit(third, "resource-constraint", "resource-limit-exceeded", "cancel")
        other = self.guest()
        other.send(NOTE.format(1, "x" * 400))
        self.assertEqual(other.take()[0].get("type"), "result")

    def test_nodes(self) -> None:
        """What a node is told of itself and of people counts, too."""
        self.guests("storage_bytes = 1000")
        client = self.guest()
        client.send(PUBLISH)
        self.assertEqual([each.get("type") for each in client.take() if each.get("id") == "p"], ["result"])
        many = "".join(f"<affiliation jid='{'x' * 500}{n}@example.org' affiliation='member'/>" for n in range(10))
        form = f"<x xmlns='jabber:x:data' type='submit'><field var='pubsub#title'><value>{'x' * 1000}</value></field></x>"
        for change in (f"<affiliations node='n'>{many}</affiliations>", f"<configure node='n'>{form}</configure>"):
            query = f"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{change}</pubsub>"
            client.send(f"<iq type='set' id='q'>{query}</iq>")
            (answer,) = [each for each in client.take() if each.get("id") == "q"]
            self.assertLimit(answer, "resource-constraint", "resource-limit-exceeded", "cancel")

    def test_users(self) -> None:
        """Users with accounts aren't asked."""
        self.guests("storage = []")
        romeo = self.server.login("romeo")
        for stanza in SETS.values():
            romeo.send(stanza)
            self.assertIn("result", [each.get("type") for each in romeo.take() if each.get("id") == "p"])

    def test_elsewhere(self) -> None:
        """A service asks on behalf of the guest's own host."""
        self.guests("storage = []", profile="private", more='[pubsub."pubsub.example.org"]\n')
        admin = self.server.login("admin")
        make = ("<iq type='set' id='p' to='pubsub.example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
                "<create node='n'/><configure><x xmlns='jabber:x:data' type='submit'><field var='pubsub#publish_model'>"
                "<value>open</value></field></x></configure></pubsub></iq>")
        admin.send(make)
        self.assertEqual(admin.take()[0].get("type"), "result")
        client = self.guest()
        client.send(PUBLISH.replace("id='p'", "id='p' to='pubsub.example.org'", 1))
        self.assertError(client.take()[0], "not-allowed")
