"""
The service tree: what is started in which order, and stopped in reverse.

C{MultiService} fires all starts and stops at once; L{SequentialService} waits for each. If a part can't start, those
before it are stopped again and the failure is the caller's: nothing is ever half alive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.counters import Counters
from xmppd.ixmppd import IClock, IEntropy, IHost, IReception, IStore
from xmppd.net.admission import Admission
from xmppd.net.c2s import ClientConnection
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StreamCondition, StreamError

log = Logger(namespace="xmppd.services")

SWEEP_SECONDS = 1
"""How often all streams are looked at for silence."""

DRAIN_SECONDS = 5.0
"""How long clients may take to close their ends at shutdown."""


class Part:
    """
    One step of the start: an awaitable to start and one to stop.

    @ivar name: for messages.
    """

    def __init__(
        self, name: str, start: Callable[[], Awaitable[Any] | None], stop: Callable[[], Awaitable[Any] | None]
    ) -> None:
        self.name = name
        self.start = start
        self.stop = stop


class Stopped(Exception):
    """The service was stopped before all of its parts had started."""


class SequentialService(Service):
    """
    Starts its parts in order, stops them in reverse, and waits for each. Stopped while it starts, it lets the part that
    is about to start finish, and then stops those that run.

    @ivar started: fires when all parts run; fails with what kept one from starting, after the others were stopped, or
        with L{Stopped}.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = tuple(parts)
        self.started: Deferred[None] = succeed(None)
        self._running: list[Part] = []
        self._stopping = False
        self._settled: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """See L{IService}."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stopping = False
        self._settled = Deferred()
        self.started = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            for part in self.parts:
                if self._stopping:
                    raise Stopped
                waiting = part.start()
                if waiting is not None:
                    await waiting
                self._running.append(part)
        except BaseException:
            await self._stop()
            raise
        finally:
            self._settled.callback(None)

    def stopService(self) -> Deferred[None]:
        """See L{IService}."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._stopping = True
        return Deferred.fromCoroutine(self._stopSettled())

    async def _stopSettled(self) -> None:
        waiting: Deferred[None] = Deferred()

        def settled(result: None) -> None:
            waiting.callback(None)

        self._settled.addCallback(settled)
        await waiting
        await self._stop()

    async def _stop(self) -> None:
        while self._running:
            part = self._running.pop()
            try:
                waiting = part.stop()
                if waiting is not None:
                    await waiting
            except Exception:
                log.failure("stopping {name} failed", Failure(), name=part.name)


@implementer(IReception)
class Reception:
    """See L{IReception}."""

    def __init__(self, clock: IClock, entropy: IEntropy, limits: Any, requireTLS: bool, admission: Admission) -> None:
        self.clock = clock
        self.entropy = entropy
        self.limits = limits
        self.requireTLS = requireTLS
        self.counters = Counters()
        self.watched: tuple[bytes, ...] = ()
        self.hosts: dict[str, IHost] = {}
        self._admission = admission

    def host(self, domain: str) -> IHost | None:
        """See L{IReception}."""
        return self.hosts.get(domain)

    def mayAuthenticate(self, address: str) -> bool:
        """See L{IReception}."""
        return self._admission.mayAuthenticate(address)

    def authenticationFailed(self, address: str) -> None:
        """See L{IReception}."""
        self._admission.authenticationFailed(address)


class PortsTaken(Exception):
    """
    Endpoints can't be opened.

    @ivar ports: of each the option that names it, the endpoint's text, and the reason.
    """

    def __init__(self, ports: Iterable[tuple[str, str, Exception]]) -> None:
        self.ports = tuple(ports)
        super().__init__("; ".join(f"{name}: {text}: {reason}" for name, text, reason in self.ports))


class Listeners:
    """
    The listening ports: all open, or none.

    @ivar ports: those that listen, with the option that named them and the endpoint's text.
    """

    def __init__(
        self, endpoints: Iterable[tuple[str, str, Any, Any]], options: Sequence[tuple[int, int, int]] = ()
    ) -> None:
        """
        @param endpoints: the option's name, the endpoint's text, the endpoint, the factory.
        @param options: for the listening sockets, from which those of connections inherit them.
        """
        self._endpoints = tuple(endpoints)
        self._options = options
        self.ports: list[tuple[str, str, Any]] = []

    async def start(self) -> None:
        """
        Open all, or none.

        @raise PortsTaken: some can't be opened; says all of them.
        """
        failed: list[tuple[str, str, Exception]] = []
        for name, text, endpoint, factory in self._endpoints:
            try:
                port = await endpoint.listen(factory)
                self.ports.append((name, text, port))
                for option in self._options:
                    port.socket.setsockopt(*option)
            except Exception as error:
                failed.append((name, text, error))
        if failed:
            await self.stop()
            raise PortsTaken(failed)

    async def stop(self) -> None:
        """Close all."""
        ports, self.ports = self.ports, []
        for _, _, port in ports:
            await maybeDeferred(port.stopListening)


class Streams:
    """
    The streams of all clients: checks the silent ones, ends all at shutdown.
    """

    def __init__(self, connections: set[ClientConnection], reception: Reception) -> None:
        self._connections = connections
        self._reception = reception
        self._sweep: Any = None
        self._swept = 0.0

    def start(self) -> None:
        """Begin to look after silent streams."""
        self._swept = self._reception.clock.seconds()
        self._sweep = self._reception.clock.callLater(SWEEP_SECONDS, self._check)

    def _check(self) -> None:
        """
        Ask those whether they are there who have been silent for long (RFC 6120 section 4.6.4). Who is silent for a
        moment rests already (L{xmppd.net.rest}).
        """
        elapsed = self._reception.clock.seconds() - self._swept
        patience = self._reception.limits.idleSeconds
        for connection in tuple(self._connections):
            connection.silent = silent = connection.silent + elapsed
            if patience and silent >= patience and not connection.asked and connection.stream.session is not None:
                connection.asked = True
                self._askWhetherThere(connection, patience)
        self.start()

    def _askWhetherThere(self, connection: ClientConnection, patience: float) -> None:
        session = connection.stream.session
        assert session is not None
        ping = f"<ping xmlns='{ns.PING}'/>".encode()
        asked = session.host.ask(session.full, "get", ping, self._reception.limits.answerSeconds)

        def unanswered(failure: Failure) -> None:
            condition = getattr(failure.value, "condition", None)
            if condition == StanzaCondition.REMOTE_SERVER_TIMEOUT and connection.silent >= patience:
                connection.abortConnection()

        def over(result: object) -> None:
            connection.asked = False

        asked.addErrback(unanswered).addBoth(over)

    async def stop(self) -> None:
        """End every stream with system-shutdown and wait for the clients, but not for long."""
        if self._sweep is not None and self._sweep.active():
            self._sweep.cancel()
        for connection in tuple(self._connections):
            connection.stream.close(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        clock = self._reception.clock
        for _ in range(int(DRAIN_SECONDS * 20)):
            if not self._connections:
                return
            later: Deferred[None] = Deferred()
            clock.callLater(0.05, later.callback, None)
            await later
        for connection in tuple(self._connections):
            connection.abortConnection()


async def awaitAll(results: Iterable[Any]) -> None:
    """Wait for those of the results that are Deferreds; fails with the first failure."""
    await gatherResults([each for each in results if isinstance(each, Deferred)], consumeErrors=True)


async def secretOf(store: IStore, entropy: IEntropy, domain: str) -> bytes:
    """The secret from which the keys of unknown users are made up; made once per domain, kept in the store."""
    fresh = entropy.token(32).encode()
    if await store.facts.putNew(domain, "server", "scram-secret", fresh):
        return fresh
    kept = await store.facts.get(domain, "server", "scram-secret")
    assert kept is not None
    return kept


def hostsByDomain(hosts: Iterable[IHost]) -> Mapping[str, IHost]:
    """Hosts by their domain."""
    return {host.domain: host for host in hosts}
