"""
Metrics for Prometheus, at C{/metrics} of the listeners C{listen.metrics}; each is documented in C{docs/metrics.rst}.

Theory of operation: nothing is counted for this module that isn't there anyway. When somebody asks, a L{Survey} looks
at all streams and sessions, some in each turn of the reactor so that nobody waits for it, and adds them up by what few
values their labels have; then L{ServerCollector} turns it, the counters (L{xmppd.counters}) and the figures of router,
queues, certificates and store into samples. Each server has a registry of its own, with C{prometheus_client}'s
collectors for process, garbage collector and platform; the library's global one isn't used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd import __version__
from xmppd.ixmppd import IClock, IWebResource, WebRequest, WebResponse
from xmppd.net.inspection import kindOf, mechanismOf, proofOf
from xmppd.net.rest import RESTING
from xmppd.net.site import plain

if TYPE_CHECKING:
    from xmppd.tap import Server

SLICE: Final = 1000
"""How many streams are looked at in one turn of the reactor: a few milliseconds."""

NONE: Final = "none"
"""A label of what isn't there: no TLS, no mechanism yet, no proof."""

STREAM_LABELS: Final = ("kind", "direction", "tls", "cipher", "mechanism", "proof")

LINK_STATES: Final = ("connected", "connecting", "waiting", "idle")


@dataclass(slots=True)
class Survey:
    """
    What there is, added up.

    @ivar streams: how many by L{STREAM_LABELS}.
    @ivar bound: how many by kind and type of channel binding.
    @ivar resting: how many streams gave their parsers back, since nothing comes.
    @ivar sessions: how many by host, "user" or "guest", "connected" or "hibernating".
    @ivar links: pairs of one of our domains and another one, by state.
    @ivar queuedStanzas: how many wait for streams to other domains.
    @ivar queuedOctets: what they measure.
    """

    streams: Counter[tuple[str, ...]] = field(default_factory=Counter)
    bound: Counter[tuple[str, ...]] = field(default_factory=Counter)
    resting: int = 0
    sessions: Counter[tuple[str, ...]] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    queuedStanzas: int = 0
    queuedOctets: int = 0

    def addStream(self, connection: Any) -> None:
        """Count one connection."""
        stream = connection.stream
        tls, kind = stream.tls, kindOf(connection)
        self.streams[
            kind,
            getattr(stream, "direction", "in"),
            NONE if tls is None else tls.version,
            NONE if tls is None else tls.cipher,
            mechanismOf(stream) or NONE,
            proofOf(stream) or NONE,
        ] += 1
        binding = getattr(stream, "channelBinding", None)
        if binding is not None:
            self.bound[kind, binding] += 1
        if getattr(connection, "awake", None) == RESTING:
            self.resting += 1

    def addSession(self, session: Any) -> None:
        """Count one session."""
        who = "guest" if session.account.anonymous else "user"
        self.sessions[session.host.domain, who, "connected" if session.stream is not None else "hibernating"] += 1

    def addLink(self, link: Any, now: float) -> None:
        """Count what is between two domains."""
        if link.carriers:
            state = "connected"
        elif link.timer is not None:
            state = "connecting"
        else:
            state = "waiting" if link.until > now else "idle"
        self.links[state] += 1
        self.queuedStanzas += len(link.waiting)
        self.queuedOctets += link.octets


async def inSlices(things: Iterable[Any], clock: IClock) -> Any:
    """Things one by one, with a turn of the reactor after every L{SLICE} of them."""
    for index, each in enumerate(things):
        if index % SLICE == SLICE - 1:
            turn: Deferred[None] = Deferred()
            clock.callLater(0, turn.callback, None)
            await turn
        yield each


async def survey(server: Server) -> Survey:
    """Look at everything there is."""
    found = Survey()
    clock = server.clock
    async for connection in inSlices(server.inspection.connections(), clock):
        found.addStream(connection)
    async for session in inSlices(tuple(server.router.table.values()), clock):
        found.addSession(session)
    async for link in inSlices(tuple(server.remote.links.values()) if server.remote is not None else (), clock):
        found.addLink(link, clock.seconds())
    return found


class ServerCollector(Collector):
    """
    Turns what there is to samples.

    @ivar survey: the one to tell of.
    """

    def __init__(self, server: Server) -> None:
        self.survey = Survey()
        self._server = server

    def describe(self) -> Iterable[Metric]:
        """Names aren't claimed beforehand: features may add counters at any time."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See L{Collector}."""
        yield InfoMetricFamily("xmppd_build", "The version of xmppd that runs.", {"version": __version__})
        yield from self._streams()
        yield from self._stanzas()
        yield from self._certificates()
        waiting = getattr(self._server.store, "waiting", 0)
        yield GaugeMetricFamily("xmppd_store_queue", "Operations that wait for the database.", waiting)
        yield from self._counters()

    def _streams(self) -> Iterator[Metric]:
        found = self.survey
        text = "Streams by kind, who began them, TLS, what authenticated the other end and what proved its domain."
        yield gauge("xmppd_streams", text, STREAM_LABELS, found.streams)
        text = "Streams whose login was bound to the channel, by the type of binding."
        yield gauge("xmppd_streams_bound", text, ("kind", "binding"), found.bound)
        text = "Streams that rest, since nothing comes."
        yield GaugeMetricFamily("xmppd_streams_resting", text, found.resting)
        text = "Sessions by host, users' or guests', connected or waiting to be resumed."
        yield gauge("xmppd_sessions", text, ("host", "who", "state"), found.sessions)

    def _stanzas(self) -> Iterator[Metric]:
        router, remote, found = self._server.router, self._server.remote, self.survey
        yield CounterMetricFamily("xmppd_stanzas_routed", "Stanzas that were routed.", router.routed)
        yield CounterMetricFamily("xmppd_stanzas_bounced", "Stanzas returned to their senders.", router.bounced)
        if remote is None:
            return
        exchanged = {("out",): remote.sent, ("in",): remote.arrivals}
        yield counter("xmppd_remote_stanzas", "Stanzas exchanged with other servers.", ("direction",), exchanged)
        links = {(state,): found.links[state] for state in LINK_STATES}
        yield gauge("xmppd_remote_links", "Pairs of a domain of ours and another, by state.", ("state",), links)
        text = "Stanzas that wait for streams to other servers."
        yield GaugeMetricFamily("xmppd_remote_queue_stanzas", text, found.queuedStanzas)
        text = "Octets of the stanzas that wait for streams to other servers."
        yield GaugeMetricFamily("xmppd_remote_queue_bytes", text, found.queuedOctets)

    def _certificates(self) -> Iterator[Metric]:
        server = self._server
        own = {} if server.tls is None else server.tls.certificates
        ends = {(domain,): each.notAfter for domain, each in own.items()}
        text = "When our certificates expire, in seconds since the epoch."
        yield gauge("xmppd_certificate_expiry_timestamp_seconds", text, ("domain",), ends)
        histories = server.peers.histories if server.peers is not None else None
        if histories is not None:
            text = "Other domains with a change of certificate that no administrator has acknowledged."
            yield GaugeMetricFamily("xmppd_peer_warnings", text, len(histories.warned))

    def _counters(self) -> Iterator[Metric]:
        for tally in self._server.reception.counters:
            yield counter(f"xmppd_{tally.name}", tally.text, tally.labels, tally.values)


def gauge(name: str, text: str, labels: Iterable[str], values: Any) -> GaugeMetricFamily:
    """A metric of the moment."""
    metric = GaugeMetricFamily(name, text, labels=tuple(labels))
    for label, value in sorted(values.items()):
        metric.add_metric(label, value)
    return metric


def counter(name: str, text: str, labels: Iterable[str], values: Any) -> CounterMetricFamily:
    """A metric that only grows; its samples end with C{_total}."""
    metric = CounterMetricFamily(name, text, labels=tuple(labels))
    for label, value in sorted(values.items()):
        metric.add_metric(label, value)
    return metric


@implementer(IWebResource)
class Metrics:
    """What Prometheus gets."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._collector = ServerCollector(server)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def respond(self, request: WebRequest) -> WebResponse | Deferred[WebResponse | None] | None:
        """See L{IWebResource}."""
        if request.path != "/metrics":
            return None
        if request.method not in ("GET", "HEAD") or request.length != 0:
            return plain(405, {"Allow": "GET, HEAD"})
        return Deferred.fromCoroutine(self._respond(request.headers.get("accept", "")))

    async def _respond(self, accept: str) -> WebResponse:
        self._collector.survey = await survey(self._server)
        encode, contentType = choose_encoder(accept)
        return WebResponse(200, {"Content-Type": contentType}, encode(self._registry))
