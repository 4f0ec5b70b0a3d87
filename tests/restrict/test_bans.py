"""Tests of L{xmppd.restrict.bans} and of what L{xmppd.restrict.guests} does with them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.doubles import FailingStore
from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient
from xmppd.ixmppd import Ban, IGuests, StoreUnavailable
from xmppd.restrict import bans
from xmppd.wire.errors import StanzaError


@spec("mission", "A14")
class BanTests(GuestCase):
    """Bans by hashed address."""

    @property
    def door(self) -> Any:
        """The guests of the host."""
        return self.server.host.guests

    def ban(self, whom: str, **named: Any) -> Ban:
        """Ban somebody."""
        return self.successResultOf(self.door.ban(whom, "admin@example.org", **named))  # type: ignore[no-any-return]

    def tries(self, address: str) -> Any:
        """The answer to a guest's login from an address."""
        client = self.server.connect(address=address)
        client.open()
        return client.anonymous()

    def test_banned(self) -> None:
        """The guest's session ends at once, and nobody else gets in from there, who hears why and until when."""
        self.guests()
        client = self.guest("192.0.2.1")
        ban = self.ban(client.jid, reason="spam", seconds=3600)
        self.assertClosed(client, "policy-violation")
        answer = self.tries("192.0.2.1")
        self.assertFailure(answer, "not-authorized")
        self.assertIn("banned until 2001-09-09 02:46 UTC", "".join(answer.itertext()))
        self.assertSuccess(self.tries("192.0.2.2"))
        self.assertEqual((ban.by, ban.reason, ban.guest), ("admin@example.org", "spam", client.jid.partition("/")[0]))

    def test_ends(self) -> None:
        """A ban ends by itself, or by somebody."""
        self.guests()
        ban = self.ban("192.0.2.1", seconds=3600)
        self.ban("192.0.2.2")
        self.server.advance(3601)
        self.assertSuccess(self.tries("192.0.2.1"))
        self.assertEqual([each.id for each in self.door.bans() if each.id == ban.id], [])
        self.assertFailure(self.tries("192.0.2.2"), "not-authorized")
        (other,) = self.door.bans()
        self.assertTrue(self.successResultOf(self.door.unban(other.id)))
        self.assertFalse(self.successResultOf(self.door.unban(other.id)))
        self.assertSuccess(self.tries("192.0.2.2"))
        self.ban("192.0.2.2")
        self.assertTrue(self.successResultOf(self.door.unban("192.0.2.2")))
        self.assertEqual(self.successResultOf(self.server.store.facts.all("example.org", bans.KIND)), {})

    def test_networks(self) -> None:
        """For IPv6 the /64 is banned."""
        self.guests()
        self.ban("2001:db8:1:2::7")
        self.assertFailure(self.tries("2001:db8:1:2:3::9"), "not-authorized")
        self.assertSuccess(self.tries("2001:db8:1:3::7"))
        self.assertTrue(self.successResultOf(self.door.unban("2001:db8:1:2::/64")))
        self.assertSuccess(self.tries("2001:db8:1:2::7"))

    def test_all(self) -> None:
        """All guests from that address go, connected or not; users with accounts stay and come."""
        self.guests()
        one, two = self.guest("192.0.2.1"), self.guest("192.0.2.1")
        other, romeo = self.guest("192.0.2.2"), self.server.connect(address="192.0.2.1").login("romeo")
        two.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        two.take()
        two.disconnect()
        self.ban(one.jid)
        self.assertClosed(one, "policy-violation")
        self.assertEqual(set(self.server.server.router.table), {other.jid, romeo.jid})
        self.server.connect(address="192.0.2.1").login("juliet")

    def test_restart(self) -> None:
        """Bans hold over a restart."""
        self.guests()
        client = self.guest("192.0.2.1")
        ban = self.ban(client.jid, reason="spam")
        store = self.server.store
        self.server.stop()
        self.guests(store=store, accounts=())
        self.assertFailure(self.tries("192.0.2.1"), "not-authorized")
        self.assertEqual(self.door.bans(), [ban])

    def test_nothingLeaks(self) -> None:
        """Neither what is kept nor what is shown has the address in it; hosts have different hashes."""
        self.guests()
        client = self.guest("192.0.2.1")
        ban = self.ban(client.jid)
        kept = self.successResultOf(self.server.store.facts.all("example.org", bans.KIND))
        self.assertNotIn("192.0.2", repr((ban, kept, self.door.bans())))
        ids = {ban.id}
        for _ in range(2):
            self.guests()
            ids.add(self.ban("192.0.2.1").id)
        self.assertEqual(len(ids), 3)

    def test_lateBinding(self) -> None:
        """Who had logged in before the ban gets no resource after it."""
        self.guests()
        client = self.server.connect(address="192.0.2.1")
        client.open()
        self.assertSuccess(client.anonymous())
        client.open()
        self.ban("192.0.2.1")
        client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.assertError(client.take()[-1], "not-allowed")

    def test_resumption(self) -> None:
        """Who comes back to a session from a banned address loses it."""
        self.guests()
        self.guest("192.0.2.1")
        self.ban("192.0.2.9")
        (session,) = self.server.server.router.table.values()
        session.stream.address = "192.0.2.9"  # type: ignore[union-attr]
        self.server.host.hooks.resumed.notify(session)
        self.assertTrue(session.over)

    def test_nobody(self) -> None:
        """Users with accounts, and those who aren't here, can't be banned so."""
        self.guests()
        self.server.login("romeo")
        for whom in ("romeo@example.org", "nobody@example.org", "", "192.0.2"):
            failure = self.failureResultOf(self.door.ban(whom, "x"), StanzaError)
            self.assertEqual(failure.value.condition, "item-not-found")

    def test_shortened(self) -> None:
        """Moderators' bans are no longer than they may be."""
        self.guests()
        ban = self.ban("192.0.2.1", seconds=1e6, most=60.0)
        self.assertEqual(ban.expires - ban.since, 60)
        ban = self.ban("192.0.2.1")
        self.assertEqual(ban.expires - ban.since, 168 * 3600)

    def test_guessing(self) -> None:
        """That a banned guest knocks again and again doesn't shut out users from the same address."""
        self.guests(config="auth_failures_per_minute = 3")
        self.ban("192.0.2.1")
        for _ in range(5):
            self.assertFailure(self.tries("192.0.2.1"), "not-authorized")
        self.server.connect(address="192.0.2.1").login("romeo")

    def test_bounded(self) -> None:
        """There may be only so many."""
        self.patch(bans, "MOST", 2)
        self.guests()
        self.ban("192.0.2.1")
        self.ban("192.0.2.2")
        self.ban("192.0.2.2")
        failure = self.failureResultOf(self.door.ban("192.0.2.3", "x"), StanzaError)
        self.assertEqual(failure.value.condition, "resource-constraint")

    def test_moderatorsBound(self) -> None:
        """Moderators can't use up the bans of administrators."""
        self.patch(bans, "MOST", 2)
        self.guests()
        self.ban("192.0.2.1", most=60.0)
        failure = self.failureResultOf(self.door.ban("192.0.2.2", "x", most=60.0), StanzaError)
        self.assertEqual(failure.value.condition, "resource-constraint")
        self.ban("192.0.2.2")

    def test_storeFails(self) -> None:
        """A ban that can't be kept holds for now, and whoever bans hears of it; the guest is gone in any case."""
        store = FailingStore()
        self.guests(store=store)
        client = self.guest("192.0.2.1")
        store.failWrites = True
        self.failureResultOf(self.door.ban(client.jid, "x"), StoreUnavailable)
        store.failWrites = 0
        self.assertClosed(client, "policy-violation")
        self.assertFailure(self.tries("192.0.2.1"), "not-authorized")

    def test_unreadable(self) -> None:
        """A server that can't read its bans doesn't start."""
        store = FailingStore()
        self.guests(store=store)
        store.failReads = True
        results: list[Any] = []
        loaded: Deferred[None] = self.door._load()
        loaded.addBoth(results.append)
        self.assertEqual(results[0].type, StoreUnavailable)
        store.failReads = 0

    def test_interface(self) -> None:
        """L{IGuests} is provided."""
        from zope.interface.verify import verifyObject

        self.guests()
        verifyObject(IGuests, self.door)


@spec("mission", "A14")
class ModeratorTests(GuestCase):
    """Moderators ban by an ad-hoc command at the room."""

    NODE = "urn:xmppd:guests:0#ban"
    ROOM = "cave@rooms.example.org"

    def setUp(self) -> None:
        self.guests(more='[rooms."rooms.example.org"]\n')
        self.romeo, self.juliet = (self.server.login(name, available=True) for name in ("romeo", "juliet"))
        self.enter(self.romeo, "romeo")
        form = "<x xmlns='jabber:x:data' type='submit'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
        self.romeo.send(f"<iq type='set' id='o' to='{self.ROOM}'>{query}</iq>")
        self.enter(self.juliet, "juliet")
        self.client = self.guest("192.0.2.66", available=True)
        self.enter(self.client, "mallory")
        self.romeo.take()
        self.juliet.take()

    def enter(self, client: TestClient, nick: str) -> None:
        """Somebody enters the room."""
        client.send(f"<presence to='{self.ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        client.take()

    def command(self, client: TestClient, **fields: str) -> Any:
        """Run the command; answers the last answer."""
        start = f"<command xmlns='http://jabber.org/protocol/commands' node='{self.NODE}' action='execute'"
        client.send(f"<iq type='set' id='1' to='{self.ROOM}'>{start}/></iq>")
        answer = client.take()[-1]
        if answer.get("type") == "error":
            return answer
        id = answer[0].get("sessionid")
        filled = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
        form = f"<x xmlns='jabber:x:data' type='submit'>{filled}</x>"
        client.send(f"<iq type='set' id='2' to='{self.ROOM}'>{start} sessionid='{id}'>{form}</command></iq>")
        return next(each for each in client.take() if each.get("id") == "2")

    def test_banned(self) -> None:
        """The guest behind a nickname is banned from the server; the moderator learns no address, and not the JID."""
        answer = self.command(self.romeo, nick="mallory", reason="rude")
        self.assertEqual(answer.get("type"), "result")
        text = "".join(answer.itertext())
        self.assertIn("Banned until", text)
        self.assertNotIn("192.0.2", text)
        self.assertClosed(self.client, "policy-violation")
        client = self.server.connect(address="192.0.2.66")
        client.open()
        self.assertFailure(client.anonymous(), "not-authorized")
        (ban,) = self.server.host.guests.bans()  # type: ignore[union-attr]
        self.assertEqual((ban.by, ban.reason), (f"romeo@example.org in {self.ROOM}", "rude"))
        self.assertEqual(ban.expires - ban.since, 24 * 3600)

    def test_limited(self) -> None:
        """For a shorter time if the moderator wants that, never for longer than may be."""
        self.command(self.romeo, nick="mallory", hours="1")
        (ban,) = self.server.host.guests.bans()  # type: ignore[union-attr]
        self.assertEqual(ban.expires - ban.since, 3600)

    def test_refused(self) -> None:
        """Nobody but moderators with an account, only guests, only who is there."""
        self.assertError(self.command(self.juliet, nick="mallory"), "forbidden")
        self.assertError(self.command(self.client, nick="romeo"), "forbidden")
        self.assertError(self.command(self.romeo, nick="juliet"), "not-acceptable")
        self.assertError(self.command(self.romeo, nick="nobody"), "item-not-found")
        self.assertError(self.command(self.romeo, nick="mallory", hours="x"), "bad-request")
        self.assertEqual(self.server.host.guests.bans(), [])  # type: ignore[union-attr]

    def test_discovered(self) -> None:
        """Moderators find the command, others don't."""
        ask = (f"<iq type='get' id='d' to='{self.ROOM}'><query xmlns='http://jabber.org/protocol/disco#items'"
               " node='http://jabber.org/protocol/commands'/></iq>")
        nodes = []
        for client in (self.romeo, self.juliet):
            client.send(ask)
            nodes.append([item.get("node") for item in client.take()[0][0]])
        self.assertEqual([self.NODE in each for each in nodes], [True, False])
        self.romeo.send(f"<iq type='get' id='d' to='{self.ROOM}'><query xmlns='http://jabber.org/protocol/disco#info'"
                        f" node='{self.NODE}'/></iq>")
        identity = self.romeo.take()[0][0][0]
        self.assertEqual((identity.get("category"), identity.get("type")), ("automation", "command-node"))
