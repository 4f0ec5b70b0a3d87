"""Guests who come back by a token, and the restrictions: bans hold for them, too, and paces don't begin anew."""

from __future__ import annotations

from typing import Any

from tests.auth.later import FAST, authenticate, hashed, resume
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
