"""Tests of L{xmppd.wire.proxyheader}: each also with one octet at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire.proxyheader import LONGEST_REST, SECOND, BadHeader, ProxyHeader

FOUR = bytes([192, 0, 2, 1, 127, 0, 0, 1, 0x9C, 0x40, 0x14, 0x66])
SIX = bytes.fromhex("20010db8" + "00" * 11 + "01") + bytes(15) + b"\1" + FOUR[8:]


def second(command: int, family: int, body: bytes) -> bytes:
    """A header of version 2."""
    return SECOND + bytes([command, family]) + len(body).to_bytes(2, "big") + body


GOOD = (
    (b"PROXY TCP4 192.0.2.1 127.0.0.1 40000 5222\r\n", ("192.0.2.1", 40000)),
    (b"PROXY TCP6 2001:DB8::1 ::1 40000 5222\r\n", ("2001:db8::1", 40000)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (second(0x21, 0x11, FOUR), ("192.0.2.1", 40000)),
    (second(0x21, 0x11, FOUR + b"\x03\x00\x04abcd"), ("192.0.2.1", 40000)),
    (second(0x21, 0x21, SIX), ("2001:db8::1", 40000)),
    (second(0x21, 0x00, b""), None),
    (second(0x21, 0x31, b"/" * 216), None),
    (second(0x20, 0x11, FOUR), None),
    (second(0x20, 0x00, b""), None),
)

BAD = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"<stream:stream>",
    b"\x16\x03\x01",
    b"PROXY  TCP4 192.0.2.1 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n",
    b"PROXY TCP4 192.0.2.1 127.0.0.1 1 65536\r\n",
    b"PROXY TCP4 192.0.2.1 127.0.0.1 01 2\r\n",
    b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2 \r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n",
    b"PROXY UDP4 192.0.2.1 127.0.0.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\n" + b"x" * 100,
    b"PROXY UNKNOWN" + b"x" * 100,
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    second(0x11, 0x11, FOUR),
    second(0x22, 0x11, FOUR),
    second(0x21, 0x11, FOUR[:11]),
    second(0x21, 0x12, FOUR),
    second(0x21, 0x21, SIX[:30]),
    second(0x21, 0x41, SIX),
    SECOND + b"\x21\x11" + (LONGEST_REST + 1).to_bytes(2, "big"),
)


class HeaderTests(SynchronousTestCase):
    """Good ones and bad ones."""

    def test_good(self) -> None:
        """Who it is, and what follows."""
        for header, source in GOOD:
            whole = ProxyHeader()
            self.assertEqual(whole.feed(header + b"rest"), b"rest")
            self.assertEqual((whole.complete, whole.source), (True, source), header)
            single = ProxyHeader()
            for octet in header:
                self.assertFalse(single.complete)
                self.assertEqual(single.feed(bytes([octet])), b"")
            self.assertEqual((single.complete, single.source), (True, source), header)

    def test_bad(self) -> None:
        """No story is believed that isn't told properly."""
        for header in BAD:
            self.assertRaises(BadHeader, ProxyHeader().feed, header)
            with self.assertRaises(BadHeader):
                single = ProxyHeader()
                for octet in header:
                    single.feed(bytes([octet]))

    @given(st.binary(max_size=400), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SECOND, SECOND + b"\x21\x11"]))
    def test_noise(self, noise: bytes, start: bytes) -> None:
        """Whatever comes, it is a header, none, or not all there."""
        header = ProxyHeader()
        try:
            header.feed(start + noise)
        except BadHeader:
            self.assertFalse(header.complete)
