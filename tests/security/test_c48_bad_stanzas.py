"""C48: requests and presence that are none."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient


@spec("RFC 6120", "8.2.3", "8.3.3.1")
class BadStanzaTests(AttackCase):
    """bad-request."""

    def bad(self, client: TestClient) -> None:
        """Answered with bad-request; alive."""
        self.assertError(client.one(), "bad-request", "modify")
        self.assertHarmless(client)

    def test_requests(self) -> None:
        """Without id, with a bogus type or none, without child, with two; to the server, an account, a contact."""
        ping = "<ping xmlns='urn:xmpp:ping'/>"
        for to in ("", " to='example.org'", " to='mallory@example.org'", " to='romeo@example.org/orchard'", " to='nobody@example.org'"):
            for iq in (
                f"<iq{to} type='get'>{ping}</iq>",
                f"<iq{to} type='get' id=''>{ping}</iq>",
                f"<iq{to} id='1'>{ping}</iq>",
                f"<iq{to} type='bogus' id='1'>{ping}</iq>",
                f"<iq{to} type='GET' id='1'>{ping}</iq>",
                f"<iq{to} type='get' id='1'/>",
                f"<iq{to} type='set' id='1'>text</iq>",
                f"<iq{to} type='get' id='1'>{ping}{ping}</iq>",
            ):
                self.eachWay("bound", iq, self.bad)

    def test_presence(self) -> None:
        """Presence of a type that isn't."""
        for to in ("", " to='romeo@example.org'", " to='romeo@example.org/orchard'"):
            for type in ("bogus", "available", "SUBSCRIBE", ""):
                self.eachWay("bound", f"<presence{to} type='{type}'/>", self.bad)

    @spec("RFC 6121", "4.7.2.3")
    def test_priority(self) -> None:
        """A priority that is no number, or out of range: refused, or taken for 0; never a traceback."""
        for priority in ("x", "128", "-129", "1.5", "", "9" * 5000, "\N{ARABIC-INDIC DIGIT ONE}", " 5 ", "0x1", "1_0"):
            client = self.attacker()
            client.send(f"<presence><priority>{priority}</priority></presence>")
            client.take()
            self.assertHarmless(client)

    def test_errorsAreNotAnswered(self) -> None:
        """Stanzas of type error never cause an error."""
        client = self.attacker()
        for stanza in ("<message type='error' to='nobody@example.org'/>", "<iq type='error' id='1'/>", "<iq type='error'/>",
                       "<presence type='error' to='nobody@example.org'/>", "<message type='error' to='@'/>"):
            client.send(stanza)
            self.assertEqual(client.take(), [])
        self.assertHarmless(client)
