"""Tests of L{xmppd.features.xep0175_guests}: users' choice, and administrators' commands."""

from __future__ import annotations

from typing import Any

from tests.doubles import FailingStore
from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import TestClient

NS = "urn:xmppd:guests:0"


@spec("mission", "A9")
class ChoiceTests(GuestCase):
    """Users say whether guests may reach them."""

    def ask(self, client: TestClient, type: str, attribute: str = "", to: str = "") -> Any:
        """The answer to a request."""
        target = f" to='{to}'" if to else ""
        client.send(f"<iq type='{type}' id='1'{target}><guests xmlns='{NS}'{attribute}/></iq>")
        return client.take()[-1]

    def test_default(self) -> None:
        """Everybody can be reached who doesn't say otherwise."""
        self.guests()
        answer = self.ask(self.server.login("romeo"), "get")
        self.assertEqual(answer[0].get("reach"), "allowed")

    def test_chosen(self) -> None:
        """What was chosen is told, holds over a restart, and can be taken back."""
        self.guests()
        romeo = self.server.login("romeo")
        self.assertEqual(self.ask(romeo, "set", " reach='refused'").get("type"), "result")
        self.assertEqual(self.ask(romeo, "get")[0].get("reach"), "refused")
        store = self.server.store
        self.server.stop()
        self.guests(store=store, accounts=())
        self.assertEqual(self.server.host.guestless, {"romeo@example.org"})
        romeo = self.server.login("romeo")
        self.ask(romeo, "set", " reach='allowed'")
        self.assertEqual(self.ask(romeo, "get")[0].get("reach"), "allowed")
        self.assertEqual(self.server.host.guestless, set())

    def test_refused(self) -> None:
        """Nobody chooses for others; guests have nothing to choose; there are two words."""
        self.guests()
        romeo, guest = self.server.login("romeo"), self.guest()
        self.assertError(self.ask(romeo, "set", " reach='refused'", "juliet@example.org"), "forbidden")
        self.assertError(self.ask(guest, "set", " reach='refused'"), "forbidden")
        self.assertError(self.ask(romeo, "set", " reach='maybe'"), "bad-request")
        self.assertError(self.ask(romeo, "set"), "bad-request")

    def test_removed(self) -> None:
        """With an account its choice goes."""
        self.guests()
        romeo = self.server.login("romeo")
        self.ask(romeo, "set", " reach='refused'")
        self.successResultOf(self.server.host.registrar.remove("romeo@example.org"))
        self.assertEqual(self.server.host.guestless, set())

    def test_storeFails(self) -> None:
        """What can't be kept isn't chosen."""
        store = FailingStore()
        self.guests(store=store)
        romeo = self.server.login("romeo")
        store.failWrites = 1
        self.assertError(self.ask(romeo, "set", " reach='refused'"), "resource-constraint")
        self.assertEqual(self.server.host.guestless, set())

    def test_discovered(self) -> None:
        """The domain says that there is a choice."""
        self.guests()
        romeo = self.server.login("romeo")
        romeo.send("<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        features = [each.get("var") for each in romeo.take()[0][0]]
        self.assertIn(NS, features)


@spec("mission", "A14")
@spec("XEP-0050", "2.4")
class CommandTests(GuestCase):
    """Administrators ban by ad-hoc commands."""

    def run_(self, client: TestClient, node: str, **fields: str) -> Any:
        """Run a command; answers the last answer."""
        start = f"<command xmlns='http://jabber.org/protocol/commands' node='{NS}#{node}' action='execute'"
        client.send(f"<iq type='set' id='1' to='example.org'>{start}/></iq>")
        answer = client.take()[-1]
        if answer.get("type") == "error" or answer[0].get("status") == "completed":
            return answer
        id = answer[0].get("sessionid")
        filled = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
        form = f"<x xmlns='jabber:x:data' type='submit'>{filled}</x>"
        client.send(f"<iq type='set' id='2' to='example.org'>{start} sessionid='{id}'>{form}</command></iq>")
        return client.take()[-1]

    def test_ban(self) -> None:
        """Ban, look, end."""
        self.guests()
        admin, guest = self.server.login("admin"), self.guest("192.0.2.66")
        answer = self.run_(admin, "ban", whom=guest.jid, hours="2", reason="spam")
        self.assertIn("Banned until", "".join(answer.itertext()))
        self.assertClosed(guest, "policy-violation")
        shown = "".join(self.run_(admin, "bans").itertext())
        (ban,) = self.server.host.guests.bans()  # type: ignore[union-attr]
        self.assertEqual((ban.expires - ban.since, ban.by), (7200, "admin@example.org"))
        for text in (ban.id, "spam", "admin@example.org", guest.jid.partition("/")[0]):
            self.assertIn(text, shown)
        self.assertNotIn("192.0.2", shown)
        self.assertEqual(self.run_(admin, "unban", id=ban.id).get("type"), "result")
        self.assertError(self.run_(admin, "unban", id=ban.id), "item-not-found")
        self.assertError(self.run_(admin, "ban", whom=guest.jid), "item-not-found")

    def test_notForOthers(self) -> None:
        """Only administrators."""
        self.guests()
        for client in (self.server.login("romeo"), self.guest()):
            for node in ("ban", "unban", "bans"):
                self.assertError(self.run_(client, node), "forbidden")

    def test_noGuests(self) -> None:
        """Where there are no guests there is nothing to ban."""
        self.server = self.serve()
        self.assertError(self.run_(self.server.login("admin"), "bans"), "feature-not-implemented")
