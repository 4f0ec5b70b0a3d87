"""
Attacks on WebSockets: frames that are none, floods of them, messages without end, pages that shouldn't be here.

Each is made by a client that has logged in and by one that hasn't.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import DOMAIN
from tests.web import WebSocketClient, connectWeb, masked, upgrade
from xmppd.net.c2s import CLOSING_BYTES, CLOSING_SECONDS
from xmppd.wire import ns

OPEN = f"<open xmlns='{ns.FRAMING}' to='{DOMAIN}' version='1.0'/>".encode()
PING = b"<iq xmlns='jabber:client' type='get' id='alive' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"


class WebSocketAttack(AttackCase):
    """A server with C{listen.http}, and attackers behind the reverse proxy."""

    limits = "stanzas_per_second = 0\nbytes_per_second = 0\nstanza_bytes = 50000\nunauthenticated_bytes = 20000"
    listen: ClassVar[str] = 'http = ["tcp:5280"]'

    def setUp(self) -> None:
        self.server = self.serve(self.limits, accounts=("romeo", "juliet", "mallory"), listen=self.listen)
        self.romeo = self.server.login("romeo", "orchard")
        self.juliet = self.server.login("juliet", "balcony")
        self.addCleanup(self.untouched)

    def socket(self, state: str = "bound") -> WebSocketClient:
        """An attacker's WebSocket: "connected", "opened" or "bound"."""
        client = connectWeb(self.server).upgrade()
        self.assertEqual(client.status, 101)
        if state == "opened":
            client.open()
        if state == "bound":
            client.login("mallory")
        return client

    def failed(self, data: bytes, code: int, *conditions: str) -> None:
        """What an attacker sends, at once and octet by octet, ends the stream and the WebSocket."""
        for state in ("connected", "opened", "bound"):
            for chunk in (None, 1) if len(data) < 2000 else (None,):
                client = self.socket(state)
                client.octets(data, chunk)
                self.assertClosed(client, *conditions)
                self.assertEqual(client.code, code)
                self.server.advance(CLOSING_SECONDS)
                self.assertTrue(client.closed)


@spec("RFC 6455", "5.1", "5.2", "5.4", "5.5", "8.1")
class FrameTests(WebSocketAttack):
    """Frames that are none."""

    def test_unmasked(self) -> None:
        """Clients have to mask."""
        self.failed(masked(1, PING, mask=False), 1002, "not-well-formed")

    def test_compressed(self) -> None:
        """No extension was agreed on, so no bit of them may be set."""
        for bits in (0x40, 0x20, 0x10, 0x70):
            self.failed(masked(1, PING, bits=bits), 1002, "not-well-formed")

    def test_opcodes(self) -> None:
        """Opcodes that nobody knows."""
        for opcode in (3, 7, 11, 15):
            self.failed(masked(opcode, b"x"), 1002, "not-well-formed")

    def test_control(self) -> None:
        """Control frames are short and whole."""
        self.failed(masked(9, b"x" * 126), 1002, "not-well-formed")
        self.failed(masked(9, b"x", final=False), 1002, "not-well-formed")
        self.failed(masked(8, b"x"), 1002, "not-well-formed")
        self.failed(masked(8, (1005).to_bytes(2, "big")), 1002, "not-well-formed")

    def test_fragments(self) -> None:
        """Fragments follow each other, and begin somewhere."""
        self.failed(masked(0, b"<iq/>"), 1002, "not-well-formed")
        self.failed(masked(1, b"<iq", final=False) + masked(1, b"/>"), 1002, "not-well-formed")

    def test_lengths(self) -> None:
        """Lengths are written as shortly as can be, and fit into 63 bits."""
        self.failed(b"\x81\xfe\x00\x05" + b"\0" * 4, 1002, "not-well-formed")
        self.failed(b"\x81\xff" + b"\xff" * 8 + b"\0" * 4, 1002, "not-well-formed")

    @spec("RFC 7395", "3.2")
    def test_binary(self) -> None:
        """Messages are text."""
        self.failed(masked(2, PING), 1003, "bad-format")

    def test_encoding(self) -> None:
        """Text is UTF-8, fragment by fragment."""
        for payload in (b"<iq>\xff</iq>", b"<iq>\xed\xa0\x80</iq>", b"<iq>\xc0\x80</iq>", b"<iq>\xf5\x80\x80\x80</iq>"):
            self.failed(masked(1, payload), 1007, "not-well-formed")
        self.failed(masked(1, b"<iq>\xc3", final=False) + masked(0, b"x</iq>"), 1007, "not-well-formed")
        self.failed(masked(1, b"<iq>\xc3"), 1007, "not-well-formed")


class SizeTests(WebSocketAttack):
    """Much, in few frames or in many."""

    def test_oversized(self) -> None:
        """A message has the size of a stanza at most, of whatever it consists; less before the login."""
        big = b"<message xmlns='jabber:client'>" + b"x" * 60_000
        self.failed(masked(1, big), 1009, "policy-violation")
        pieces = b"".join(masked(0, b"x" * 1000, final=False) for _ in range(60))
        self.failed(masked(1, b"<message>", final=False) + pieces, 1009, "policy-violation")
        client = self.socket("opened")
        client.octets(masked(1, b"<message>" + b"x" * 20_000))
        self.assertClosed(client, "policy-violation")

    def test_announced(self) -> None:
        """A frame that announces more than there is in the world costs nothing until it comes."""
        client = self.socket()
        client.octets(b"\x81\xff\x7f" + b"\xff" * 7 + b"\0" * 4)
        for _ in range(60):
            client.octets(b"x" * 1000)
        self.assertClosed(client, "policy-violation")
        self.assertEqual(client.code, 1009)

    def test_login(self) -> None:
        """What comes before the login is bounded as a whole."""
        client = self.socket("opened")
        for _ in range(30):
            client.send(f"<auth xmlns='{ns.SASL}' mechanism='NONE'>{'x' * 1000}</auth>")
        self.assertTrue(client.streamClosed)

    def test_slowLogin(self) -> None:
        """So is its time, whatever is sent meanwhile."""
        client = self.socket("opened")
        for _ in range(70):
            client.octets(masked(9))
            self.server.advance(1)
        self.assertClosed(client, "connection-timeout")

    def test_elements(self) -> None:
        """What would end a stream over TCP does so here."""
        for payload, condition in (
            (b"<!DOCTYPE a [<!ENTITY b 'c'>]><iq>&b;</iq>", "restricted-xml"),
            (b"<iq><!-- --></iq>", "restricted-xml"),
            (b"<a>" * 10_000, "policy-violation"),
            (b"<iq/><iq/>", "not-well-formed"),
            (b"</stream:stream>", "not-well-formed"),
        ):
            client = self.socket()
            client.octets(masked(1, payload))
            self.assertClosed(client, condition)


class FloodTests(WebSocketAttack):
    """Very many frames in very few octets: no turn of the reactor may get long, and others go on."""

    def test_pings(self) -> None:
        """Ten thousand pings are answered, bit by bit."""
        client = self.socket()
        client.polite = False
        client.octets(masked(9) * 10_000)
        self.server.advance(1)
        self.assertEqual(len(client.pongs), 10_000)

    def test_emptyFragments(self) -> None:
        """Fragments with nothing in them, and with one octet each."""
        for payload in (b"", b"x"):
            client = self.socket()
            client.octets(masked(1, b"<message xmlns='jabber:client'>", final=False))
            client.octets(masked(0, payload, final=False) * 8_000)
            client.octets(masked(0, b"</message>"))
            self.server.advance(1)
            client.octets(masked(1, PING))
            self.server.advance(1)
            self.assertEqual(client.take()[-1].get("id"), "alive")
            client.cut()

    def test_elements(self) -> None:
        """Ten thousand small messages."""
        client = self.socket()
        client.octets(masked(1, b"<presence xmlns='jabber:client' to='x'/>") * 5_000 + masked(1, PING))
        for _ in range(100):
            self.server.advance(0.1)
        self.assertIn("alive", [each.get("id") for each in client.take()])

    def test_unread(self) -> None:
        """Nobody is sent pongs who doesn't read."""
        server = self.serve("send_queue_bytes = 65536\nbytes_per_second = 0\nstanzas_per_second = 0", listen=self.listen)
        client = connectWeb(server).upgrade()
        client.polite = False
        client.transport.capacity = 0
        for _ in range(40):
            client.octets(masked(9, b"x" * 120) * 200)
        server.advance(1)
        self.assertTrue(client.closed)


class NoiseTests(WebSocketAttack):
    """Whatever comes."""

    def test_noise(self) -> None:
        """Octets, and frames, drawn by lot: nothing is logged as a mistake, and others don't notice."""
        lots = Random(7395)
        for number in range(90):
            client = self.socket(("connected", "opened", "bound")[number % 3])
            for _ in range(5):
                noise = lots.randbytes(lots.randrange(1, 300))
                frame = masked(lots.randrange(16), noise[:125], bool(lots.randrange(2)), lots.choice((0, 0, 0, 0x40)))
                client.octets(lots.choice((noise, frame, masked(1, b"<a>" + noise), masked(1, PING))))
            client.cut()
        self.assertEqual(len(self.server.server.connections), 2)


class PaceTests(WebSocketAttack):
    """With limits of pace."""

    limits = "stanzas_per_second = 10\nburst_stanzas = 50\nstanza_bytes = 50000"

    def test_frames(self) -> None:
        """Every frame counts."""
        for frame in (masked(9), masked(1, b"<presence xmlns='jabber:client' to='x'/>")):
            client = self.socket()
            client.octets(frame * 100)
            client.octets(masked(9, b"late"))
            self.assertNotIn(b"late", client.pongs)
            self.server.advance(7)
            self.assertIn(b"late", client.pongs)
            client.cut()


class ConnectionTests(WebSocketAttack):
    """Connections that are half there."""

    def test_halfHandshake(self) -> None:
        """A request without end, or with things behind it."""
        client = connectWeb(self.server)
        client.octets(upgrade()[:-2])
        self.server.advance(30)
        self.assertTrue(client.closed)
        for behind in (masked(1, OPEN), b"GET / HTTP/1.1\r\n\r\n", b"x"):
            client = connectWeb(self.server)
            client.octets(upgrade() + behind)
            self.assertEqual(client.status, 400)

    def test_halfFrame(self) -> None:
        """A frame without end doesn't keep a login alive."""
        client = self.socket("connected")
        client.polite = False
        client.octets(masked(1, OPEN)[:-1])
        self.server.advance(61)
        self.assertEqual(client.streamError(), "connection-timeout")
        self.server.advance(CLOSING_SECONDS)
        self.assertTrue(client.closed)

    def test_afterTheEnd(self) -> None:
        """Nothing acts behind the end, and not for long."""
        client = self.socket()
        client.polite = False
        client.send(f"<close xmlns='{ns.FRAMING}'/>")
        client.send(f"<message to='{self.romeo.jid}'/>")
        for _ in range(CLOSING_BYTES // 40_000 + 1):
            client.octets(masked(1, b"x" * 40_000))
        self.assertTrue(client.closed)

    def test_halfOpen(self) -> None:
        """A client that is gone without a word is noticed."""
        client = self.socket()
        client.polite = False
        self.server.advance(120)
        self.assertTrue(client.closed)

    def test_smuggled(self) -> None:
        """What a proxy may take for a body isn't read as frames."""
        client = connectWeb(self.server)
        client.octets(upgrade(Content_Length="5") + b"hello")
        self.assertEqual(client.status, 400)
        client = connectWeb(self.server)
        client.octets(upgrade(Transfer_Encoding="chunked") + b"0\r\n\r\n")
        self.assertEqual(client.status, 400)


class PageTests(WebSocketAttack):
    """Pages of others."""

    def test_otherOrigins(self) -> None:
        """Pages of others don't get a connection, however they call themselves."""
        for origin in (
            "https://evil.example",
            f"https://{DOMAIN}.evil.example",
            f"https://evil.example/{DOMAIN}",
            f"https://{DOMAIN}@evil.example",
            f"http://{DOMAIN}",
            "null",
            "",
            f"https://{DOMAIN}, https://evil.example",
        ):
            client = connectWeb(self.server).upgrade(Origin=origin)
            self.assertEqual(client.status, 403, origin)
        twice = connectWeb(self.server)
        twice.octets(upgrade(more=f"Origin: https://{DOMAIN}\r\nOrigin: https://evil.example\r\n"))
        self.assertEqual(twice.status, 403)
