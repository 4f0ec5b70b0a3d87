"""C41: stream management out of turn, and resuming what isn't one's own."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient, split
from xmppd.wire import ns

SM = ns.STREAM_MANAGEMENT
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"


def resume(token: str, h: str = "0") -> str:
    """A request to resume."""
    return f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>"


@spec("XEP-0198", "3", "5")
class StreamManagementTests(AttackCase):
    """C{<failed/>}; the owner's session is untouched."""

    def failed(self, client: TestClient) -> None:
        """Failed, or closed."""
        taken = client.take()
        self.assertIn(split(taken[0].tag)[1] if taken else "", ("failed", "error"))

    def test_enableOutOfTurn(self) -> None:
        """Before the login, before binding, twice."""
        self.eachWay("opened", ENABLE, self.failed)
        self.eachWay("authenticated", ENABLE, self.failed)
        client = self.attacker()
        self.assertEqual(split(client.ask(ENABLE).tag), (SM, "enabled"))
        self.failed_second(client)

    def failed_second(self, client: TestClient) -> None:
        """The second one fails."""
        client.send(ENABLE)
        self.failed(client)

    def test_unknownToken(self) -> None:
        """Tokens that were never given away, in every shape."""
        for token in ("", "x", "x" * 5000, "&lt;", "../..", "' or 1=1 --"):
            for h in ("0", "-1", "x", "99999999999999999999", ""):
                client = self.attacker("authenticated")
                client.send(resume(token.replace("'", "&apos;"), h))
                self.failed(client)
        client = self.attacker("authenticated")
        client.send(f"<resume xmlns='{SM}'/>")
        self.failed(client)

    def test_somebodyElses(self) -> None:
        """The token of another user's session, connected or not: the owner keeps it and can resume it."""
        owner = self.server.login("juliet", "garden")
        token = owner.ask(ENABLE).get("id")
        assert token is not None
        thief = self.attacker("authenticated")
        thief.send(resume(token))
        self.failed(thief)
        self.assertFalse(owner.eof)
        owner.cut()
        self.romeo.send("<message to='juliet@example.org/garden' id='kept'/>")
        again = self.attacker("authenticated")
        again.send(resume(token))
        self.failed(again)
        juliet = self.server.connect()
        juliet.open()
        juliet.plain("juliet")
        juliet.open()
        juliet.send(resume(token))
        taken = juliet.take()
        self.assertEqual(split(taken[0].tag)[1], "resumed")
        self.assertIn("kept", [each.get("id") for each in taken])

    def test_nonsense(self) -> None:
        """Acknowledgements of what was never sent, requests without management, unknown elements of the namespace."""
        for element in (f"<a xmlns='{SM}' h='5'/>", f"<a xmlns='{SM}' h='x'/>", f"<a xmlns='{SM}'/>", f"<r xmlns='{SM}'/>", f"<what xmlns='{SM}'/>",
                        f"<resumed xmlns='{SM}'/>", f"<a xmlns='{SM}' h='-1'/>"):
            for first in ("", ENABLE):
                client = self.attacker()
                client.send(first + element)
                client.take()
