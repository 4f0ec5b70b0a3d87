"""Tests of L{xmppd.wire.proxies}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire.proxies import HOPS, UNIX, Networks, isLoopback, toldAddress


class NetworksTests(SynchronousTestCase):
    """Lists of networks."""

    def test_contains(self) -> None:
        """An address is in a network of its own kind; one of IPv4 may be written as IPv6, and one of IPv6 has zones."""
        networks = Networks.of(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "fe80::1"))
        for address in ("10.1.2.3", "192.0.2.7", "::ffff:10.0.0.1", "2001:db8::5", "fe80::1%eth0"):
            self.assertIn(address, networks)
        for address in ("11.0.0.0", "192.0.2.8", "2001:db9::", "::10.0.0.1", UNIX, "", "10.0.0", "localhost"):
            self.assertNotIn(address, networks)

    def test_unix(self) -> None:
        """UNIX sockets have to be named."""
        self.assertIn(UNIX, Networks.of(("unix",)))
        self.assertTrue(Networks.of(("unix",)))
        self.assertFalse(Networks())
        self.assertTrue(Networks.of(("::1",)))

    def test_bad(self) -> None:
        """Bits behind the mask are a mistake."""
        for text in ("10.0.0.1/8", "example.org", "", "*"):
            self.assertRaises(ValueError, Networks.of, (text,))

    def test_loopback(self) -> None:
        """This machine."""
        for address in ("127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", UNIX):
            self.assertTrue(isLoopback(address))
        for address in ("10.0.0.1", "::", "localhost", ""):
            self.assertFalse(isLoopback(address))


class ToldAddressTests(SynchronousTestCase):
    """X-Forwarded-For."""

    proxies = Networks.of(("127.0.0.1", "10.0.0.0/8"))

    def test_told(self) -> None:
        """The last hop that is no proxy; anybody may have written what stands before."""
        for peer, told, expected in (
            ("192.0.2.1", "1.2.3.4", "192.0.2.1"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("127.0.0.1", "6.6.6.6, 1.2.3.4 , 10.9.9.9", "1.2.3.4"),
            ("127.0.0.1", "10.0.0.2,10.0.0.1", "10.0.0.2"),
            ("127.0.0.1", "6.6.6.6, nonsense", "127.0.0.1"),
            ("127.0.0.1", "6.6.6.6, nonsense, 10.0.0.1", "10.0.0.1"),
            ("127.0.0.1", "6.6.6.6,,", "127.0.0.1"),
            ("127.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
            ("127.0.0.1", "[2001:db8::1]:5678", "2001:db8::1"),
            ("127.0.0.1", "2001:DB8::1", "2001:db8::1"),
            ("::ffff:127.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
        ):
            self.assertEqual(toldAddress(peer, told, self.proxies), expected, told)

    def test_bounded(self) -> None:
        """Nobody makes us go through a long list."""
        told = ",".join(["1.2.3.4", *["10.0.0.1"] * HOPS])
        self.assertEqual(toldAddress("127.0.0.1", told, self.proxies), "10.0.0.1")
