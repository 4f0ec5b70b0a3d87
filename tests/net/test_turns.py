"""Tests of L{xmppd.net.turns}."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xmppd.net.turns import FEW, Turns


class Connection:
    """Counts its flushes."""

    def __init__(self, fails: bool = False) -> None:
        self.flushes = 0
        self._fails = fails

    def flush(self) -> None:
        """See L{xmppd.net.turns.Flushable}."""
        self.flushes += 1
        if self._fails:
            raise RuntimeError


class TurnsTests(SynchronousTestCase):
    """L{Turns}."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)

    def test_endOfTurn(self) -> None:
        """What was marked is flushed once, at the end of the turn."""
        connections = [Connection() for _ in range(3)]
        for connection in connections:
            self.turns.mark(connection)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.clock.advance(1)
        self.assertEqual([each.flushes for each in connections], [1, 1, 1])

    def test_failure(self) -> None:
        """One that fails doesn't keep the others from being flushed."""
        connections = [Connection(fails=True), Connection()]
        for connection in connections:
            self.turns.mark(connection)
        self.clock.advance(0)
        self.assertEqual([each.flushes for each in connections], [1, 1])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_endOfRead(self) -> None:
        """What a read has caused for few connections leaves at its end."""
        connections = [Connection() for _ in range(FEW)]
        self.turns.reading = True
        for connection in connections:
            self.turns.mark(connection)
        self.turns.endOfRead()
        self.assertEqual([each.flushes for each in connections], [1] * FEW)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fanOut(self) -> None:
        """What it has caused for many waits for the end of the turn."""
        connections = [Connection() for _ in range(FEW + 1)]
        self.turns.reading = True
        for connection in connections:
            self.turns.mark(connection)
        self.turns.endOfRead()
        self.assertEqual([each.flushes for each in connections], [0] * (FEW + 1))
        self.clock.advance(0)
        self.assertEqual([each.flushes for each in connections], [1] * (FEW + 1))

    def test_readInTheTurn(self) -> None:
        """If the end of the turn is to come anyway a read waits for it."""
        first, second = Connection(), Connection()
        self.turns.mark(first)
        self.turns.reading = True
        self.turns.mark(second)
        self.turns.endOfRead()
        self.assertEqual((first.flushes, second.flushes), (0, 0))
        self.clock.advance(0)
        self.assertEqual((first.flushes, second.flushes), (1, 1))
