"""
The service tree: in order, in reverse, and never half alive.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from xmppd.services import Listeners, Part, PortsTaken, SequentialService, Stopped


class Recorder:
    """Parts that write down what happens to them."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def part(self, name: str, start: Any = None, stop: Any = None) -> Part:
        """A part whose start and stop answer these, or raise them."""

        def act(verb: str, outcome: Any) -> Any:
            self.happened.append(f"{verb} {name}")
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return Part(name, lambda: act("start", start), lambda: act("stop", stop))


class SequentialServiceTests(SynchronousTestCase):
    """L{SequentialService}."""

    def setUp(self) -> None:
        self.recorder = Recorder()

    def service(self, *parts: Part) -> SequentialService:
        """A service that was told to start."""
        service = SequentialService(parts)
        service.startService()
        return service

    def test_order(self) -> None:
        """Each part waits for the one before; at the end it is the other way round."""
        part = self.recorder.part
        first: Deferred[None] = Deferred()
        last: Deferred[None] = Deferred()
        service = self.service(part("a", start=first), part("b", stop=last), part("c"))
        self.assertEqual(self.recorder.happened, ["start a"])
        first.callback(None)
        self.successResultOf(service.started)
        stopped = service.stopService()
        self.assertEqual(self.recorder.happened[3:], ["stop c", "stop b"])
        self.assertNoResult(stopped)
        last.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.recorder.happened[5:], ["stop a"])

    def test_failure(self) -> None:
        """If one can't start, those before it are stopped, those after it never start, and the reason is told."""
        part = self.recorder.part
        for outcome in (ValueError(), fail(ValueError())):
            self.recorder.happened.clear()
            service = self.service(part("a"), part("b", start=outcome), part("c"))
            self.failureResultOf(service.started, ValueError)
            self.assertEqual(self.recorder.happened, ["start a", "start b", "stop a"])
            self.successResultOf(service.stopService())
            self.assertEqual(len(self.recorder.happened), 3)

    def test_stopFails(self) -> None:
        """A part that can't stop doesn't keep the others from it."""
        part = self.recorder.part
        service = self.service(part("a"), part("b", stop=ValueError()), part("c", stop=fail(KeyError())))
        self.successResultOf(service.stopService())
        self.assertEqual(self.recorder.happened[3:], ["stop c", "stop b", "stop a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError, KeyError)), 2)

    def test_stoppedWhileStarting(self) -> None:
        """Told to stop while it starts, it finishes the part under way and goes back."""
        part = self.recorder.part
        slow: Deferred[None] = Deferred()
        service = self.service(part("a"), part("b", start=slow), part("c"))
        stopped = service.stopService()
        self.assertNoResult(stopped)
        slow.callback(None)
        self.successResultOf(stopped)
        self.failureResultOf(service.started, Stopped)
        self.assertEqual(self.recorder.happened, ["start a", "start b", "stop b", "stop a"])

    def test_again(self) -> None:
        """It can be started again."""
        service = self.service(self.recorder.part("a"))
        self.successResultOf(service.stopService())
        service.startService()
        self.successResultOf(service.started)
        self.assertEqual(self.recorder.happened, ["start a", "stop a", "start a"])


class FakeEndpoint:
    """An endpoint that opens, or doesn't."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.open = False

    def listen(self, factory: Any) -> Deferred[Any]:
        """See C{IStreamServerEndpoint}."""
        if self.error is not None:
            return fail(self.error)
        self.open = True
        return succeed(self)

    def stopListening(self) -> None:
        """See C{IListeningPort}, which need not answer a Deferred."""
        self.open = False


class ListenersTests(SynchronousTestCase):
    """L{Listeners}."""

    def test_all(self) -> None:
        """All open, and all close."""
        endpoints = [FakeEndpoint(), FakeEndpoint()]
        listeners = Listeners([("listen.c2s", "tcp:1", each, None) for each in endpoints])
        self.successResultOf(Deferred.fromCoroutine(listeners.start()))
        self.assertEqual([each.open for each in endpoints], [True, True])
        self.successResultOf(Deferred.fromCoroutine(listeners.stop()))
        self.assertEqual([each.open for each in endpoints], [False, False])

    def test_none(self) -> None:
        """If some can't open none does, and all that can't are told at once."""
        busy = CannotListenError("", 1, OSError(98, "Address already in use"))
        endpoints = [FakeEndpoint(busy), FakeEndpoint(), FakeEndpoint(busy)]
        listeners = Listeners([("listen.c2s", f"tcp:{n}", each, None) for n, each in enumerate(endpoints)])
        error = self.failureResultOf(Deferred.fromCoroutine(listeners.start()), PortsTaken).value
        self.assertEqual([text for _, text, _ in error.ports], ["tcp:0", "tcp:2"])
        self.assertEqual(([each.open for each in endpoints], listeners.ports), ([False] * 3, []))
