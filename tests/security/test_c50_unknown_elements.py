"""C50: top-level elements that are no stanzas; a second header."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import streamHeader
from xmppd.wire import ns


@spec("RFC 6120", "4.9.3.24", "4.8.4")
class UnknownElementTests(AttackCase):
    """Closed."""

    def test_unknown(self) -> None:
        """Unknown names, known names in foreign namespaces or in none, names that differ in case."""
        for element in (
            "<unknown/>", "<body>x</body>", "<Message/>", "<message xmlns='urn:other' to='romeo@example.org/orchard'/>",
            "<message xmlns='' to='romeo@example.org/orchard'/>", "<message xmlns='jabber:server' to='romeo@example.org/orchard'/>",
            "<iq xmlns='urn:x' type='get' id='1'/>", "<a:message xmlns:a='urn:a'/>", "<stream:message to='romeo@example.org/orchard'/>",
            "<presence xmlns='jabber:client&#10;'/>", f"<features xmlns='{ns.STREAMS}'/>", "<stream:error/>",
            f"<success xmlns='{ns.SASL}'/>", f"<proceed xmlns='{ns.TLS}'/>",
        ):
            for state in ("opened", "bound"):
                self.eachWay(state, element, self.killed("unsupported-stanza-type", "not-well-formed", "not-authorized"))

    def test_sameName(self) -> None:
        """A stanza under another prefix is a stanza."""
        client = self.attacker()
        client.send("<c:message xmlns:c='jabber:client' to='romeo@example.org/orchard' id='prefixed'><c:body>x</c:body></c:message>")
        got = self.romeo.one()
        self.assertEqual((got.get("id"), got.get("from"), got[0].tag), ("prefixed", client.jid, "{jabber:client}body"))

    def test_secondHeader(self) -> None:
        """A stream header inside the stream."""
        header = streamHeader().partition(b"?>")[2]
        for state in ("opened", "bound"):
            self.eachWay(state, header, self.killed("unsupported-stanza-type"))
            self.eachWay(state, streamHeader(), self.killed("unsupported-stanza-type", "not-well-formed", "restricted-xml"))
