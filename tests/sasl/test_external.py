"""
Tests for L{xmppd.sasl.external}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.sasl.credentials import ExternalIdentity, IExternalIdentity
from xmppd.sasl.external import ExternalMechanism
from xmppd.sasl.steps import Verify
from xmppd.wire.errors import SASLCondition, SASLError

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


class ExternalMechanismTests(SynchronousTestCase):
    """One message: the authorization identity, or nothing."""

    @spec("RFC 4422", "A.1")
    @spec("XEP-0178", "2")
    def test_identity(self) -> None:
        """An empty message leaves the identity to the certificate; another names it."""
        self.assertEqual(ExternalMechanism().start(b""), Verify(ExternalIdentity(None)))
        named = ExternalMechanism().start(b"juliet@example.com")
        self.assertEqual(named, Verify(ExternalIdentity("juliet@example.com")))
        verifyObject(IExternalIdentity, ExternalIdentity(None))

    @spec("RFC 4422", "A.1")
    def test_malformed(self) -> None:
        """NUL, bad UTF-8 and a flood are C{malformed-request}."""
        for data in (b"\0", b"a\0b", b"\xff", b"\xed\xa0\x80", b"a" * 4097):
            error = self.assertRaises(SASLError, ExternalMechanism().start, data)
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    @CALM
    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """Any octets are credentials or a L{SASLError}."""
        try:
            self.assertIsInstance(ExternalMechanism().start(data), Verify)
        except SASLError:
            pass
