"""
Tests for L{xmppd.sasl.encoding}.
"""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.sasl.encoding import MAX_TEXT, decode, encode
from xmppd.wire.errors import SASLCondition, SASLError

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


class DecodeTests(SynchronousTestCase):
    """What comes from clients."""

    @spec("RFC 6120", "6.4.2")
    def test_nothing(self) -> None:
        """No text is no data."""
        self.assertIsNone(decode(""))

    @spec("RFC 6120", "6.4.2", "6.4.3")
    def test_equalsSign(self) -> None:
        """An equals sign is data of no length."""
        self.assertEqual(decode("="), b"")

    @CALM
    @given(st.binary(min_size=1, max_size=300))
    def test_data(self, data: bytes) -> None:
        """Base64 is decoded."""
        self.assertEqual(decode(b64encode(data).decode()), data)

    @spec("RFC 6120", "6.5.5", "13.9.1")
    def test_notBase64(self) -> None:
        """Whatever isn't exactly base64 is refused with C{incorrect-encoding}."""
        wrong = [
            "A", "AA", "AAA", "AA=", "==", "===", "====", "=AAA", "A===", "AA=A", "AA==AAAA", "AAAA=", "AAAA====",
            " AAAA", "AAAA ", "AA\nAA", "\n", "AA*A", "AA-_", "AAA\x00", "AAA\u00e9", "ＡＡＡＡ", "\ud800AAA",
            "AB==", "AAB=", "AA-A", "AAAA\r\n",
        ]  # fmt: skip
        for text in wrong:
            error = self.assertRaises(SASLError, decode, text)
            self.assertEqual(error.condition, SASLCondition.INCORRECT_ENCODING, repr(text))

    def test_tooLong(self) -> None:
        """Text over the limit is refused before it is decoded; text at the limit is not."""
        self.assertEqual(decode("A" * MAX_TEXT), b"\0" * (MAX_TEXT // 4 * 3))
        error = self.assertRaises(SASLError, decode, "A" * (MAX_TEXT + 4))
        self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    @CALM
    @given(st.text(max_size=40) | st.text("AB+/=\n", max_size=12))
    def test_anything(self, text: str) -> None:
        """Nothing but L{SASLError} is ever raised, and what is accepted is what we'd have written."""
        try:
            data = decode(text)
        except SASLError:
            return
        self.assertEqual(text, "" if data is None else encode(data))


class EncodeTests(SynchronousTestCase):
    """What goes to clients."""

    @spec("RFC 6120", "6.4.3", "6.4.6")
    def test_empty(self) -> None:
        """No length is an equals sign."""
        self.assertEqual(encode(b""), "=")

    def test_data(self) -> None:
        """Base64, with padding, on one line."""
        self.assertEqual(encode(b"\xff" * 100), b64encode(b"\xff" * 100).decode())
