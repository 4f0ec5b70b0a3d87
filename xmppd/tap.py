"""
C{twistd xmppd}: from a configuration file to a tree of services. The one place that names concrete classes together.

L{makeService} does no I/O but reading the configuration and the certificates; stores are opened and ports bound when
the service is started. What can't start stops the process with one line that says why and what to do, and an exit
status after sysexits.h.
"""

from __future__ import annotations

import os
import secrets
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from xmppd import catalogue
from xmppd.auth.cred import makePortal
from xmppd.auth.negotiation import SASLNegotiation
from xmppd.auth.passwords import Passwords
from xmppd.config import Configuration, ConfigurationError, HostConfig, checkFeatureOptions, load
from xmppd.hooks import Feature
from xmppd.ixmppd import IClock, IEntropy, IStore, StoreUnavailable
from xmppd.net.admission import Admission
from xmppd.net.c2s import ClientConnection, ClientFactory
from xmppd.net.tls import CLIENT_PROTOCOL, ServerTLS
from xmppd.net.turns import Turns
from xmppd.route.host import Host
from xmppd.route.router import Router
from xmppd.services import Listeners, Part, Reception, SequentialService, Streams, awaitAll, secretOf
from xmppd.store.memory import MemoryStore
from xmppd.store.sql.store import SQLStore
from xmppd.stream.binding import BIND, Binding, refuseSecondBinding
from xmppd.stream.component import Component, ComponentStream
from xmppd.stream.starttls import StartTLS
from xmppd.trust.certificates import CertificateError, loadCertificates
from xmppd.trust.identities import namesFromDER
from xmppd.trust.tlspolicy import TLSPolicy

log = Logger(namespace="xmppd")

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_SOFTWARE, EX_OSERR, EX_CONFIG = 64, 65, 69, 70, 71, 78

THREADS = 2
"""Threads that derive keys: PBKDF2 lets go of the interpreter, so more than the cores gain nothing."""


SWITCH_SECONDS = 0.0005
"""How long the reactor may keep the interpreter when another thread wants it."""


class CannotStart(Exception):
    """
    Why the server can't start, in lines for people.

    @ivar status: exit status after sysexits.h.
    """

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.status = status


@implementer(IEntropy)
class Entropy:
    """Randomness from the operating system."""

    def token(self, octets: int = 16) -> str:
        """See L{IEntropy}."""
        return secrets.token_urlsafe(octets)

    def uuid(self) -> str:
        """See L{IEntropy}."""
        return str(uuid.uuid4())


class Server:
    """
    All parts of one running server.

    @ivar config: the configuration of the moment.
    @ivar hosts: hosts by domain.
    @ivar connections: the clients' connections.
    @ivar features: names of the features that joined, by domain.
    @ivar service: the tree to start.
    """

    def __init__(
        self,
        config: Configuration,
        reactor: Any,
        store: IStore | None = None,
        entropy: IEntropy | None = None,
        inThread: Callable[..., Deferred[Any]] | None = None,
    ) -> None:
        """
        @param reactor: the reactor, or what stands in for it in tests: a clock with C{callFromThread}.
        @param store: used in place of the configured one.
        @param inThread: used in place of a pool of threads.
        @raise ConfigurationError: something named in the configuration isn't there.
        @raise CannotStart: something else keeps it from starting.
        """
        self.config = config
        self.reactor = reactor
        self.clock: IClock = reactor
        self.entropy = entropy or Entropy()
        self.router = Router()
        self.admission = Admission(self.clock, config.limits)
        self.turns = Turns(self.clock)
        self.connections: set[ClientConnection] = set()
        self.reception = Reception(self.clock, self.entropy, config.limits, config.tls.requireC2s, self.admission)
        self.store = store or makeStore(config, reactor)
        self.tls = makeTLS(config, self.clock)
        self.hosts: dict[str, Host] = {}
        self.features: dict[str, tuple[str, ...]] = {}
        self._pool: ThreadPool | None = None
        self._inThread = inThread or self._inPool
        refuseMissingServices(config)
        self._found = catalogue.discover()
        checkFeatureOptions(config, {name: feature.options for name, feature in self._found.items()})
        for hostConfig in config.hosts.values():
            self._makeHost(hostConfig, self._found)
        self.components = self._makeComponents()
        self.streams = Streams(self.connections, self.reception)
        self.listeners = Listeners(self._endpoints())
        self.started = self.clock.seconds()
        self.parts: list[Part] = [
            Part("data", self._makeFolder, lambda: None),
            Part("threads", self._startThreads, self._stopThreads),
            Part("store", self.store.open, self.store.close),
            Part("hosts", self._startHosts, self._stopHosts),
            Part("streams", self.streams.start, self.streams.stop),
            Part("listeners", self.listeners.start, self._stopListeners),
        ]
        self.service = SequentialService(self.parts)

    # --- hosts

    def _makeHost(self, hostConfig: HostConfig, found: Mapping[str, Feature]) -> None:
        domain = hostConfig.domain
        options = catalogue.options(found, hostConfig)
        host = Host(domain, hostConfig, self.config.limits, self.router, self.store, self.clock, self.entropy, options)
        self.hosts[domain] = self.reception.hosts[domain] = host
        self.router.addDestination(host)
        host.addStreamFeature(StartTLS())
        host.addStreamFeature(Binding())
        host.respond("account", "set", BIND, refuseSecondBinding)
        self.features[domain] = catalogue.join(found, host, hostConfig)

    def _makeComponents(self) -> dict[str, Component]:
        """The doors of external components (XEP-0114)."""
        made = {}
        for domain, each in self.config.components.items():
            made[domain] = Component(domain, each.secret, self.router)
            self.router.addDestination(made[domain])
            for host in self.hosts.values():
                if domain.endswith("." + host.domain):
                    host.services[domain] = ""
        return made

    async def _startHosts(self) -> None:
        for host in self.hosts.values():
            secret = await secretOf(self.store, self.entropy, host.domain)
            iterations, most = host.config.scramIterations, self.config.limits.pbkdf2Queue
            passwords = Passwords(self.store.accounts, self._inThread, secret, iterations, most)
            host.passwords = passwords
            portal = makePortal(host, passwords)
            requireTLS = self.config.tls.requireC2s
            host.addStreamFeature(SASLNegotiation(host, portal, passwords, certifiedAddresses, requireTLS))
            await awaitAll(observer() for observer in host.hooks.starting.observe)

    async def _stopHosts(self) -> None:
        for host in self.hosts.values():
            await awaitAll(observer() for observer in host.hooks.stopping.observe)

    def _makeFolder(self) -> None:
        """The folder of everything the server writes, for nobody else's eyes."""
        try:
            self.config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{self.config.file}: data: can't make {self.config.data}: {error.strerror}"
            raise CannotStart(EX_OSERR, f"{reason}; make it, or name another") from None

    # --- threads

    def _startThreads(self) -> None:
        self._pool = ThreadPool(0, THREADS, "xmppd-keys")
        self._pool.start()

    def _stopThreads(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def _inPool(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run a function in the pool."""
        assert self._pool is not None
        return deferToThreadPool(self.reactor, self._pool, function, *arguments)

    # --- listeners

    def _endpoints(self) -> list[tuple[str, Any, Any]]:
        listen = self.config.listen
        plain = ClientFactory(self.reception, self.admission, self.turns, self.tls, None, self.connections)
        endpoints = [("listen.c2s", text, plain) for text in listen.c2s]
        if self.tls is not None and listen.c2sTls:
            creator = self.tls.forDirect(CLIENT_PROTOCOL)
            direct = ClientFactory(self.reception, self.admission, self.turns, self.tls, creator, self.connections)
            endpoints += [("listen.c2s_tls", text, direct) for text in listen.c2sTls]
        endpoints += [("listen.component", text, self._componentFactory()) for text in listen.component]
        return [(name, self._endpoint(name, text), factory) for name, text, factory in endpoints]

    def _componentFactory(self) -> ClientFactory:
        def stream(transport: Any, reception: Any) -> ComponentStream:
            return ComponentStream(transport, reception, self.components, self.router)

        return ClientFactory(self.reception, self.admission, self.turns, None, None, self.connections, stream)

    def _endpoint(self, name: str, text: str) -> Any:
        try:
            return serverFromString(self.reactor, text)
        except Exception as error:
            raise CannotStart(
                EX_CONFIG, f"{self.config.file}: {name}: {text!r} is no endpoint of Twisted's: {error}"
            ) from error

    async def _stopListeners(self) -> None:
        for host in self.hosts.values():
            host.stopping = True
        await self.listeners.stop()

    # --- configuration at run time

    def reload(self, config: Configuration | None = None) -> list[str]:
        """
        Take over what can change while the server runs: certificates, limits, administrators, contacts. Whatever is bad
        keeps the old. Reads files.

        @return: what is wrong, or was changed and takes a restart, in lines for people.
        """
        lines: list[str] = []
        try:
            config = config or load(self.config.file)
        except ConfigurationError as error:
            lines += [str(problem) for problem in error.problems]
            config = self.config
        if self.tls is not None and config.tls.certificates is not None:
            lines += [str(problem) for problem in self.tls.reload(config.tls.certificates)]
        if config is not self.config:
            lines += self._takeOver(config)
        return lines

    def _takeOver(self, config: Configuration) -> list[str]:
        """Use a new configuration as far as that is possible."""
        lines = []
        for name in ("data", "listen", "store", "components", "rooms", "pubsub", "upload", "proxy"):
            if getattr(config, name) != getattr(self.config, name):
                lines.append(f"{config.file}: {name}: a restart is needed for this change")
        if set(config.hosts) != set(self.config.hosts):
            lines.append(f"{config.file}: host: a restart is needed to add or remove a host")
        self.config = config
        self.admission.limits = self.reception.limits = config.limits
        for domain, host in self.hosts.items():
            if domain in config.hosts:
                host.reconfigure(config.hosts[domain], config.limits)
        return lines


def certifiedAddresses(der: bytes) -> tuple[str, ...]:
    """The JIDs a certificate names (XEP-0178)."""
    return namesFromDER(der).xmppAddresses


def makeStore(config: Configuration, reactor: Any) -> IStore:
    """The configured store, not open yet."""
    if config.store.url == "memory:":
        return MemoryStore()
    try:
        return SQLStore(config.store.url, reactor.callFromThread)
    except ValueError as error:
        raise CannotStart(EX_CONFIG, f"{config.file}: store.url: {error}") from None


def makeTLS(config: Configuration, clock: IClock) -> ServerTLS | None:
    """The certificates, or None where the configuration has none."""
    folder = config.tls.certificates
    if folder is None:
        return None
    try:
        certificates = loadCertificates(folder, clock.seconds())
        if not certificates:
            raise CannotStart(
                EX_CONFIG, f"{folder}: there is no certificate: put chain and key of each domain into DOMAIN.pem there"
            )
        for certificate in certificates.values():
            for problem in certificate.warnings:
                log.warn("{problem}", problem=str(problem))
        policy = TLSPolicy(clientAuthorities=config.tls.clientCa)
        return ServerTLS(certificates, clock, policy)
    except CertificateError as error:
        raise CannotStart(EX_CONFIG, *(str(problem) for problem in error.problems)) from None


def refuseMissingServices(config: Configuration) -> None:
    """
    What is named and can't be loaded stops the start-up (house rule: nothing fails open).

    @raise CannotStart: the configuration names a service this version doesn't have.
    """
    lines = []
    for name in ("rooms", "pubsub", "upload", "proxy"):
        for domain in getattr(config, name):
            lines.append(f"{config.file}: {name}.{domain}: this version has no such service; remove the table")
    for name in ("s2s", "s2sTls", "http", "https"):
        if getattr(config.listen, name):
            lines.append(f"{config.file}: listen.{name}: this version doesn't listen for that; remove the option")
    if lines:
        raise CannotStart(EX_CONFIG, *lines)


def raiseOpenFiles() -> int:
    """Raise the limit of open files as far as the system lets us, and answer it: each connection takes one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or hard == resource.RLIM_INFINITY:
        wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError):
            return soft
        return wanted
    return soft


class Options(usage.Options):
    """What C{twistd xmppd} takes."""

    optParameters = [["config", "c", None, "The configuration file. Required."]]

    configuration: Configuration | None = None

    def postOptions(self) -> None:
        """Read the configuration; everything that is wrong with it is told at once."""
        if self["config"] is None:
            raise usage.UsageError("--config FILE says which configuration to run with")
        try:
            self.configuration = load(Path(self["config"]))
        except ConfigurationError as error:
            leave(EX_CONFIG, *(str(problem) for problem in error.problems))


def leave(status: int, *lines: str) -> None:
    """End the process before anything was started."""
    for line in lines:
        sys.stderr.write(f"xmppd: {line}\n")
    raise SystemExit(status)


class RunningServer(Service):
    """
    The server as a service of twistd: if it can't start, the process ends with the reason.

    @ivar server: its parts.
    @ivar ready: called once it serves.
    """

    def __init__(self, server: Server, ready: Callable[[], object] = lambda: None) -> None:
        self.server = server
        self._ready = ready

    def startService(self) -> None:
        """See L{IService}."""
        super().startService()  # type: ignore[no-untyped-call]
        raiseOpenFiles()
        # By default a thread that is wanted waits 5 ms for the interpreter: with the reactor busy, the store's threads
        # would need that several times for each commit
        sys.setswitchinterval(SWITCH_SECONDS)
        self.server.service.startService()
        self.server.service.started.addCallbacks(lambda _: self._ready(), self._failed)

    def stopService(self) -> Deferred[None]:
        """See L{IService}."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self.server.service.stopService()

    def _failed(self, failure: Failure) -> None:
        """Say why in one line, and end the process with the status that fits."""
        status, line = explain(failure.value or AssertionError())
        if status == EX_SOFTWARE:
            log.failure("the server can't start", failure)
        stderr = sys.__stderr__ or sys.stderr  # Twisted's log may have taken the other
        stderr.write(f"xmppd: {line}\n")
        stderr.flush()
        reactor = self.server.reactor
        # neither twistd nor twist lets a service choose the exit status
        reactor.addSystemEventTrigger("after", "shutdown", os._exit, status)
        reactor.callLater(0, reactor.stop)


def explain(error: BaseException) -> tuple[int, str]:
    """Exit status and one line for what kept the server from starting."""
    if isinstance(error, CannotListenError):
        where = f"{error.interface or '*'}:{error.port}"
        return EX_OSERR, f"can't listen on {where}: {error.socketError}; stop what uses the port, or configure another"
    if isinstance(error, StoreUnavailable):
        return EX_UNAVAILABLE, str(error)
    if isinstance(error, CannotStart):
        return error.status, str(error)
    return EX_SOFTWARE, f"{type(error).__name__}: {error}"


def makeServer(config: Configuration, reactor: Any) -> Server:
    """
    The server, or the end of the process with the reason.
    """
    try:
        return Server(config, reactor)
    except ConfigurationError as error:
        leave(EX_CONFIG, *(str(problem) for problem in error.problems))
    except CannotStart as error:
        leave(error.status, *str(error).splitlines())
    raise AssertionError  # leave has left


def makeService(options: Options) -> Service:
    """What twistd asks for."""
    from twisted.internet import reactor

    assert options.configuration is not None
    return RunningServer(makeServer(options.configuration, reactor))
