"""C38: resources that can't be, and binding twice."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient
from xmppd.wire import ns


def binding(resource: str) -> str:
    """A request for a resource."""
    return f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"


@spec("RFC 6120", "7.3.1", "7.6.2.2", "7.7.2.1")
class ResourceTests(AttackCase):
    """bad-request or a resource of the server's own; a second one is not-allowed."""

    def test_bad(self) -> None:
        """Too long, control characters, code points that no resource may have."""
        def check(client: TestClient) -> None:
            self.assertError(client.one(), "bad-request")
            self.assertTrue(client.bind("good").endswith("/good"))

        for resource in ("x" * 1100, "\N{SNOWMAN}" * 400, "\x7f", "a\x85b", "a&#9;b", "&#10;", "\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}" * 5000,
                         "\ue000", "a\u2028b", "\ufdd0"):
            self.eachWay("authenticated", binding(resource), check, chunks=(None, 1) if len(resource) < 2000 else (None,))

    def test_empty(self) -> None:
        """An empty wish is none."""
        client = self.attacker("authenticated")
        self.assertNotIn(client.bind(""), ("", "mallory@example.org", "mallory@example.org/"))

    def test_strange(self) -> None:
        """Two wishes, elements inside the wish, a wish in another namespace: nothing breaks."""
        for inner in ("<resource>a</resource><resource>b</resource>", "<resource><a>x</a></resource>", "<resource xmlns='x'>a</resource>",
                      "<x/>" * 1000, "text"):
            client = self.attacker("authenticated")
            answer = client.ask(f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'>{inner}</bind></iq>")
            self.assertIn(answer.get("type"), ("result", "error"))
            self.assertFalse(client.eof)

    def test_twice(self) -> None:
        """Whatever it is addressed to."""
        client = self.attacker()
        for to in ("", f" to='{client.jid.partition('/')[0]}'", " to='example.org'", " to='example.org/x'"):
            answer = client.ask(binding("second").replace("<iq", f"<iq{to}"))
            self.assertError(answer, "not-allowed")
        self.assertHarmless(client)
        self.assertEqual(len(self.server.host.sessions["mallory@example.org"]), 1)
