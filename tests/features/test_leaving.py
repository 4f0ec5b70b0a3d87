"""
Guests leave nothing behind: the whole server in memory, before and after (XEP-0175 section 3).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from twisted.internet.defer import Deferred

from tests.doubles import FailingStore
from tests.leaving import ROOM, SERVICES, TUNE, live, prepare
from tests.marks import spec
from tests.route.test_ledger import Counting, mentions
from tests.server import DOMAIN, MemoryServer, ServerCase
from xmppd.store.memory import MemoryStore

HOST = 'guests = "specialized"'
MORE = SERVICES + 'url = "https://upload.example.org/"\n'
DISCO = "<query xmlns='http://jabber.org/protocol/disco#{}'/>"


class Person:
    """A client in memory as L{tests.leaving.Client} wants it."""

    def __init__(self, server: MemoryServer, name: str | None, resource: str | None = None, at: str = DOMAIN) -> None:
        self.client = server.connect().login(name, resource, to=at)
        self.server = server
        self.jid = self.client.jid
        self.heard: list[ET.Element] = []

    def ask(self, data: str) -> ET.Element:
        """See L{tests.leaving.Client}."""
        self.client.send(data)
        self.take()
        return next(each for each in reversed(self.heard) if each.tag.endswith("iq") and each.get("id") == "i")

    def say(self, data: str) -> None:
        """See L{tests.leaving.Client}."""
        self.client.send(data)
        self.server.advance(1)

    def take(self) -> list[ET.Element]:
        """What has come."""
        self.server.advance(1)
        taken = self.client.take()
        self.heard += taken
        return taken


def contents(thing: Any, path: str = "", above: tuple[int, ...] = ()) -> dict[str, str]:
    """All that an object holds, by where it is; without what only counts, and when Juliet was here."""
    found: dict[str, str] = {}
    if id(thing) in above:
        return found
    for name, each in _parts(thing):
        if name in ("version", "forgotten", "_floor", "_next", "_id", "position", "_position", "lastActivity", "lastStatus"):
            continue
        if isinstance(each, str | bytes | int | float | bool | None):
            found[f"{path}/{name}"] = repr(each)
        elif not callable(each):
            found.update(contents(each, f"{path}/{name}", (*above, id(thing))))
    return found


def _parts(thing: Any) -> list[tuple[str, Any]]:
    if isinstance(thing, dict):
        return [(repr(key), each) for key, each in thing.items()]
    if isinstance(thing, list | tuple | set | frozenset):
        return [(repr(each) if isinstance(each, str) else str(n), each) for n, each in enumerate(thing)]
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [(name, getattr(thing, name)) for name in slots if hasattr(thing, name)] + list(
        getattr(thing, "__dict__", {}).items()
    )


@spec("mission", "A7", "A8")
@spec("XEP-0175", "3")
class LeavingTests(ServerCase):
    """A guest does all that lasts, and goes."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.server = self.serve(host=HOST, more=MORE, listen='http = ["tcp:8080"]', store=self.store)
        self.juliet = Person(self.server, "juliet", "balcony")
        prepare(self.juliet)
        self.before = self.kept()
        self.guest = Person(self.server, None, "web")
        self.bare = self.guest.jid.partition("/")[0]
        live(self.guest, self.juliet)
        self.juliet.take()
        self.assertGreater(len(self.kept()), len(self.before) + 20)

    def kept(self) -> dict[str, str]:
        """What is in the store, but what was said to Romeo and in the room: that is theirs."""
        found = contents(self.store)
        return {key: each for key, each in found.items() if not key.startswith(("/spool", "/archives"))}

    def assertNothingLeft(self) -> None:
        """The store is as it was before the guest came."""
        after = self.kept()
        different = {key: each for key, each in after.items() if self.before.get(key) != each}
        self.assertFalse(different, different)
        self.assertEqual(self.before.keys() - after.keys(), set())
        self.assertFalse(mentions([self.store.facts, self.store.rosters, self.store.pubsub], self.bare.partition("@")[0]))
        first = self.store.archives.ends(ROOM)
        found: list[Any] = []
        first.addCallback(found.append)
        self.assertNotIn(self.bare, repr(found))

    def test_politely(self) -> None:
        """It closes its stream: contacts, occupants and subscribers are told, in order."""
        self.guest.client.send("<presence type='unavailable'/></stream:stream>")
        told = self.juliet.take()
        self.assertNothingLeft()
        self.assertFalse(self.server.server.ledger.knows(self.bare))
        types = [each.get("type") for each in told if each.tag.endswith("presence") and each.get("from", "").startswith(self.bare)]
        self.assertEqual(types, ["unavailable", "unsubscribe", "unsubscribed"])
        items = [each for push in told for each in push.iter("{jabber:iq:roster}item") if each.get("jid") == self.bare]
        self.assertEqual(items[-1].get("subscription"), "remove")
        rooms = [each for each in told if each.get("from", "").startswith(ROOM)]
        self.assertIn("unavailable", [each.get("type") for each in rooms])
        last = [each for each in rooms if each.tag.endswith("message")][-1]
        (item,) = last.iter("{http://jabber.org/protocol/muc#user}item")
        self.assertEqual((item.get("jid"), item.get("affiliation"), item.get("role")), (self.bare, "none", "none"))
        self.assertIsNotNone(last.find("{urn:xmpp:hints}no-store"), "nobody's archive is to remember")

    def test_cut(self) -> None:
        """The connection is lost, without stream management."""
        self.guest.client.cut()
        self.juliet.take()
        self.assertNothingLeft()

    @spec("XEP-0198", "5")
    def test_resumption(self) -> None:
        """The connection is lost and nobody comes back: all stays until the time for it is over."""
        self.guest.client.send("<enable xmlns='urn:xmpp:sm:3' resume='true' max='60'/>")
        self.guest.client.cut()
        self.server.advance(30)
        self.assertTrue(self.server.server.ledger.knows(self.bare))
        self.assertGreater(len(self.kept()), len(self.before) + 20)
        self.server.advance(600)
        self.juliet.take()
        self.assertNothingLeft()

    def test_killed(self) -> None:
        """The server is killed: the next start undoes it before anything listens."""
        self.server = self.serve(host=HOST, more=MORE, listen='http = ["tcp:8080"]', store=self.store, accounts=())
        self.assertNothingLeft()
        self.assertEqual(self.server.host.sessions, {})

    def test_stopped(self) -> None:
        """The server stops: guests are gone before it has."""
        self.server.stop()
        self.assertNothingLeft()

    @spec("mission", "A10")
    @spec("XEP-0175", "5")
    def test_disco(self) -> None:
        """Everybody may know what a guest is; what it has is for those who see its presence."""
        romeo = Person(self.server, "romeo", "orchard")
        answer = romeo.ask(f"<iq type='get' id='i' to='{self.bare}'>{DISCO.format('info')}</iq>")
        found = [tuple(each.attrib.values()) for each in answer[0]]
        info, items = (f"http://jabber.org/protocol/disco#{name}" for name in ("info", "items"))
        self.assertEqual(found, [("account", "anonymous"), (info,), (items,)])
        for client, count in ((romeo, 0), (self.juliet, 2)):
            answer = client.ask(f"<iq type='get' id='i' to='{self.bare}'>{DISCO.format('items')}</iq>")
            self.assertEqual((answer.get("type"), len(answer[0])), ("result", count))
        self.guest.client.disconnect()
        answer = romeo.ask(f"<iq type='get' id='i' to='{self.bare}'>{DISCO.format('info')}</iq>")
        self.assertError(answer, "service-unavailable")

    def test_retracted(self) -> None:
        """Who subscribes to a node hears that the guest's items are retracted, and that its own nodes are deleted."""
        self.juliet.ask(
            "<iq type='set' id='i' to='pubsub.example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            "<subscribe node='board' jid='juliet@example.org'/></pubsub></iq>"
        )
        self.juliet.ask(
            f"<iq type='set' id='i' to='{self.bare}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<subscribe node='{TUNE}' jid='juliet@example.org'/></pubsub></iq>"
        )
        self.guest.client.disconnect()
        told = self.juliet.take()
        event = "{http://jabber.org/protocol/pubsub#event}"
        retracted = [each.get("id") for message in told for each in message.iter(f"{event}retract")]
        deleted = [each.get("node") for message in told for each in message.iter(f"{event}delete")]
        self.assertEqual((retracted, deleted), (["his"], [TUNE]))


@spec("mission", "A7")
class OtherHostTests(ServerCase):
    """Guests who have a domain of their own."""

    def test_contacts(self) -> None:
        """They leave nothing at the accounts of another domain either."""
        store = MemoryStore()
        other = '[host."guests.example"]\naccounts = false\nguests = "specialized"\nplain_without_tls = true\n'
        server = self.serve(more=other, store=store)
        juliet = Person(server, "juliet", "balcony")
        juliet.ask("<iq type='get' id='i'><query xmlns='jabber:iq:roster'/></iq>")
        juliet.say("<presence/>")
        guest = Person(server, None, "web", "guests.example")
        bare = guest.jid.partition("/")[0]
        guest.say("<presence/><presence to='juliet@example.org' type='subscribe'/>")
        juliet.say(f"<presence to='{bare}' type='subscribed'/><presence to='{bare}' type='subscribe'/>")
        guest.say("<presence to='juliet@example.org' type='subscribed'/>")
        self.assertTrue(mentions(store.rosters, bare))
        juliet.take()
        guest.client.disconnect()
        types = [each.get("type") for each in juliet.take() if each.tag.endswith("presence")]
        self.assertEqual(types, ["unavailable", "unsubscribe", "unsubscribed"])
        self.assertFalse(mentions([store.rosters, store.facts], bare))


@spec("mission", "A7")
class OutageTests(ServerCase):
    """The store fails while a guest is being undone."""

    def test_again(self) -> None:
        """It is tried again, and in the end nothing is left."""
        store = FailingStore()
        server = self.serve(host=HOST, more=MORE, listen='http = ["tcp:8080"]', store=store)
        guest = Person(server, None, "web")
        guest.ask("<iq type='set' id='i'><vCard xmlns='vcard-temp'><FN>Nobody</FN></vCard></iq>")
        bare = guest.jid.partition("/")[0]
        store.failWrites = True
        guest.client.disconnect()
        server.advance(1)
        self.assertTrue(server.server.ledger.knows(bare))
        store.failWrites = False
        server.advance(5)
        kinds: Deferred[Any] = store.facts.kinds(bare)
        self.assertEqual(self.successResultOf(kinds), {})


@spec("mission", "A7")
class CostTests(ServerCase):
    """What it costs to be a guest who leaves nothing."""

    def test_nothing(self) -> None:
        """Neither login nor presence nor a visit to a room nor the end asks the store anything."""
        store = Counting(MemoryStore())
        server = self.serve(host=HOST, more=MORE, listen='http = ["tcp:8080"]', store=store)
        juliet = Person(server, "juliet", "balcony")
        prepare(juliet)
        server.advance(60)
        store.asked.clear()
        guest = Person(server, None, "web")
        guest.say("<presence/>")
        guest.say("<presence to='lobby@rooms.example.org/g'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        guest.say(f"<presence to='{ROOM}/g'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        guest.say("<message to='juliet@example.org/balcony' type='chat'><body>Juliet!</body></message>")
        guest.client.disconnect()
        server.advance(60)
        self.assertEqual(store.asked, [])
        self.assertFalse(server.server.ledger.knows(guest.jid.partition("/")[0]))
