"""
The shorter way from epoll to a connection: what is ready is called, and what fails is let go, as Twisted does it.
"""

from __future__ import annotations

import socket
from errno import EINTR
from typing import Any
from unittest import mock

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppd.net.polling import iteration, readDirectly


class Descriptor:
    """
    One end of a pair of sockets, in the reactor.

    @ivar seen: what the reactor has called.
    @ivar answer: what C{doRead} answers, or raises if it is an exception class.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self.own, self.other = socket.socketpair()
        case.addCleanup(self.own.close)
        case.addCleanup(self.other.close)
        self.seen: list[object] = []
        self.answer: Any = None

    def fileno(self) -> int:
        """See C{IFileDescriptor}."""
        return self.own.fileno()

    def logPrefix(self) -> str:
        """See C{ILoggingContext}."""
        return "x"

    def doRead(self) -> Any:
        """See C{IReadDescriptor}."""
        self.seen.append(self.own.recv(100))
        if callable(self.answer):
            return self.answer()
        return self.answer

    def doWrite(self) -> None:
        """See C{IWriteDescriptor}."""
        self.seen.append("write")

    def connectionLost(self, reason: Failure) -> None:
        """See C{IFileDescriptor}."""
        self.seen.append(reason.type)


class PollingTests(SynchronousTestCase):
    """L{readDirectly} on a reactor that isn't installed."""

    def setUp(self) -> None:
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.assertTrue(readDirectly(self.reactor))
        self.one, self.two = Descriptor(self), Descriptor(self)
        for each in (self.one, self.two):
            self.reactor.addReader(each)
            self.addCleanup(self.reactor.removeReader, each)

    def test_read(self) -> None:
        """What is readable reads; what isn't, doesn't."""
        self.one.other.send(b"abc")
        self.reactor.doIteration(0)
        self.assertEqual((self.one.seen, self.two.seen), ([b"abc"], []))

    def test_write(self) -> None:
        """What can be written to writes, after it has read."""
        self.reactor.addWriter(self.one)
        self.addCleanup(self.reactor.removeWriter, self.one)
        self.one.other.send(b"abc")
        self.reactor.doIteration(0)
        self.assertEqual(self.one.seen, [b"abc", "write"])

    def test_ended(self) -> None:
        """C{doRead} says that the connection is over: it is told, and called no more."""
        self.one.answer = CONNECTION_DONE
        self.one.other.send(b"abc")
        self.reactor.doIteration(0)
        self.one.other.send(b"def")
        self.reactor.doIteration(0)
        self.assertEqual(self.one.seen, [b"abc", type(CONNECTION_DONE)])

    def test_hungUp(self) -> None:
        """The other end is gone."""
        self.one.other.close()
        self.reactor.doIteration(0)
        self.assertEqual(len(self.one.seen), 1)

    def test_mistake(self) -> None:
        """An exception is logged, ends that descriptor, and nobody else."""

        def fail() -> None:
            raise ZeroDivisionError

        self.one.answer = fail
        for each in (self.one, self.two):
            each.other.send(b"abc")
        self.reactor.doIteration(0)
        self.assertEqual(self.one.seen, [b"abc", ZeroDivisionError])
        self.assertEqual(self.two.seen, [b"abc"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_removed(self) -> None:
        """One that another has removed in the same iteration isn't called."""
        for each, other in ((self.one, self.two), (self.two, self.one)):
            each.answer = lambda other=other: self.reactor.removeReader(other)
            each.other.send(b"abc")
        self.reactor.doIteration(0)
        self.assertEqual(sorted(map(len, (self.one.seen, self.two.seen))), [0, 1])

    def test_interrupted(self) -> None:
        """A signal ends the wait and nothing else; another error of the system isn't hidden."""
        poller = mock.Mock()
        poller.poll.side_effect = [OSError(EINTR, "interrupted"), OSError(9, "bad")]
        self.reactor._poller, real = poller, self.reactor._poller
        doIteration = iteration(self.reactor)
        self.reactor._poller = real
        doIteration(None)
        self.assertRaises(OSError, doIteration, None)
        poller.poll.assert_called_with(-1, len(self.reactor._selectables))

    def test_others(self) -> None:
        """Other reactors, and what stands in for one, stay as they are."""
        other = SelectReactor()
        before = other.doIteration
        self.assertFalse(readDirectly(other))
        self.assertEqual(other.doIteration, before)
        self.assertFalse(readDirectly(Clock()))
