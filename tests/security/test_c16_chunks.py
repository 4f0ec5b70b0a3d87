"""C16: a valid session cut into single bytes, and at every offset around a large attribute."""

from __future__ import annotations

import time

from tests.security.attack import AttackCase
from tests.server import auth, split, streamHeader
from xmppd.wire import ns


class ChunkTests(AttackCase):
    """Each reply comes with the byte that completes its question."""

    limits = "bytes_per_second = 0\nstanzas_per_second = 0"

    def test_singleBytes(self) -> None:
        """A whole login and a request: no reply waits for further input."""
        client = self.attacker("connected")
        for data, reply in (
            (streamHeader(), "features"),
            (auth("PLAIN", b"\0mallory\0mallory").encode(), "success"),
            (streamHeader(), "features"),
            (f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'/></iq>".encode(), "iq"),
            (b"<iq type='get' id='2' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>", "iq"),
        ):
            client.send(data[:-1], 1)
            self.assertEqual(client.take(), [])
            client.send(data[-1:])
            self.assertEqual(split(client.one().tag)[1], reply)

    def test_offsets(self) -> None:
        """Two pieces, cut at every offset near the attribute's edges and at many inside."""
        client = self.attacker()
        stanza = f"<message to='{self.romeo.jid}'><x xmlns='urn:x' a='{'&gt;>' * 1000}'/><body>b</body></message>".encode()
        edges = [*range(1, 120), *range(120, len(stanza) - 60, 397), *range(len(stanza) - 60, len(stanza))]
        for offset in edges:
            client.send(stanza[:offset])
            self.assertEqual(self.romeo.take(), [])
            client.send(stanza[offset:])
            self.assertEqual(self.romeo.one()[0].get("a"), ">>" * 1000)
        self.assertHarmless(client)

    def test_cost(self) -> None:
        """Single bytes of a long tag, of many brackets in an attribute, of a large stanza: linear, not quadratic."""
        client = self.attacker()
        begun = time.process_time()
        for payload in (f"<x xmlns='urn:x' a='{'x' * 14000}'/>", f"<x xmlns='urn:x' a='{'>' * 14000}'/>", f"<body>{'&lt;' * 12000}</body>"):
            client.send(f"<message to='{self.romeo.jid}'>{payload}</message>", 1)
            self.romeo.one()
        self.assertLess(time.process_time() - begun, 5)
