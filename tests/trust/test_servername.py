"""Tests for L{xmppd.trust.servername}."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.trust.hello import VERSIONS, clientHello
from xmppd.trust.servername import MOST, HelloReader

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


def hello(name: str | None, old: bool = False) -> bytes:
    """What OpenSSL sends."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if old:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    connection = SSL.Connection(context)
    if name is not None:
        connection.set_tlsext_host_name(name.encode())
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    return connection.bio_read(1 << 16)


REAL = hello("xmpp.example")


def serverName(data: bytes) -> str | None:
    """The name in some octets."""
    return HelloReader().feed(data)


def records(message: bytes, size: int) -> bytes:
    """A handshake's message in records of some size."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(struct.pack(">BHH", 22, 0x0301, len(piece)) + piece for piece in pieces)


class ServerNameTests(SynchronousTestCase):
    """What is read of a hello."""

    @spec("RFC 6066", "3")
    def test_names(self) -> None:
        """The name in lower case; empty if there is none."""
        for old in (False, True):
            self.assertEqual(serverName(hello("XMPP.example", old)), "xmpp.example")
            self.assertEqual(serverName(hello(None, old)), "")
        self.assertEqual(serverName(clientHello(VERSIONS["TLSv1.2"], "a.example")), "a.example")
        self.assertEqual(serverName(clientHello(VERSIONS["SSLv3"], "a.example")), "")

    def test_pieces(self) -> None:
        """The name is there when the hello is, however it comes, and in however many records."""
        for whole in (REAL, records(REAL[5:], 100), records(REAL[5:], 1)):
            for size in (1, 7, 1000):
                reader = HelloReader()
                names = [reader.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
                self.assertEqual(names, [None] * (len(names) - 1) + ["xmpp.example"])
                self.assertEqual(bytes(reader.octets), whole)
            self.assertEqual(serverName(whole + b"more"), "xmpp.example")

    def test_tooLong(self) -> None:
        """A hello that doesn't end isn't waited for."""
        for start in (b"\x16\x03\x01\x40\x00\x01\x01\x00\x00", b"\x16\x03\x01\x00\x01\x01"):
            reader = HelloReader()
            self.assertIsNone(reader.feed(start))
            self.assertIsNone(reader.feed(b"\x16\x03\x01\x00\x00" * ((MOST - len(start) - 1) // 5)))
            self.assertRaises(ValueError, reader.feed, b"\x16\x03\x01\x00\x00\x16")

    def test_otherThings(self) -> None:
        """What is no hello is told from one at once."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x00\x02", b"\x16\x03\x01\x00\x05\x02\0\0\0\0", b"<"):
            self.assertRaises(ValueError, serverName, data)

    @CALM
    @given(st.integers(0, len(REAL) - 1), st.integers(0, 255))
    def test_damaged(self, position: int, octet: int) -> None:
        """Whatever comes, it is a name, no hello, or not enough."""
        try:
            serverName(REAL[:position] + bytes([octet]) + REAL[position + 1 :])
        except ValueError:
            pass

    @CALM
    @given(st.binary(min_size=1, max_size=200))
    def test_anything(self, data: bytes) -> None:
        """The same for anything behind the head of a hello."""
        try:
            self.assertIsNotNone(serverName(records(b"\x01" + len(data).to_bytes(3, "big") + data, 60)))
        except ValueError:
            pass
