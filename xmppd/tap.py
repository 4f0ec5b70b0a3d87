"""
C{twistd xmppd}: from a configuration file to a tree of services. The one place that names concrete classes together.

L{makeService} does no I/O but reading the configuration and the certificates; stores are opened and ports bound when
the service is started. What can't start stops the process with a line for each problem that says why and what to do,
and an exit status after sysexits.h.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore, IReactorUNIX
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from xmppd import catalogue
from xmppd.auth.cred import makePortal
from xmppd.auth.negotiation import SASLNegotiation
from xmppd.auth.passwords import CHECKED, Passwords
from xmppd.auth.rounds import Census
from xmppd.auth.sasl2 import ExtensibleSASL
from xmppd.config import Configuration, ConfigurationError, HostConfig, checkFeatureOptions, load
from xmppd.ctl import changes, logs
from xmppd.ctl.changes import Reloaded
from xmppd.ctl.commands import Commands
from xmppd.ctl.exits import EX_CONFIG, EX_SOFTWARE, CannotStart, explain, leave
from xmppd.ctl.folder import DataFolder
from xmppd.ctl.options import Options
from xmppd.ctl.process import RunningServer
from xmppd.ctl.socket import ControlSocket
from xmppd.ctl.statuspage import monitoringEndpoints
from xmppd.hooks import Feature
from xmppd.ixmppd import IClock, IEntropy, IStore
from xmppd.net.admission import Admission
from xmppd.net.c2s import ClientConnection, ClientFactory
from xmppd.net.expiries import Expiries
from xmppd.net.histories import Histories
from xmppd.net.hops import Hops
from xmppd.net.http import ALPN, WebFactory
from xmppd.net.inspection import Inspection
from xmppd.net.peers import Peers
from xmppd.net.polling import readDirectly
from xmppd.net.proxied import proxied
from xmppd.net.site import WebSite
from xmppd.net.socks5 import Socks5Factory
from xmppd.net.tls import CLIENT_PROTOCOL, ServerTLS, wrapDirect
from xmppd.net.turns import Turns
from xmppd.net.webclients import mountChat, mountClients
from xmppd.restrict import guests, names, profiles
from xmppd.route.absence import Absence
from xmppd.route.host import Host
from xmppd.route.ledger import Ledger
from xmppd.route.remote import Remote
from xmppd.route.router import Router
from xmppd.services import Listeners, Part, Reception, SequentialService, Streams, awaitAll, secretOf
from xmppd.store.memory import MemoryStore
from xmppd.store.sql.store import SQLStore
from xmppd.stream.binding import BIND, Binding, refuseSecondBinding
from xmppd.stream.component import Component, ComponentStream
from xmppd.stream.starttls import StartTLS
from xmppd.trust.certificates import Certificate, CertificateError, findCertificate, loadCertificates
from xmppd.trust.identities import certifiedAddresses
from xmppd.trust.tlspolicy import TLSPolicy
from xmppd.wire.errors import StreamCondition, StreamError

log = Logger(namespace="xmppd")

THREADS = 2
"""Threads that derive keys: PBKDF2 lets go of the interpreter, so more than the cores gain nothing."""


SWITCH_SECONDS = 0.0005
"""How long the reactor may keep the interpreter when another thread wants it."""


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
    @ivar serviceHosts: the domains of services (rooms, publish-subscribe …), which have no users.
    @ivar connections: the clients' connections.
    @ivar others: connections that speak something else than XMPP: HTTP, SOCKS5.
    @ivar peers: other servers, and C{remote} the door to them; None if there are to be none.
    @ivar web: the web site, on all listeners for HTTP; None where there are none.
    @ivar inspection: what administrators see of streams and certificates.
    @ivar features: names of the features that joined, by domain.
    @ivar service: the tree to start.
    @ivar serving: whether everything runs.
    @ivar reloading: what a reload calls: L{reload}, or what surrounds it in a process.
    @ivar leaving: ends the process; called with "shutdown" or "restart". None where there is no process to end.
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
        self._first = self._wanted = config
        self.reactor = reactor
        self.clock: IClock = reactor
        self.reloading: Callable[[], Reloaded] = self.reload
        self.leaving: Callable[[str], None] | None = None
        self.serving = False
        self.entropy = entropy or Entropy()
        self.router = Router()
        self.admission = Admission(self.clock, config.limits)
        self.turns = Turns(self.clock)
        self.connections: set[ClientConnection] = set()
        self.reception = Reception(self.clock, self.entropy, config.limits, config.tls.requireC2s, self.admission)
        self.inspection = Inspection(self.clock, self.connections, self.router.table)
        self.store = store or makeStore(config, reactor)
        self.ledger = Ledger(self.store, self.clock)
        self.tls = makeTLS(config, self.clock)
        self.others: set[Any] = set()
        self.remote: Remote | None = None
        self.web = makeWebSite(config, self.tls)
        self.hosts: dict[str, Host] = {}
        self.features: dict[str, tuple[str, ...]] = {}
        self._pool: ThreadPool | None = None
        self._inThread = inThread or self._inPool
        self._found = catalogue.discover()
        checkFeatureOptions(config, {name: feature.options for name, feature in self._found.items()})
        profiles.check(config)
        for hostConfig in config.hosts.values():
            self._makeHost(hostConfig, self._found)
        self.serviceHosts: dict[str, Host] = {}
        for hostConfig in catalogue.services(self._found, config):
            self._makeServiceHost(hostConfig, self._found)
        self.components = self._makeComponents()
        self.peers = self.inspection.peers = self._makePeers()
        for host in self.hosts.values():
            host.hops = Hops(self.router.destinations, self.peers)
        days = config.tls.expiryWarningDays
        self.expiries = Expiries(self.store, self.clock, self.hosts, self._certificates, days)
        self.streams = Streams(self.connections, self.reception)
        self.reception.watched = tuple(sorted({each for host in self.hosts.values() for each in host.watched}))
        domains = (*self.hosts.values(), *self.serviceHosts.values())
        options = tuple(dict.fromkeys(option for host in domains for option in host.socketOptions))
        if self.peers is not None:
            self.peers.socketOptions = options
        self.listeners = Listeners(self._endpoints(), options)
        self.started = self.clock.seconds()
        folder = DataFolder(config.file, config.data)
        self.parts: list[Part] = [
            Part("data", folder.acquire, folder.release),
            Part("threads", self._startThreads, self._stopThreads),
            Part("store", self.store.open, self.store.close),
            Part("hosts", self._startHosts, self._stopHosts),
            *([Part("peers", self.peers.start, self.peers.stop)] if self.peers is not None else []),
            Part("streams", self.streams.start, self.streams.stop),
            Part("services", self._startServices, self._stopServices),
            Part("guests", self.ledger.undoLeft, self._stopGuests),
            *self._control(),
            Part("listeners", self._startListeners, self._stopListeners),
            Part("expiries", self.expiries.start, self.expiries.stop),
            Part("serving", self._serve, self._endServing),
        ]
        self.service = SequentialService(self.parts)

    def _certificates(self) -> Sequence[Certificate]:
        """Our own of the moment."""
        return tuple(self.tls.certificates.values()) if self.tls is not None else ()

    # --- hosts

    def _makeHost(self, hostConfig: HostConfig, found: Mapping[str, Feature]) -> None:
        domain = hostConfig.domain
        options = catalogue.options(found, hostConfig)
        host = Host(domain, hostConfig, self.config.limits, self.router, self.ledger, self.clock, self.entropy, options)
        host.lifecycle = self._lifecycle if IReactorCore.providedBy(self.reactor) else None
        self._furnish(host)
        self.hosts[domain] = self.reception.hosts[domain] = host
        self.router.addDestination(host)
        host.addStreamFeature(StartTLS())
        host.addStreamFeature(Binding())
        for target in ("account", "host"):
            host.respond(target, "set", BIND, refuseSecondBinding)
        self.features[domain] = catalogue.join(found, host, hostConfig)
        guests.join(host)

    def _furnish(self, host: Host) -> None:
        """Give a domain what the server has for all of them, and its folder."""
        host.web = self.web
        host.counters, host.inspection = self.reception.counters, self.inspection
        names.join(host, lambda: (*self.hosts, *self.serviceHosts, *self.config.components))
        host.folder = self.config.data / "files" / host.domain

    def _makeServiceHost(self, hostConfig: HostConfig, found: Mapping[str, Feature]) -> None:
        """A domain without users; hosts list it, and it learns whose account is gone for good."""
        domain = hostConfig.domain
        options = catalogue.options(found, hostConfig)
        host = Host(domain, hostConfig, self.config.limits, self.router, self.ledger, self.clock, self.entropy, options)
        host.presence = Absence()
        self._furnish(host)
        self.serviceHosts[domain] = host
        self.router.addDestination(host)
        self.features[domain] = catalogue.join(found, host, hostConfig)
        titles = [name for category, _, name in host.identities if category != "server"]
        below = [each for each in self.hosts.values() if domain.endswith("." + each.domain)]
        for each in below or self.hosts.values():
            each.services[domain] = titles[0] if titles else ""
        for each in self.hosts.values():
            each.hooks.removed.addObserver(host.hooks.removed.notify)
            for loading in host.hooks.loading.observe:
                each.hooks.loading.addObserver(loading)
            for ended in host.hooks.ended.observe:
                each.hooks.ended.addObserver(ended)

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

    def _makePeers(self) -> Peers | None:
        """Other servers and the door to them, if the configuration wants any."""
        config, router = self.config, self.router
        if not (config.s2s.enabled or config.listen.s2s or config.listen.s2sTls):
            return None
        hosts, isOurs = {**self.hosts, **self.serviceHosts}, router.destinations.__contains__
        self.remote = router.remote = Remote(router, hosts.get, self.clock, config.s2s, SystemRandom().random)
        try:
            counters = self.reception.counters
            histories = Histories(self.store, self.clock, self.hosts, counters)
            shared = (self.tls, self.admission, self.turns, histories, counters)
            return Peers(self.reactor, self.entropy, config, isOurs, self.remote, *shared)
        except CertificateError as error:
            raise CannotStart(EX_CONFIG, *(str(problem) for problem in error.problems)) from None

    async def _startHosts(self) -> None:
        for host in self.hosts.values():
            secret = await secretOf(self.store, self.entropy, host.domain)
            iterations, most = host.config.scramIterations, self.config.limits.pbkdf2Queue
            census = Census(host.domain, self.store.accounts, self.store.facts, self.clock, iterations, CHECKED)
            await census.start()
            for hook in (host.hooks.registered, host.hooks.rekeyed, host.hooks.removed):
                hook.addObserver(census.changed)
            host.hooks.stopping.addObserver(census.stop)
            passwords = Passwords(self.store.accounts, self._inThread, secret, iterations, most, census)
            host.passwords = passwords
            portal = makePortal(host, passwords)
            requireTLS = self.config.tls.requireC2s
            negotiation = SASLNegotiation(host, portal, passwords, certifiedAddresses, requireTLS)
            host.addStreamFeature(negotiation)
            host.addStreamFeature(ExtensibleSASL(negotiation))
            await awaitAll(observer() for observer in host.hooks.starting.observe)

    async def _stopHosts(self) -> None:
        for host in self.hosts.values():
            await awaitAll(observer() for observer in host.hooks.stopping.observe)

    async def _startServices(self) -> None:
        for host in self.serviceHosts.values():
            await awaitAll(observer() for observer in host.hooks.starting.observe)

    async def _stopServices(self) -> None:
        """Before the streams end, so that clients hear why."""
        for host in self.serviceHosts.values():
            await awaitAll(observer() for observer in host.hooks.stopping.observe)

    async def _stopGuests(self) -> None:
        """Guests go while everybody is still here to see it."""
        for host in self.hosts.values():
            for sessions in tuple(host.sessions.values()):
                for session in tuple(sessions.values()):
                    if session.account.anonymous:
                        session.end(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        await self.ledger.stop()

    # --- the process

    def _serve(self) -> None:
        self.serving = True

    def _endServing(self) -> None:
        self.serving = False

    def _control(self) -> list[Part]:
        """The socket for xmppctl, where there are sockets at all."""
        if not IReactorUNIX.providedBy(self.reactor):
            return []
        control = ControlSocket(self.reactor, self.config.control.socket, Commands(self))
        return [Part("control", control.start, control.stop)]

    def _lifecycle(self, how: str, delay: float) -> None:
        """See L{IHost.lifecycle}."""
        if self.leaving is not None:
            self.clock.callLater(delay, self.leaving, how)

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

    def _endpoints(self) -> list[tuple[str, str, Any, Any]]:
        listen = self.config.listen
        plain = ClientFactory(self.reception, self.admission, self.turns, self.tls, None, self.connections)
        endpoints: list[tuple[str, str, Any]] = [("listen.c2s", text, self._proxied(plain)) for text in listen.c2s]
        if self.tls is not None and listen.c2sTls:
            creator = self.tls.forDirect(CLIENT_PROTOCOL)
            direct = ClientFactory(self.reception, self.admission, self.turns, self.tls, creator, self.connections)
            endpoints += [("listen.c2s_tls", text, self._proxied(direct)) for text in listen.c2sTls]
        if self.peers is not None:
            endpoints += self.peers.listeners(listen.s2s, listen.s2sTls)
        endpoints += [("listen.component", text, self._componentFactory()) for text in listen.component]
        endpoints += self._webEndpoints()
        endpoints += monitoringEndpoints(self)
        endpoints += [
            (f'proxy."{domain}".listen', text, Socks5Factory(streams, self.clock, self.admission, self.others))
            for domain, host in self.serviceHosts.items()
            if (streams := host.bytestreams) is not None
            for text in streams.endpoints
        ]
        return [(name, text, self._endpoint(name, text), factory) for name, text, factory in endpoints]

    def _webEndpoints(self) -> list[tuple[str, str, Any]]:
        """HTTP, behind a reverse proxy or by ourselves."""
        if self.web is None:
            return []
        listen, web = self.config.listen, self.config.web
        mountClients(self.web, web, self.hosts, self.reception, self.admission, self.turns, self.connections)
        if web.chat and not web.websocket:
            raise CannotStart(EX_CONFIG, f"{self.config.file}: web.chat: it needs WebSockets; set web.websocket = true")
        mountChat(self.web, web, self.hosts)
        strict = web.strictTransportDays * 86_400
        factory = WebFactory(self.web, self.clock, self.admission, self.others, web.proxies, strict)
        endpoints: list[tuple[str, str, Any]] = [("listen.http", text, self._proxied(factory)) for text in listen.http]
        if self.tls is not None and listen.https:
            secure = wrapDirect(factory, self.tls.forDirect(ALPN), self.clock)
            endpoints += [("listen.https", text, self._proxied(secure)) for text in listen.https]
        return endpoints

    def _proxied(self, factory: Any) -> Any:
        """A factory of clients' connections, which load balancers may stand in front of."""
        return proxied(factory, self.config.listen.proxyProtocol, self.clock)

    async def _startListeners(self) -> None:
        await self.listeners.start()
        for name, _, port in self.listeners.ports:
            number = getattr(port.getHost(), "port", None)
            if name == "listen.https" and self.web is not None and self.web.port == 0:
                self.web.port = number or 443
            for domain, host in self.serviceHosts.items():
                if name == f'proxy."{domain}".listen' and host.bytestreams is not None and not host.bytestreams.port:
                    host.bytestreams.port = number or 0

    def _componentFactory(self) -> ClientFactory:
        def stream(transport: Any, reception: Any) -> ComponentStream:
            return ComponentStream(transport, reception, self.components, self.router)

        return ClientFactory(self.reception, self.admission, self.turns, None, None, self.connections, stream)

    def _endpoint(self, name: str, text: str) -> Any:
        try:
            return serverFromString(self.reactor, text)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            line = f"{self.config.file}: {name}: {text!r} is no endpoint of Twisted's ({reason})"
            raise CannotStart(EX_CONFIG, f"{line}; write one like tcp:5222:interface=127.0.0.1") from error

    async def _stopListeners(self) -> None:
        for host in self.hosts.values():
            host.stopping = True
        await self.listeners.stop()
        for connection in tuple(self.others):
            connection.hangUp()

    # --- configuration at run time

    def reload(self, config: Configuration | None = None) -> Reloaded:
        """
        Take over what can change while the server runs: certificates, limits, administrators, who may register.
        Whatever is bad keeps the old. Reads files.

        @param config: the new configuration; read from the file if None.
        """
        problems: list[str] = []
        remarks: list[str] = []
        try:
            config = config or load(self.config.file)
            checkFeatureOptions(config, {name: feature.options for name, feature in self._found.items()})
            profiles.check(config)
            catalogue.services(self._found, config)
            services = catalogue.services(self._found, changes.running(config, self._first))
        except ConfigurationError as error:
            problems += [str(problem) for problem in error.problems]
            config, services = self.config, ()
        problems += self._renewCertificates(config, remarks)
        if config is not self.config:
            self._takeOver(config, services)
        configs = {domain: host.config for domain, host in self.hosts.items()}
        remarks += changes.waiting(self._wanted, self._first, configs)
        return Reloaded(tuple(problems), tuple(remarks))

    def _renewCertificates(self, config: Configuration, remarks: list[str]) -> list[str]:
        """Load the certificates again; answers why that can't be, and appends what is dubious to C{remarks}."""
        if self.tls is None or config.tls.certificates is None:
            return []
        try:
            certificates = usableCertificates(config, self.clock.seconds())
            self.tls.replace(certificates)
        except CertificateError as error:
            return [str(problem) for problem in error.problems]
        except CannotStart as error:
            return list(error.lines)
        remarks += [str(problem) for each in certificates.values() for problem in each.warnings]
        return []

    def _takeOver(self, config: Configuration, services: Sequence[HostConfig]) -> None:
        """
        Use a new configuration as far as that is possible.

        @param services: what it makes of the services that run; of these only the administrators can change.
        """
        self._wanted = config
        self.config = changes.running(config, self._first)
        self.admission.limits = self.reception.limits = config.limits
        self.expiries.days = config.tls.expiryWarningDays
        if self.peers is not None and self.remote is not None:
            self.peers.reconfigure(self.config)
            self.remote.limits = self.config.s2s
        for domain, host in self.hosts.items():
            host.reconfigure(self.config.hosts[domain], config.limits)
            if host.guests is not None:
                host.guests.reconfigure()
        for each in services:
            host = self.serviceHosts[each.domain]
            host.reconfigure(dataclasses.replace(host.config, admins=each.admins, names=each.names), config.limits)

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
    if config.tls.certificates is None:
        return None
    try:
        certificates = usableCertificates(config, clock.seconds())
        for certificate in certificates.values():
            for problem in certificate.warnings:
                log.warn("{problem}", problem=str(problem))
        policy = TLSPolicy(clientAuthorities=config.tls.clientCa)
        return ServerTLS(certificates, clock, policy)
    except CertificateError as error:
        raise CannotStart(EX_CONFIG, *(str(problem) for problem in error.problems)) from None


def makeWebSite(config: Configuration, tls: ServerTLS | None) -> WebSite | None:
    """
    The web site, if anybody listens for HTTP. Clients are told the port of the first listener with TLS: what its
    endpoint says, or the real one when it listens.
    """
    listen = config.listen
    if not listen.http and not listen.https:
        return None
    if tls is None or not listen.https:
        return WebSite()
    found = re.match(r"tcp6?:(?:port=)?(\d{1,5})(?::|$)", listen.https[0])
    return WebSite(int(found[1]) if found else 0, tls.certificateFor)


def usableCertificates(config: Configuration, now: float) -> Mapping[str, Certificate]:
    """
    The certificates in the configured folder.

    @raise CertificateError: one can't be used.
    @raise CannotStart: one is missing.
    """
    folder = config.tls.certificates
    assert folder is not None
    certificates = loadCertificates(folder, now)
    if not certificates:
        raise CannotStart(
            EX_CONFIG, f"{folder}: there is no certificate; put chain and key of each domain into DOMAIN.pem there"
        )
    listen, lines = config.listen, []
    if listen.c2sTls or (listen.c2s and config.tls.requireC2s):
        lines = [
            f"{folder}: there is no certificate for {domain}, and nobody could log in there;"
            f" put its chain and key into {domain}.pem"
            for domain in config.hosts
            if findCertificate(certificates, domain) is None
        ]
    if lines:
        raise CannotStart(EX_CONFIG, *lines)
    return certificates


def makeServer(config: Configuration, reactor: Any) -> Server:
    """
    The server, or the end of the process with the reason.
    """
    try:
        return Server(config, reactor)
    except Exception as error:
        status, lines = explain(error)
        if status == EX_SOFTWARE:
            log.failure("the server can't be made")
        leave(status, *lines)


def makeService(options: Options) -> Service:
    """What twistd asks for. Twistd has its own log; a configured file is written besides."""
    from twisted.internet import reactor

    config = options.configuration
    assert config is not None
    try:
        log = logs.join(config.log)
    except OSError as error:
        leave(EX_CONFIG, f"{config.file}: log.file: {error.strerror}; name a file that can be written")
    running = RunningServer(makeServer(config, reactor), logs=log)
    running.finishAtExit()
    readDirectly(reactor)
    return running
