"""Tests of L{xmppd.features.xep0199_ping}."""

from __future__ import annotations

from tests.features.asking import JULIET, AskingCase
from tests.marks import spec
from xmppd.features.xep0199_ping import feature

PING = "<ping xmlns='urn:xmpp:ping'/>"


class PingTests(AskingCase):
    """The server answers."""

    features = (feature,)

    @spec("XEP-0199", "4.2")
    def test_own(self) -> None:
        """A client may ping the domain, its own account, or leave the address out."""
        for to in ("example.org", JULIET, None):
            self.assertIsNone(self.result(self.juliet, "get", PING, to))

    @spec("XEP-0199", "4.3")
    def test_server(self) -> None:
        """Another server is answered, too."""
        sent = []
        self.rig.router.remote = type("Remote", (), {"deliver": lambda self, stanza: sent.append(stanza)})()
        self.rig.inject(b"<iq from='montague.lit' to='example.org' id='s2s1' type='get'>" + PING.encode() + b"</iq>")
        self.assertEqual([(s.type, s.id, s.to) for s in sent], [("result", "s2s1", "montague.lit")])

    def test_others(self) -> None:
        """Nobody can find out accounts with it."""
        for to in ("romeo@example.org", "nobody@example.org"):
            self.assertEqual(self.error(self.juliet, "get", PING, to), "service-unavailable")

    @spec("XEP-0199", "4.4")
    def test_clients(self) -> None:
        """A ping to a full JID is the client's business."""
        self.send(self.juliet, "get", PING, "romeo@example.org/orchard")
        self.assertIn(b"urn:xmpp:ping", self.streams[self.romeo].takeBytes()[0])
