"""Tests of where L{xmppd.net.posh} goes; L{tests.interop.test_posh} tries the whole."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.net.posh import isPublic


class PublicTests(SynchronousTestCase):
    """Which addresses are on the public Internet."""

    @spec("RFC 7711", "8")
    @spec("mission", "T8")
    def test_inside(self) -> None:
        """None of a network of one's own, in whatever form."""
        for address in (
            *("127.0.0.1", "10.1.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "::", "fe80::1"),
            *("fd00::1", "fec0::1", "ff0e::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a01:101"),
            *("64:ff9b:1::1", "2002:7f00:1::", "2002:a01:101::1"),
        ):
            self.assertFalse(isPublic(address), address)

    def test_outside(self) -> None:
        """Others."""
        for address in ("8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"):
            self.assertTrue(isPublic(address), address)
