"""
Tests for L{xmppd.sasl.anonymous}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.sasl.anonymous import AnonymousMechanism
from xmppd.sasl.credentials import AnonymousTrace, IAnonymousTrace
from xmppd.sasl.steps import Verify
from xmppd.wire.errors import SASLCondition, SASLError

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


@spec("mission", "A3")
class AnonymousMechanismTests(SynchronousTestCase):
    """One message: a trace, or nothing."""

    @spec("XEP-0175", "4")
    @spec("mission", "A11")
    def test_noTrace(self) -> None:
        """No message and an empty message let a guest in at once, without trace."""
        self.assertEqual(AnonymousMechanism().start(None), Verify(AnonymousTrace(None)))
        self.assertEqual(AnonymousMechanism().start(b""), Verify(AnonymousTrace(None)))

    @spec("RFC 4505", "2", "4")
    def test_trace(self) -> None:
        """A trace is up to 255 code points of up to four octets, kept as they are."""
        for trace in ("sirhc", "chris@example.com", "x", "x" * 255, "\U0001f980" * 255, "\x1b[2J\n"):
            self.assertEqual(AnonymousMechanism().start(trace.encode()), Verify(AnonymousTrace(trace)))

    @spec("RFC 4505", "2")
    def test_malformed(self) -> None:
        """More than 255 code points, or what isn't UTF-8, is C{malformed-request}."""
        for data in (b"x" * 256, "é".encode() * 256, b"x" * 1021, b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80"):
            error = self.assertRaises(SASLError, AnonymousMechanism().start, data)
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    def test_credentials(self) -> None:
        """The credentials provide their interface, and keep the trace out of their C{repr}."""
        verifyObject(IAnonymousTrace, AnonymousTrace("sirhc"))
        self.assertNotIn("sirhc", repr(AnonymousTrace("sirhc")))

    @CALM
    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """Any octets are a guest or a L{SASLError}."""
        try:
            self.assertIsInstance(AnonymousMechanism().start(data), Verify)
        except SASLError:
            pass
