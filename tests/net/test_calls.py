"""Tests of L{xmppd.net.calls}."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.net import calls
from xmppd.net.calls import Calls
from xmppd.net.peers import OPENING
from xmppd.wire.errors import StanzaCondition, StanzaError


@dataclass(eq=False)
class FakeStream:
    """A stream that we have opened."""

    calls: Calls
    used: float
    acks: Any = None
    kept: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.acks = self
        self.calls.streams.add(self)  # type: ignore[arg-type]

    def close(self) -> None:
        """See ServerStream."""
        self.calls.streams.discard(self)  # type: ignore[arg-type]


@spec("XEP-0205", "3.2")
class CallsTests(SynchronousTestCase):
    """Connections and keys, too many of them."""

    def setUp(self) -> None:
        self.clock: Any = Clock()
        self.clock.advance(100)
        self.calls = Calls(self.clock)

    def test_room(self) -> None:
        """Who has been silent for the longest makes room, unless something isn't acknowledged there."""
        self.patch(calls, "CALLS", 3)
        streams = [FakeStream(self.calls, used) for used in (60, 50, 40)]
        streams[2].kept.append("a stanza")
        self.calls.makeRoom()
        self.assertEqual(self.calls.streams, {streams[0], streams[2]})
        self.calls.makeRoom()
        self.assertEqual(len(self.calls.streams), 2)

    def test_noRoom(self) -> None:
        """Nobody who speaks does."""
        self.patch(calls, "CALLS", 2)
        streams = {FakeStream(self.calls, used) for used in (95, 99)}
        error = self.assertRaises(StanzaError, self.calls.makeRoom)
        self.assertEqual(error.condition, StanzaCondition.RESOURCE_CONSTRAINT)
        self.assertEqual(self.calls.streams, streams)

    def test_keys(self) -> None:
        """Keys of servers that don't answer, from four addresses."""
        waiting: list[Deferred[Any]] = []
        failures: list[Failure] = []

        async def verified() -> Any:
            waiting.append(Deferred())
            return await waiting[-1]

        for number in range(400):
            self.calls.verify(f"192.0.2.{1 + number // 100}", verified()).addErrback(failures.append)
        self.assertEqual(len(waiting), 4 * calls.VERIFYING_FROM)
        self.assertLess(calls.VERIFYING, OPENING)
        self.assertEqual(failures[0].value.condition, StanzaCondition.RESOURCE_CONSTRAINT)
        for each in waiting:
            each.errback(StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT))
        self.assertEqual(len(failures), 400)
        self.calls.verify("192.0.2.1", verified())
        self.assertEqual(len(waiting), 201)
