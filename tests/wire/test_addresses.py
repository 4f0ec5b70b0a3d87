"""Tests of L{xmppd.wire.addresses}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire.addresses import counted, isAddress


class AddressTests(SynchronousTestCase):
    """Who counts as one."""

    def test_counted(self) -> None:
        """An IPv4 address is one, however it is written; so is a /64 of IPv6."""
        for address, expected in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
            ("2001:DB8:1:2::9", "2001:0db8:0001:0002::/64"),
            ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
            ("2001:db8:1:2::/64", "2001:0db8:0001:0002::/64"),
            ("2001:0db8:0001:0002::/64", "2001:0db8:0001:0002::/64"),
            ("192.0.2.1/64", "192.0.2.1/64"),
            ("unix", "unix"),
        ):
            self.assertEqual(counted(address), expected)

    def test_isAddress(self) -> None:
        """JIDs and ids are no addresses."""
        for text in ("192.0.2.1", "2001:db8::1", "2001:0db8:0001:0002::/64"):
            self.assertTrue(isAddress(text), text)
        for text in ("romeo@example.org", "0123456789abcdef0123456789abcdef", "", "unix", "192.0.2.1/64",
                     "2001:db8::/48", "192.0.2.0/24"):
            self.assertFalse(isAddress(text), text)
