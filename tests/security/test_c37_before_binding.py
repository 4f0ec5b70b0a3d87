"""C37: a message to somebody before a resource is bound."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase


@spec("RFC 6120", "7.1", "4.9.3.12")
class BeforeBindingTests(AttackCase):
    """Authenticated, but nobody yet: nothing is processed."""

    def test_stanzas(self) -> None:
        """Each kind, to others and to the server."""
        for stanza in (
            "<message to='romeo@example.org/orchard'><body>x</body></message>",
            "<message from='mallory@example.org/x' to='romeo@example.org/orchard'/>",
            "<presence/>",
            "<presence to='romeo@example.org' type='subscribe'/>",
            "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
            "<iq type='get' id='1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq type='result' id='1' to='romeo@example.org/orchard'/>",
        ):
            self.eachWay("authenticated", stanza, self.killed("not-authorized"))
        self.assertEqual(list(self.server.host.sessions), ["romeo@example.org", "juliet@example.org"])
