"""Tests of who may come: L{xmppd.restrict.visits}, L{xmppd.restrict.resource} and L{xmppd.restrict.lifetime}."""

from __future__ import annotations

from typing import Any

from tests.doubles import FailingStore
from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient

BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{}</bind></iq>"


class VisitCase(GuestCase):
    """Guests come."""

    def bind(self, address: str = "192.0.2.1", resource: str | None = None) -> tuple[TestClient, Any]:
        """A guest's client, and the answer to its wish for a resource."""
        client = self.server.connect(address=address)
        client.open()
        self.assertSuccess(client.anonymous())
        client.open()
        client.send(BIND.format("" if resource is None else f"<resource>{resource}</resource>"))
        return client, client.take()[-1]

    def assertFull(self, answer: Any) -> None:
        """Nobody else gets in."""
        self.assertLimit(answer, "resource-constraint", "resource-limit-exceeded", "cancel")


@spec("mission", "A5")
@spec("XEP-0175", "3")
class ResourceTests(VisitCase):
    """The resource of a guest."""

    def test_serverMade(self) -> None:
        """In the public profile the server makes it, whatever the client asks for."""
        self.guests()
        jids = [self.bind(resource=wish)[0] for wish in ("me", None, "me")]
        resources = [self.server.server.router.table for _ in jids]
        found = {jid.partition("/")[2] for jid in resources[0] if jid}
        self.assertEqual(len(found), 3)
        self.assertNotIn("me", found)
        self.assertTrue(all(len(each) >= 22 for each in found))

    def test_chosen(self) -> None:
        """Where it is so configured, the client chooses."""
        for profile, guest in (("private", ""), ("public", "server_resource = false")):
            self.guests(guest, profile)
            _, answer = self.bind(resource="me")
            self.assertTrue("".join(answer.itertext()).endswith("/me"))


@spec("mission", "A9")
@spec("XEP-0205", "4.4")
class CrowdTests(VisitCase):
    """How many guests there may be."""

    def test_perAddress(self) -> None:
        """From one address only so many; from a /64 of IPv6 too; who leaves makes room."""
        self.guests("guests_per_address = 2")
        for one, two in (("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::2")):
            first, _ = self.bind(one)
            self.bind(two)
            self.assertFull(self.bind(one)[1])
            first.disconnect()
            self.assertEqual(self.bind(two)[1].get("type"), "result")
        self.assertEqual(self.bind("192.0.2.2")[1].get("type"), "result")

    def test_inAll(self) -> None:
        """In all only so many; users with accounts come nevertheless."""
        self.guests("guests_max = 3")
        clients = [self.bind(f"192.0.2.{n}")[0] for n in range(3)]
        self.assertFull(self.bind("192.0.2.9")[1])
        self.server.login("romeo")
        clients[0].disconnect()
        self.assertEqual(self.bind("192.0.2.9")[1].get("type"), "result")

    def test_benchmarks(self) -> None:
        """How many come from one address is a limit of pace."""
        self.guests("guests_per_address = 1\nguests_max = 2", config="enabled = false")
        self.bind()
        self.assertEqual(self.bind()[1].get("type"), "result")
        self.assertFull(self.bind()[1])

    def test_waitingMakesRoom(self) -> None:
        """A guest who lost the connection gives way to one from the same address: it is probably the same."""
        self.guests("guests_per_address = 1")
        client, _ = self.bind()
        client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        client.disconnect()
        self.assertEqual(len(self.server.server.router.table), 1)
        self.assertEqual(self.bind()[1].get("type"), "result")
        self.assertEqual(len(self.server.server.router.table), 1)

    def test_counts(self) -> None:
        """Nothing is left of guests who are gone, but for a minute the address."""
        self.guests()
        visits = self.server.host.guests.visits  # type: ignore[union-attr]
        clients = [self.bind(f"192.0.2.{n}")[0] for n in range(5)]
        self.assertEqual(visits.count, 5)
        for client in clients:
            client.disconnect()
        self.server.advance(700)
        self.assertEqual(visits.count, 0)
        self.bind()
        self.assertEqual(list(visits._crowds), ["192.0.2.1"])
        self.assertEqual(visits._empty, {})

    def test_resumedElsewhere(self) -> None:
        """Who comes back from another address counts there."""
        self.guests()
        client, _ = self.bind("192.0.2.1")
        visits = self.server.host.guests.visits  # type: ignore[union-attr]
        (session,) = self.server.server.router.table.values()
        session.stream.address = "192.0.2.7"  # type: ignore[union-attr]
        self.server.host.hooks.resumed.notify(session)
        self.assertEqual(list(visits.crowd("192.0.2.7").sessions), [session])
        self.assertEqual(list(visits.crowd("192.0.2.1").sessions), [])
        client.disconnect()
        self.server.advance(700)
        self.assertEqual(visits.count, 0)

    @spec("mission", "A2")
    def test_noStore(self) -> None:
        """A new guest's login reads nothing and writes nothing, beside accounts, too."""
        store = FailingStore()
        self.guests(store=store)
        store.failReads = store.failWrites = True
        self.assertEqual(self.bind()[1].get("type"), "result")
        store.failReads = store.failWrites = 0


@spec("mission", "A9")
class LifetimeTests(VisitCase):
    """How long a guest may stay."""

    def test_ends(self) -> None:
        """The user is told in time; then the session ends with a typed stream error."""
        self.guests("lifetime_seconds = 500\nwarning_seconds = 120")
        client, _ = self.bind()
        self.server.advance(379)
        self.assertEqual(client.take(), [])
        self.server.advance(2)
        (told,) = client.take()
        self.assertEqual((told.get("from"), told.get("type")), ("example.org", "headline"))
        self.assertIn("2 minutes", "".join(told.itertext()))
        self.server.advance(118)
        self.assertFalse(client.streamClosed)
        self.server.advance(2)
        self.assertClosed(client, "policy-violation")
        self.assertIn(b"<resource-limit-exceeded xmlns='urn:xmpp:errors'/></stream:error>", client.raw)
        self.assertEqual(len(self.server.server.router.table), 0)

    def test_each(self) -> None:
        """Everybody has the same time, whenever they came; who goes leaves nothing behind."""
        self.guests("lifetime_seconds = 300\nwarning_seconds = 0")
        first, _ = self.bind("192.0.2.1")
        self.server.advance(100)
        gone, _ = self.bind("192.0.2.2")
        second, _ = self.bind("192.0.2.3")
        gone.disconnect()
        self.server.advance(201)
        self.assertTrue(first.streamClosed)
        self.assertFalse(second.streamClosed)
        self.server.advance(100)
        self.assertTrue(second.streamClosed)
        self.assertIsNone(self.server.host.guests._lifetime._timer)  # type: ignore[union-attr]
        self.server.advance(61)
        self.bind("192.0.2.4")
        self.assertEqual(len(self.server.host.guests.visits.stays), 1)  # type: ignore[union-attr]

    def test_endless(self) -> None:
        """Without an end there is no timer."""
        self.guests("lifetime_seconds = 0")
        self.bind()
        self.assertIsNone(self.server.host.guests._lifetime._timer)  # type: ignore[union-attr]

    def test_users(self) -> None:
        """Users with accounts stay."""
        self.guests("lifetime_seconds = 60\nwarning_seconds = 0")
        romeo = self.server.login("romeo")
        self.server.advance(120)
        self.assertFalse(romeo.streamClosed)
