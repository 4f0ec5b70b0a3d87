"""
Trying out a domain, to tell people why stanzas get there or don't: everything that L{Peers} does to open a stream, with
every place and every proof, also those that nothing depends on; and nothing is sent.

What the other server makes of us isn't tried: that takes our own server, to which it would dial back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, TimeoutError

from xmppd.config import Configuration
from xmppd.ixmppd import IEntropy
from xmppd.net.admission import Admission
from xmppd.net.peers import Peers
from xmppd.net.resolver import NoService, Place, Target
from xmppd.net.s2s import DialledConnection
from xmppd.net.tls import ServerTLS
from xmppd.net.turns import Turns
from xmppd.stream.s2s import ServerStream
from xmppd.trust.certificatefacts import shown
from xmppd.trust.dane import Endpoint
from xmppd.trust.evidence import Evidence
from xmppd.trust.pkix import presentedChain
from xmppd.trust.verdict import Downgrades, Past, Verdict
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza

PLACE_SECONDS: Final = 12.0
"""How long one place may take."""

MOST_PLACES: Final = 8
"""How many places are tried."""


@dataclass(slots=True)
class Visit:
    """
    What came of one place.

    @ivar place: where.
    @ivar endpoint: what the DNS says of it; None if that isn't known.
    @ivar verdict: who is there; None if it didn't come to that.
    @ivar problem: why there is no stream, in words, or None.
    """

    place: Place
    endpoint: Endpoint | None = None
    verdict: Verdict | None = None
    problem: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether stanzas would go there."""
        return self.problem is None and self.verdict is not None and self.verdict.accepted

    def facts(self) -> dict[str, Any]:
        """For programs."""
        target, endpoint = self.place.target, self.endpoint
        return {
            "host": target.host,
            "port": target.port,
            "direct_tls": target.direct,
            "address": self.place.address,
            "dnssec": {
                "srv": str(target.security),
                "address": str(self.place.security),
                "tlsa": str(endpoint.tlsa) if endpoint is not None else None,
            },
            "tlsa": [str(record) for record in endpoint.records] if endpoint is not None else [],
            "verdict": self.verdict.facts() if self.verdict is not None else None,
            "problem": self.problem,
            "accepted": self.accepted,
        }

    def lines(self) -> Iterable[str]:
        """For people."""
        target = self.place.target
        how = "TLS at once" if target.direct else "STARTTLS"
        yield f"{shown(target.host)} port {target.port} ({how}), {self.place.address}"
        yield f"  DNSSEC: the place is {target.security}, its address is {self.place.security}"
        for record in self.endpoint.records if self.endpoint is not None else ():
            yield f"  TLSA {record}" + (f", which can't be used: {record.unusable}" if record.unusable else "")
        if self.verdict is not None:
            yield from (f"  {line}" for line in self.verdict.explain().splitlines())
        if self.problem is not None:
            yield f"  no stream: {shown(self.problem, 400)}"


@dataclass(slots=True)
class Explanation:
    """
    All that was found out about a domain.

    @ivar domain: which.
    @ivar believed: whether the resolver's word about DNSSEC counts.
    @ivar routed: whether the configuration says where it is.
    @ivar visits: the places, in the order in which they would be tried.
    @ivar problems: what went wrong before, in words.
    @ivar remembered: whether it is known what the domain was proved by before.
    """

    domain: str
    believed: bool
    routed: bool
    visits: list[Visit] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remembered: bool = True

    @property
    def accepted(self) -> bool:
        """Whether stanzas would get there."""
        return any(visit.accepted for visit in self.visits)

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "domain": self.domain,
            "accepted": self.accepted,
            "resolver_believed": self.believed,
            "configured_route": self.routed,
            "places": [visit.facts() for visit in self.visits],
            "problems": self.problems,
            "remembered": self.remembered,
        }

    def text(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        why = "it is neither on loopback nor declared trusted, so DANE proves nothing"
        word = "counts" if self.believed else f"doesn't count: {why}"
        yield f"what the resolver says about DNSSEC {word}"
        if self.routed:
            yield "the configuration says where the domain is; the DNS isn't asked for that"
        yield from (f"problem: {shown(problem, 400)}" for problem in self.problems)
        for visit in self.visits:
            yield ""
            yield from visit.lines()
        yield ""
        yield self._conclusion()

    def _conclusion(self) -> str:
        """What follows, in one sentence."""
        good = next((visit for visit in self.visits if visit.accepted), None)
        name = shown(self.domain)
        if good is None or good.verdict is None:
            return f"{name}: stanzas don't get there"
        before = self.visits.index(good)
        tried = f", after {before} that fail{'s' if before == 1 else ''}" if before else ""
        if not self.remembered and not good.verdict.authenticated:
            tried += ", unless it was proved by more before (no server runs that could tell)"
        where = f"{shown(good.place.target.host)} port {good.place.target.port}{tried}"
        return f"{name}: stanzas get there by {where}, which is proved by {good.verdict.prooftype}"


class _Nothing:
    """No stanzas come, and none wait."""

    dial: Callable[[str, str], None] | None = None

    def connected(self, local: str, remote: str, carrier: Any) -> None:
        """See L{xmppd.net.peers.Exchange}."""

    def disconnected(self, local: str, remote: str, carrier: Any) -> None:
        """See L{xmppd.net.peers.Exchange}."""

    def failed(self, local: str, remote: str, reason: StanzaError) -> None:
        """See L{xmppd.net.peers.Exchange}."""

    def arrived(self, stanza: Stanza) -> None:
        """See L{xmppd.net.peers.Exchange}."""

    def returned(self, stanza: Stanza) -> None:
        """See L{xmppd.net.peers.Exchange}."""


class Explorer(Peers):
    """Tries domains out."""

    def __init__(
        self,
        reactor: Any,
        entropy: IEntropy,
        config: Configuration,
        serverTLS: ServerTLS | None,
        past: Past | None = None,
    ) -> None:
        """
        @param past: what the domain was proved by before; None: that isn't known.
        @raise CertificateError: the configured authorities can't be used.
        """
        admission = Admission(reactor, config.limits)
        super().__init__(
            reactor, entropy, config, config.hosts.__contains__, _Nothing(), serverTLS, admission, Turns(reactor)
        )
        self._verdicts: dict[ServerStream, Verdict] = {}
        self._past = past

    async def explain(self, local: str, remote: str) -> Explanation:
        """
        Everything about a domain. Never raises for anything that the DNS or the other server can say.

        @param local: the domain of ours that calls.
        @param remote: the domain, prepared.
        """
        found = Explanation(remote, self._resolver.trusted, remote in self.routes)
        found.remembered = self._past is not None or self.policies.of(remote).downgrades is Downgrades.ACCEPT
        for place in (await self._everyPlace(remote, found.problems))[:MOST_PLACES]:
            visit = Visit(place)
            found.visits.append(visit)
            visiting: Deferred[None] = Deferred.fromCoroutine(self._visit(local, remote, visit))
            visiting.addTimeout(PLACE_SECONDS, cast(Any, self._reactor))
            try:
                await visiting
            except TimeoutError:
                visit.problem = f"it takes more than {PLACE_SECONDS:g} seconds"
            except StanzaError as error:
                visit.problem = error.text or str(error)
        return found

    async def _everyPlace(self, remote: str, problems: list[str]) -> Sequence[Place]:
        """Where the domain is, in order."""
        try:
            targets: list[Target] = await self._targets(remote)
        except StanzaError as error:
            problems.append(error.text or str(error))
            return ()
        places: list[Place] = []
        for target in targets:
            try:
                places += await self._resolver.places(target)
            except NoService as error:
                problems.append(str(error))
        return places

    async def _visit(self, local: str, remote: str, visit: Visit) -> None:
        """
        Open a stream and close it.

        @raise StanzaError: there is none.
        """
        visit.endpoint = endpoint = await self._resolver.endpoint(visit.place)
        self._checkReachable(endpoint)
        before = set(self._verdicts)
        try:
            stream = await self._try(local, remote, visit.place, endpoint, True)
            stream.close()
        finally:
            visit.verdict = next((each for key, each in self._verdicts.items() if key not in before), None)

    async def _prove(self, stream: ServerStream, remote: str) -> Verdict:
        """Every proof there is, whether the policy has a use for it or not."""
        transport = cast(DialledConnection, stream.transport)
        connection = transport.tlsConnection
        led = self._led(transport, connection is not None, remote)
        endpoints = (transport.endpoint,) if transport.endpoint is not None else ()
        evidence = Evidence(True, endpoints=endpoints, dialback=led)
        if connection is not None:
            material, why = await self.places.material(remote)
            verification, presented = self._peerTLS.recorder.of(connection), presentedChain(connection)
            stapled = self._peerTLS.staples.of(connection)
            known = self._known(remote)
            evidence = Evidence(True, verification, presented, stapled, endpoints, material, why, known, led)
        verdict = evidence.verdict(remote, self.policies, stream.tls, self.clock.seconds(), self._past)
        self._verdicts[stream] = verdict
        return verdict
