"""
When streams rest.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppd.net.rest import REST_SECONDS, RESTING, STIRRED, Rests


class Connection:
    """Counts how often its stream was told to rest; it is its own stream."""

    def __init__(self) -> None:
        self.awake = RESTING
        self.rests = 0
        self.stream = self

    def rest(self) -> None:
        """See L{xmppd.stream.c2s.ClientStream.rest}."""
        self.rests += 1


class RestsTests(SynchronousTestCase):
    """L{Rests}."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rests = Rests(self.clock)
        self.one: Any = Connection()
        self.two: Any = Connection()

    def stir(self, connection: Any) -> None:
        """As a connection does."""
        if connection.awake != STIRRED:
            self.rests.stirred(connection)

    def test_soon(self) -> None:
        """Who was silent for a whole look rests, once; nobody is looked at after that."""
        self.stir(self.one)
        self.clock.advance(REST_SECONDS)
        self.assertEqual(self.one.rests, 0)
        self.clock.advance(REST_SECONDS)
        self.assertEqual((self.one.rests, self.one.awake), (1, RESTING))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_busy(self) -> None:
        """Who sends all the time doesn't rest, whoever else does."""
        self.stir(self.one)
        self.stir(self.two)
        for _ in range(10):
            self.clock.advance(REST_SECONDS)
            self.stir(self.two)
        self.assertEqual((self.one.rests, self.two.rests), (1, 0))

    def test_again(self) -> None:
        """Who goes on rests again."""
        for _ in range(3):
            self.stir(self.one)
            self.clock.pump([REST_SECONDS] * 2)
        self.assertEqual(self.one.rests, 3)

    def test_gone(self) -> None:
        """A lost connection isn't kept."""
        self.stir(self.one)
        self.rests.gone(self.one)
        self.clock.pump([REST_SECONDS] * 2)
        self.assertEqual(self.one.rests, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
