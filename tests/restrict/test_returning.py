"""Guests who come back by a token, and the restrictions: bans hold for them, too, and paces don't begin anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.auth.later import BIND, FAST, authenticate, hashed, identity, resume, tokenIn
from tests.features.xep0484_fast.test_guests import NONE, ReloadCase
from tests.marks import spec
from tests.server import split
from xmppd.restrict.visits import visitOf
from xmppd.wire import ns


@spec("mission", "A14")
class ReturningTests(ReloadCase):
    """A page that is loaded again."""

    def come(self, address: str) -> Any:
        """The page comes back from an address; the first answer."""
        client = self.opened(address=address)
        client.send(authenticate(NONE, hashed(self.name, self.token), FAST + resume(self.previd, 0)))
        return client.take()[0]

    def test_bannedAddress(self) -> None:
        """From a banned address nobody comes back, who is told why."""
        self.page.cut()
        self.successResultOf(self.server.host.guests.ban("203.0.113.9", "x"))  # type: ignore[union-attr]
        failure = self.come("203.0.113.9")
        self.assertEqual(split(failure.tag), (ns.SASL2, "failure"))
        self.assertIn("banned until", "".join(failure.itertext()))

    def test_bannedGuest(self) -> None:
        """A guest who is banned while the page is being loaded doesn't come back from anywhere."""
        self.page.cut()
        self.successResultOf(self.server.host.guests.ban(self.jid, "x"))  # type: ignore[union-attr]
        for address in ("192.0.2.1", "203.0.113.9"):
            self.assertEqual(split(self.come(address).tag), (ns.SASL2, "failure"))
        self.assertEqual(self.server.host.sessions, {})

    @spec("mission", "A9")
    def test_counts(self) -> None:
        """What was counted before counts afterwards."""
        session = self.server.server.router.session(self.jid)
        assert session is not None
        for n in range(5):
            self.page.send(f"<iq type='get' id='{n}' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        full = visitOf(session).stanzas
        self.page.cut()
        self.reload()
        self.assertIs(self.server.server.router.session(self.jid), session)
        self.assertEqual(visitOf(session).stanzas, full)
        self.assertEqual(self.server.host.guests.visits.count, 1)  # type: ignore[union-attr]

    @spec("mission", "A9")
    def test_storedBefore(self) -> None:
        """Another session of the same guest may not store as much again."""
        note = "<iq type='set' id='n{}'><query xmlns='jabber:iq:private'><a xmlns='urn:{}'>{}</a></query></iq>"
        for n in range(7):
            self.page.send(note.format(n, n, "x" * 14_000))
            self.server.advance(5)
        page = self.again()
        self.server.advance(60)
        answers = []
        for n in range(7):
            page.send(note.format(n, n, "y" * 14_000))
            answers += [each for each in page.take() if each.get("id") == f"n{n}"]
            self.server.advance(5)
        self.assertEqual([each.get("type") for each in answers], ["result"] * 2 + ["error"] * 5)

    @spec("mission", "A9")
    def test_hereSince(self) -> None:
        """Nor does its time begin anew; a new guest's does."""
        guests: Any = self.server.host.guests
        guests.visits.restrict(replace(guests.allowed, lifetimeSeconds=800, warningSeconds=100))
        guests._lifetime.reconfigure()
        self.server.advance(400)
        page = self.again()
        other = self.server.connect(address="192.0.2.77").login(None)
        self.server.advance(305)
        (warning,) = [each for each in page.take() if each.get("type") == "headline"]
        self.assertIn("ends in 2 minutes", "".join(warning.itertext()))
        self.server.advance(100)
        self.assertNotIn(self.bare, self.server.host.sessions)
        self.assertIn(other.jid, self.server.server.router.table)

    def again(self) -> Any:
        """The page comes back with a new session."""
        page, answers = self.use(self.token, BIND)
        success = self.succeeds(answers)
        self.token = tokenIn(success)
        self.assertNotEqual(identity(success), self.jid)
        self.assertEqual(len(self.server.host.sessions[self.bare]), 1)
        return page
