"""C43: addresses that can't be."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient

BAD = (
    "@example.org", "a@b@c", "example.org/", "a@example.org/", "/x", "@", "a@", "a@/x", " ", " a@example.org", "a@example.org ",
    "x" * 1100 + "@example.org", "a@" + "b" * 1100, "a@example.org/" + "x" * 1100, "a b@example.org", "a&quot;b@example.org",
    "a&amp;b@example.org", "a:b@example.org", "a&lt;b@example.org", "a\u2028@example.org", "a@exa_mple .org", "a@..", "a@x..y",
    "a\x7f@example.org", "a@example.org/\x7f", "&#10;@example.org", "\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}" * 5000 + "@example.org",
)


@spec("RFC 6120", "8.3.3.8")
@spec("RFC 7622", "3.2", "3.3", "3.4")
class AddressTests(AttackCase):
    """jid-malformed, for each kind of stanza that is answered at all."""

    def test_malformed(self) -> None:
        """Messages and requests."""
        def check(client: TestClient) -> None:
            self.assertError(client.one(), "jid-malformed", "modify")
            self.assertHarmless(client)

        for address in BAD:
            chunks: tuple[int | None, ...] = (None, 1) if len(address) < 2000 else (None,)
            self.eachWay("bound", f"<message to='{address}' id='1'><body>x</body></message>", check, chunks)
            self.eachWay("bound", f"<iq to='{address}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", check, (None,))

    def test_presence(self) -> None:
        """Presence: answered, or ignored."""
        for address in BAD:
            for type in ("", " type='subscribe'", " type='unavailable'", " type='probe'"):
                client = self.attacker()
                client.send(f"<presence to='{address}'{type}/>")
                for each in client.take():
                    self.assertError(each, "jid-malformed")
                self.assertHarmless(client)
                client.disconnect()

    def test_inPayloads(self) -> None:
        """The same addresses inside requests that hold some."""
        for address in BAD:
            client = self.attacker()
            for request in (
                f"<query xmlns='jabber:iq:roster'><item jid='{address}'/></query>",
                f"<block xmlns='urn:xmpp:blocking'><item jid='{address}'/></block>",
            ):
                answer = client.ask(f"<iq type='set' id='1'>{request}</iq>")
                self.assertEqual(answer.get("type"), "error")
            client.disconnect()

    def test_empty(self) -> None:
        """An empty C{to} is an address too, and none that can be."""
        client = self.attacker()
        client.send("<message to='' id='1'><body>x</body></message>")
        for each in client.take():
            self.assertEqual(each.get("type"), "error")
        self.assertHarmless(client)
