"""C51: depth, children, attributes, declarations without end."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import ATTACKER, AttackCase
from xmppd.wire.xmlstream import DEPENDENT

ATTACKS = {
    "depth": "<message>" + "<a>" * 10_000,
    "depth, closed": "<message>" + "<a>" * 10_000 + "</a>" * 10_000 + "</message>",
    "children": "<message>" + "<a/>" * 30_000 + "</message>",
    "grandchildren": "<message><x>" + "<a/>" * 30_000 + "</x></message>",
    "attributes": "<message " + " ".join(f"a{n}=''" for n in range(10_000)) + "/>",
    "attributes inside": "<message><x " + " ".join(f"a{n}=''" for n in range(10_000)) + "/></message>",
    "declarations": "<message " + " ".join(f"xmlns:n{n}='urn:n{n}'" for n in range(5000)) + "/>",
    "declarations inside": "<message>" + "".join(f"<x xmlns='urn:n{n}'/>" for n in range(5000)) + "</message>",
    "long name": f"<message><{'a' * 300_000}/></message>",
    "long namespace": f"<message><a xmlns='urn:{'a' * 300_000}'/></message>",
    "long attribute": f"<message a='{'a' * 300_000}'/>",
    "long text": f"<message><body>{'a' * 300_000}</body></message>",
    "unfinished": "<message a='" + "a" * 400_000,
}


@spec("RFC 6120", "4.9.3.14", "13.12")
class SizeTests(AttackCase):
    """policy-violation; no recursion, no quadratic time."""

    def test_attacks(self) -> None:
        """At once, and in pieces of the size of a packet, on an established stream."""
        for name, data in ATTACKS.items():
            for chunk in (None, 1400):
                client = self.attacker()
                client.send(data, chunk)
                self.assertEqual(client.streamError(), "policy-violation", name)
                self.assertTrue(client.eof)

    def test_beforeLogin(self) -> None:
        """Before the login."""
        for name, data in ATTACKS.items():
            client = self.attacker("opened")
            client.send(data, 1400)
            self.assertIn(client.streamError(), ("policy-violation", "not-authorized"), name)
            self.assertTrue(client.eof)

    def test_header(self) -> None:
        """The same in the header."""
        for attributes in (
            " ".join(f"a{n}=''" for n in range(1000)),
            " ".join(f"xmlns:n{n}='urn:n{n}'" for n in range(1000)),
            f"a='{'a' * 100_000}'",
        ):
            header = f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' {attributes}>"
            self.eachWay("connected", header, self.killed("policy-violation"), chunks=(None, 1400))

    def test_prefixes(self) -> None:
        """A stream that binds prefixes, so that stanzas have to be written again: as much as is taken, and more."""
        for count in (DEPENDENT - 1, DEPENDENT):
            client = self.server.connect(address=ATTACKER)
            for login in (True, False):
                client.open(attributes=" xmlns:q='urn:q'")
                if login:
                    self.assertSuccess(client.plain("mallory"))
            client.bind()
            client.send(f"<message to='{client.jid}'><x>{'<q:a/>' * count}</x></message>")
            if count < DEPENDENT:
                self.assertEqual(len(client.one()[0]), count)
                self.assertHarmless(client)
            else:
                self.assertEqual(client.streamError(), "policy-violation")
            client.disconnect()
