"""Tests of L{xmppd.net.admission}."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppd.config import Limits
from xmppd.net import admission
from xmppd.net.admission import Admission, counted


class CountedTests(SynchronousTestCase):
    """L{counted}."""

    def test_addresses(self) -> None:
        """IPv4 by address, IPv6 by /64, and the two ways to write IPv4 as one."""
        for address, key in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:0db8:0000:0000::/64"),
            ("2001:db8:0:0:ffff::", "2001:0db8:0000:0000::/64"),
            ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
            ("unix", "unix"),
        ):
            self.assertEqual(counted(address), key)


class AdmissionTests(SynchronousTestCase):
    """L{Admission}: each limit trips, and lets go again."""

    def admission(self, **limits: Any) -> Admission:
        """With these limits."""
        self.clock = Clock()
        self.clock.advance(1_000_000)
        return Admission(self.clock, Limits(**limits))

    def test_connections(self) -> None:
        """Connections in all."""
        gate = self.admission(connections=2)
        self.assertIsNone(gate.connected("192.0.2.1"))
        self.assertIsNone(gate.connected("192.0.2.2"))
        self.assertEqual(gate.connected("192.0.2.3"), "too many connections")
        gate.disconnected("192.0.2.1")
        self.assertIsNone(gate.connected("192.0.2.3"))

    def test_connectionsPerAddress(self) -> None:
        """Connections of one address; a network of IPv6 counts as one."""
        gate = self.admission(connectionsPerAddress=2)
        self.assertIsNone(gate.connected("2001:db8::1"))
        self.assertIsNone(gate.connected("2001:db8::2"))
        self.assertEqual(gate.connected("2001:db8::3"), "too many connections from this address")
        self.assertIsNone(gate.connected("2001:db8:0:1::1"))
        gate.disconnected("2001:db8::2")
        self.assertIsNone(gate.connected("2001:db8::3"))

    def test_attemptsPerMinute(self) -> None:
        """Connections of one address in a minute, also if they were short."""
        gate = self.admission(attemptsPerMinute=3)
        for _ in range(3):
            self.assertIsNone(gate.connected("192.0.2.1"))
            gate.disconnected("192.0.2.1")
        self.assertEqual(gate.connected("192.0.2.1"), "too many connections from this address in a minute")
        self.assertIsNone(gate.connected("192.0.2.2"))
        self.clock.advance(60)
        self.assertIsNone(gate.connected("192.0.2.1"))

    def test_failures(self) -> None:
        """Failed logins of one address; those of the minute before still count."""
        gate = self.admission(authFailuresPerMinute=2)
        gate.authenticationFailed("192.0.2.1")
        self.clock.advance(60)
        self.assertTrue(gate.mayAuthenticate("192.0.2.1"))
        gate.authenticationFailed("192.0.2.1")
        self.assertFalse(gate.mayAuthenticate("192.0.2.1"))
        self.assertTrue(gate.mayAuthenticate("192.0.2.2"))
        self.clock.advance(60)
        self.assertTrue(gate.mayAuthenticate("192.0.2.1"))
        gate.authenticationFailed("192.0.2.1")
        self.assertFalse(gate.mayAuthenticate("192.0.2.1"))
        self.clock.advance(300)
        self.assertTrue(gate.mayAuthenticate("192.0.2.1"))

    def test_off(self) -> None:
        """Zero means no limit."""
        gate = self.admission(connectionsPerAddress=0, attemptsPerMinute=0, authFailuresPerMinute=0)
        for _ in range(500):
            self.assertIsNone(gate.connected("192.0.2.1"))
            gate.authenticationFailed("192.0.2.1")
        self.assertTrue(gate.mayAuthenticate("192.0.2.1"))

    def test_tablesAreBounded(self) -> None:
        """Many addresses share one count when the table is full; what has gone is forgotten."""
        self.patch(admission, "ADDRESSES", 10)
        gate = self.admission(authFailuresPerMinute=5)
        for number in range(100):
            address = f"192.0.2.{number}"
            gate.connected(address)
            gate.disconnected(address)
            gate.authenticationFailed(address)
        for table in (gate._attempts, gate._failures):
            self.assertLessEqual(len(table), 11)
        self.assertEqual(len(gate._connected), 0)
        self.assertEqual(gate.connections, 0)
        self.clock.advance(120)
        gate.mayAuthenticate("192.0.2.1")
        self.assertEqual(len(gate._attempts) + len(gate._failures) + len(gate._failuresBefore), 0)

    def test_fullTableStillLimits(self) -> None:
        """An address that shares its count with others is still held to the limit."""
        self.patch(admission, "ADDRESSES", 1)
        gate = self.admission(authFailuresPerMinute=3)
        gate.authenticationFailed("192.0.2.1")
        for _ in range(3):
            gate.authenticationFailed("192.0.2.2")
        self.assertFalse(gate.mayAuthenticate("192.0.2.2"))
        self.assertTrue(gate.mayAuthenticate("192.0.2.1"))
