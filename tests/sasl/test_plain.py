"""
Tests for L{xmppd.sasl.plain}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.sasl.credentials import IPlainPassword, PlainPassword
from xmppd.sasl.plain import PlainMechanism
from xmppd.sasl.steps import Verify
from xmppd.wire.errors import SASLCondition, SASLError

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


class PlainMechanismTests(SynchronousTestCase):
    """One message of three parts."""

    def read(self, data: bytes) -> PlainPassword:
        """The credentials in a message."""
        step = PlainMechanism().start(data)
        assert isinstance(step, Verify)
        assert isinstance(step.credentials, PlainPassword)
        return step.credentials

    @spec("RFC 4616", "2", "4")
    def test_examples(self) -> None:
        """The RFC's own examples."""
        self.assertEqual(self.read(b"\0tim\0tanstaaftanstaaf"), PlainPassword("tim", None, "tanstaaftanstaaf"))
        self.assertEqual(self.read(b"Ursel\0Kurt\0xipj3plmq"), PlainPassword("Kurt", "Ursel", "xipj3plmq"))

    def test_credentials(self) -> None:
        """The credentials provide their interface and hide the password."""
        credentials = self.read("\0jülia\0gehéim".encode())
        verifyObject(IPlainPassword, credentials)
        self.assertEqual((credentials.username, credentials.password), ("jülia", "gehéim"))
        self.assertNotIn("gehéim", repr(credentials) + repr(Verify(credentials)))

    @spec("RFC 4616", "2")
    @spec("RFC 6120", "6.5.8")
    def test_malformed(self) -> None:
        """None, one or three NULs, a missing name or password, bad UTF-8 and a flood are C{malformed-request}."""
        wrong = [
            b"", b"user", b"\0", b"user\0pass", b"\0user", b"\0\0", b"\0\0pass", b"\0user\0", b"a\0\0", b"\0u\0p\0",
            b"\0u\0p\0q", b"\0\0u\0p", b"\0u\0\xff", b"\0\xc0\x80\0p", b"\xed\xa0\x80\0u\0p", b"\0u\0" + b"p" * 4096,
        ]  # fmt: skip
        for data in wrong:
            error = self.assertRaises(SASLError, PlainMechanism().start, data)
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST, repr(data))

    @CALM
    @given(st.binary(max_size=60) | st.lists(st.binary(max_size=9), max_size=4).map(b"\0".join))
    def test_anything(self, data: bytes) -> None:
        """Any octets are credentials or a L{SASLError}."""
        try:
            credentials = self.read(data)
        except SASLError:
            return
        again = f"{credentials.authzid or ''}\0{credentials.username}\0{credentials.password}"
        self.assertEqual(again.encode(), data)
