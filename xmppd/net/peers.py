"""
Other servers: who they are, how to reach them, and which streams there are to and from them.

Theory of operation: L{Peers} is what the streams between servers want of the server around them
(L{xmppd.stream.s2s.Premises}). When the exchange has stanzas for a pair of domains it says so (L{Peers.dial}). An open
stream of the same server is used if it lets others ride along; otherwise the places of the domain are tried in order
until a stream opens, and the stream is authorised for the pair. Streams that only verify dialback keys are opened in
the same way. What is known about who is at the other end is judged by L{xmppd.trust}; here the facts are collected:
the certificate, and what the DNS says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.config import Configuration
from xmppd.counters import Counters
from xmppd.ixmppd import IClock, IEntropy
from xmppd.net.admission import Admission
from xmppd.net.calls import Calls
from xmppd.net.histories import Histories
from xmppd.net.peerpolicy import limitsOfServers, policiesOf
from xmppd.net.peertls import PeerTLS
from xmppd.net.posh import Places
from xmppd.net.renewal import Renewal, expiry, standing
from xmppd.net.resolver import NoService, Place, Resolver, Target
from xmppd.net.s2s import DialledConnection, Dialling, PeerFactory, certificateOn, isCalled, shownOn
from xmppd.net.tls import ServerTLS
from xmppd.net.turns import Turns
from xmppd.stream.incoming import IncomingStream
from xmppd.stream.outgoing import NoTLS, OutgoingStream
from xmppd.stream.s2s import ServerStream
from xmppd.trust.dane import Endpoint, needsTLS, proveDANE, secureTargets
from xmppd.trust.dialback import DialbackResult, isKey, makeKey, proveDialback, sameCertificate
from xmppd.trust.pkix import presentedChain, provePKIX
from xmppd.trust.posh import provePOSH
from xmppd.trust.verdict import DANE_PROOFTYPES, Proof, Prooftype, Verdict, decide, held, isWeak
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.s2s")

CONNECT_SECONDS: Final = 15
"""How long one address may take to accept a connection."""

OPENING: Final = 500
"""To how many pairs of domains streams may be on their way at a time; strangers can ask for them, by dialback."""

SWEEP_SECONDS: Final = 10
"""How often streams are looked at for silence."""

VERIFYING_SECONDS: Final = 60
"""After how much silence a stream that was only opened to verify keys is closed."""

LONG_SECONDS: Final = 86_400
"""After how many seconds it is remembered anew, when a stream ends, what was proved when it began."""

DRAIN_SECONDS: Final = 5.0
"""How long other servers may take to close their ends at shutdown."""


class Exchange(Protocol):
    """What carries stanzas between the router and the streams; see L{xmppd.route.remote.Remote}."""

    dial: Callable[[str, str], None] | None

    def connected(self, local: str, remote: str, carrier: Any) -> None:
        """There is a stream for a pair."""

    def disconnected(self, local: str, remote: str, carrier: Any) -> None:
        """It is over."""

    def failed(self, local: str, remote: str, reason: StanzaError) -> None:
        """None can be had."""

    def arrived(self, stanza: Stanza) -> None:
        """A stanza has come. Per stanza."""

    def returned(self, stanza: Stanza) -> None:
        """A stanza has perhaps not arrived."""


class Peers:
    """
    See the module; and L{xmppd.stream.s2s.Premises} for what streams call.

    @ivar limits: L{xmppd.config.Limits}, with the paces of servers.
    @ivar bidi: whether streams are used in both directions.
    @ivar policies: what is asked of which domain; may be replaced.
    @ivar routes: where some domains are, whatever the DNS says: host, port, and whether it is direct TLS.
    @ivar idleSeconds: after how much silence a stream that we have opened is closed; 0 for never.
    @ivar downgradeSeconds: for how long it counts that a domain was proved by more.
    @ivar places: what domains say by HTTPS.
    @ivar streams: all streams.
    @ivar connections: all connections.
    @ivar secret: what dialback keys are made of.
    @ivar histories: what domains have shown, or None.
    """

    def __init__(
        self,
        reactor: Any,
        entropy: IEntropy,
        config: Configuration,
        isOurs: Callable[[str], bool],
        exchange: Exchange,
        serverTLS: ServerTLS | None,
        admission: Admission,
        turns: Turns,
        histories: Histories | None = None,
        counters: Counters | None = None,
    ) -> None:
        """
        @param histories: remembers what domains show; None: nobody does.
        @param counters: where failures are counted.
        @raise CertificateError: the configured authorities can't be used.
        """
        s2s = config.s2s
        self.clock: IClock = reactor
        self.entropy = entropy
        self.isOurs = isOurs
        self.bidi = s2s.bidi
        self.routes = s2s.connect
        self.reconfigure(config)
        self.secret = entropy.token(32).encode()
        self.streams: set[ServerStream] = set()
        self.connections: set[Any] = set()
        self.requireTLS = True
        self.histories = histories
        self.counters = counters or Counters()
        self._reactor = reactor
        self.socketOptions: Sequence[tuple[int, int, int]] = ()
        self._exchange = exchange
        self._peerTLS = PeerTLS(serverTLS, isOurs, s2s.authorities)
        exchange.dial = self.dial
        self._resolver = Resolver(reactor, [s2s.resolver] if s2s.resolver else None, s2s.trustResolver)
        self.places = Places(reactor, self._resolver, s2s.authorities, s2s.poshPrivate)
        self._admission = admission
        self._turns = turns
        self._outgoing: dict[tuple[str, str], OutgoingStream] = {}
        self._calls = Calls(reactor)
        self._opening: dict[tuple[str, str], list[Deferred[OutgoingStream]]] = {}
        self._stopping = False
        self._renewal = Renewal(self.proveAgain)
        self._sweep: Any = None
        self._dialled = self.factory(False)

    def reconfigure(self, config: Configuration) -> None:
        """Use another configuration, as far as that is possible without a restart: limits and policies."""
        self.limits = limitsOfServers(config)
        self.policies = policiesOf(config)
        self.idleSeconds = config.s2s.idleSeconds
        self.downgradeSeconds = config.s2s.downgradeDays * 86_400
        self.connectSeconds = config.s2s.connectSeconds

    def factory(self, direct: bool) -> PeerFactory:
        """What makes the connections of a listener for servers."""

        def stream(transport: Any, reception: Any) -> IncomingStream:
            made = IncomingStream(transport, self)
            self.streams.add(made)
            return made

        tls: Any = self._peerTLS
        creator = self._peerTLS.forDirect() if direct else None
        reception: Any = self
        return PeerFactory(reception, self._admission, self._turns, tls, creator, self.connections, stream)

    def listeners(self, plain: Sequence[str], direct: Sequence[str]) -> list[tuple[str, str, PeerFactory]]:
        """For each endpoint the option that names it, its text, and what makes its connections."""
        found = [("listen.s2s", text, self.factory(False)) for text in plain]
        return found + [("listen.s2s_tls", text, self.factory(True)) for text in direct]

    # --- policy

    def refusal(self, remote: str) -> str | None:
        """See L{xmppd.stream.s2s.Premises}."""
        return self.policies.of(remote).unwanted

    def requiresTLS(self, remote: str) -> bool:
        """See L{xmppd.stream.s2s.Premises}."""
        policy = self.policies.of(remote) if remote else self.policies.default
        return policy.requireEncryption

    def mayDialBack(self, remote: str) -> bool:
        """See L{xmppd.stream.s2s.Premises}."""
        return self.policies.of(remote).mayDialBack

    def mayAuthenticate(self, address: str) -> bool:
        """Whether there were few enough failures lately."""
        return self._admission.mayAuthenticate(address)

    def authenticationFailed(self, address: str) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        self.counters.serverFailures.add()
        self._admission.authenticationFailed(address)

    # --- proofs

    def prove(self, stream: ServerStream, remote: str) -> Deferred[Any]:
        """See L{xmppd.stream.s2s.Premises}."""
        return Deferred.fromCoroutine(self._prove(stream, remote))

    async def _prove(self, stream: ServerStream, remote: str) -> Verdict:
        proofs = await self._proofs(stream, remote)
        called = isCalled(stream, remote)
        verdict = await self._decided(stream, remote, proofs, called)
        mayStill = not called and verdict.condition == "not-authorized" and self.mayDialBack(remote)
        told = verdict.interim() if mayStill else verdict.summary()
        log.info("s2s judged: {verdict}", verdict=told, address=stream.address, stream=stream.id)
        if self.histories is not None and called and not self._stopping:
            self.histories.saw(verdict, False, shownOn(stream))
        return verdict

    async def _decided(
        self, stream: ServerStream, remote: str, proofs: Sequence[Proof], called: bool, confirmed: bool = False
    ) -> Verdict:
        """
        The verdict; where it is by weak identity, with what the domain was proved by before.

        @param called: whether it is about something that goes to the domain.
        @param confirmed: whether its key was asked about over a stream that is proved by certificate.
        """
        policy = self.policies.of(remote)
        verdict = decide(remote, proofs, policy, stream.tls, outgoing=called)
        if self.histories is None or not isWeak(verdict, policy):
            return verdict
        since = self.clock.seconds() - self.downgradeSeconds
        past = await self.histories.past(remote, not called, since, confirmed)
        return decide(remote, proofs, policy, stream.tls, past=past, outgoing=called)

    async def proveAgain(self, stream: ServerStream, remote: str) -> Verdict | None:
        """
        What a stream comes to with what the DNS and the web say now; None if the DNS doesn't say where the domain is.
        """
        if isCalled(stream, remote):
            transport = cast(DialledConnection, stream.transport)
            try:
                place = await self._placeNow(transport, remote)
            except (StanzaError, NoService):
                return None
            if place is None:
                return decide(remote, (), self.policies.of(remote), stream.tls)
            transport.place, transport.endpoint = place, await self._endpoint(place, remote)
        verdict = await self._prove(stream, remote)
        if self.histories is not None and not isCalled(stream, remote) and not self._stopping:
            # What it showed was its own when it began; it is over if it has ended, and not if it can't be looked up.
            ended = verdict.certificate is not None and verdict.certificate.notAfter < self.clock.seconds()
            self.histories.saw(verdict, True, shownOn(stream), known=ended)
        return verdict

    async def _placeNow(self, transport: DialledConnection, remote: str) -> Place | None:
        """
        What the DNS says now of the place that a connection was made to; None if it names others.

        @raise StanzaError: it doesn't say where the domain is.
        @raise NoService: it doesn't say where the host is.
        """
        assert transport.place is not None
        known = transport.place
        for target in await self._targets(remote):
            if target == replace(known.target, security=target.security):
                places = await self._resolver.places(target)
                return next((each for each in places if each.address == known.address), None)
        return None

    async def _proofs(self, stream: ServerStream, remote: str) -> list[Proof]:
        """
        What can be proved without dialback. A proof that the policy has no use for isn't tried.

        A server that we have called may say, on a stream for both directions, that it is another domain, too. Where we
        were led, and what the DNS says of that place, is about the domain that we were led there for and no other.
        """
        transport = cast(DialledConnection, stream.transport)
        connection = transport.tlsConnection
        outgoing = isCalled(stream, remote)
        policy = self.policies.of(remote)
        now = self.clock.seconds()
        proofs: list[Proof] = []
        if connection is not None:
            own = [transport.endpoint] if outgoing and transport.endpoint is not None else []
            targets = secureTargets(remote, own)
            ocsp = self._peerTLS.stapled(connection, now) if stream.direction == "out" else None
            verification, known = self._peerTLS.recorder.of(connection), self._known(remote)
            pkix = provePKIX(remote, verification, now, targets=targets, ocsp=ocsp, known=known)
            proofs.append(pkix)
            # Where we weren't led DANE can only help, and costs a walk through the DNS.
            wanted = outgoing or not (pkix.held and Prooftype.PKIX in policy.prooftypes)
            if wanted and policy.prooftypes & DANE_PROOFTYPES and self._resolver.trusted:
                endpoints = own if outgoing else await self._limited(self._resolver.endpoints(remote), [])
                proofs.append(proveDANE(remote, endpoints, presentedChain(connection), now, outgoing=outgoing))
            if Prooftype.POSH in policy.prooftypes and not any(each.held or each.vetoes for each in proofs):
                material, why = await self.places.material(remote)
                certificate = stream.tls.peerCertificate if stream.tls is not None else None
                proofs.append(provePOSH(remote, material, certificate, now, why))
        if outgoing:
            proofs.append(self._led(transport, connection is not None, remote))
        return proofs

    def _known(self, remote: str) -> tuple[str, ...]:
        """The name of the host where the configuration says that a domain is, if it does."""
        return (self.routes[remote][0],) if remote in self.routes else ()

    def mayAnswer(self, stream: ServerStream, remote: str) -> Deferred[bool]:
        """See L{xmppd.stream.s2s.Premises}."""
        return Deferred.fromCoroutine(self._mayAnswer(stream, remote))

    async def _mayAnswer(self, stream: ServerStream, remote: str) -> bool:
        """
        What comes from a domain may be taken though its TLSA records say otherwise; what is for it has to go to the
        server that they name, as it would if we had called (RFC 7673 section 3). The same if it was proved by more.
        """
        asked = held(Prooftype.DIALBACK, "it was asked back, if nothing else")
        verdict: Any = stream.verdict
        if verdict is None or stream.remote != remote or not verdict.authenticated:
            verdict = await self._decided(stream, remote, [*await self._proofs(stream, remote), asked], True)
        if verdict.notice:
            log.info("s2s one way: nothing goes there: {verdict}", verdict=verdict.summary(), stream=stream.id)
            return False
        wanted = self.policies.of(remote).prooftypes & DANE_PROOFTYPES
        if remote in self.routes or not wanted or not self._resolver.trusted:
            return True
        endpoints = await self._limited(self._resolver.endpoints(remote), None)
        proof = proveDANE(remote, endpoints or (), shownOn(stream), self.clock.seconds(), outgoing=True)
        may = endpoints is not None and not proof.vetoes and all(each.mayConnect for each in endpoints)
        if not may:
            reason = str(proof) if proof.vetoes else "the DNS doesn't say which server may have it"
            log.warn(
                "s2s one way: nothing for {remote} goes there: {reason}", remote=remote, reason=reason, stream=stream.id
            )
        return may

    async def _limited(self, work: Any, otherwise: Any) -> Any:
        """What a coroutine answers, unless that takes too long."""
        deferred: Deferred[Any] = Deferred.fromCoroutine(work)
        deferred.addTimeout(self.limits.answerSeconds / 2, cast(Any, self.clock))
        deferred.addErrback(lambda failure: otherwise)
        return await deferred

    def _led(self, transport: DialledConnection, encrypted: bool, remote: str) -> Proof:
        """
        What it proves that the DNS has led us to a place: no less than that it has led us there to verify a key, and
        no more (XEP-0344 section 3).
        """
        place = transport.place
        assert place is not None
        secure = encrypted and place.target.security == "secure" and place.security == "secure"
        if remote in self.routes:
            return held(Prooftype.DIALBACK, "the configuration says that its server is here")
        if secure:
            return held(Prooftype.DIALBACK_DNSSEC, "the DNS says that its server is here, and is secure by DNSSEC")
        return held(Prooftype.DIALBACK, "the DNS says that its server is here, but not securely")

    def key(self, receiving: str, originating: str, id: str) -> str:
        """See L{xmppd.stream.s2s.Premises}."""
        return makeKey(self.secret, receiving, originating, id)

    def isKey(self, receiving: str, originating: str, id: str, key: str) -> bool:
        """See L{xmppd.stream.s2s.Premises}."""
        return isKey(self.secret, receiving, originating, id, key)

    def verify(self, stream: ServerStream, local: str, remote: str, id: str, key: str) -> Deferred[Any]:
        """See L{xmppd.stream.s2s.Premises}."""
        return self._calls.verify(stream.address, self._verify(stream, local, remote, id, key))

    async def _verify(self, stream: ServerStream, local: str, remote: str, id: str, key: str) -> Verdict:
        asked = await self._verifier(stream, local, remote)
        same = sameCertificate(certificateOn(stream), certificateOn(asked), remote)
        if not same:
            await asked.ready()
        valid = same or await asked.dialback.ask(local, remote, id, key)
        transport = cast(DialledConnection, asked.transport)
        place = transport.place
        assert place is not None
        proof = proveDialback(
            remote,
            DialbackResult.VALID if valid else DialbackResult.INVALID,
            encrypted=stream.tls is not None and asked.tls is not None,
            srvSecure=place.target.security == "secure",
            addressSecure=place.security == "secure",
            shortcut=same,
        )
        proofs = [*(await self._proofs(stream, remote)), proof]
        confirmed = asked.verdict is not None and asked.verdict.authenticated
        verdict = await self._decided(stream, remote, proofs, False, confirmed)
        if self.histories is not None and not verdict.accepted and not self._stopping:
            self.histories.saw(verdict, True, shownOn(stream))
        return verdict

    async def _verifier(self, stream: ServerStream, local: str, remote: str) -> OutgoingStream:
        """A stream to the server of a domain, other than the one over which its key has come (XEP-0288 section 2.2)."""
        for (_, domain), each in self._outgoing.items():
            if domain == remote and each is not stream and not each.closed:
                return each
        if self._outgoing.get((local, remote)) is stream:
            return await self._connect(local, remote)
        return await self._stream(local, remote)

    # --- streams that we open

    def dial(self, local: str, remote: str) -> None:
        """There are stanzas for a pair; the exchange hears how it went."""

        def failed(failure: Failure) -> None:
            error = failure.value
            if not isinstance(error, StanzaError):
                log.failure("s2s: connecting has failed", failure)
                error = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)
            log.info(
                "s2s failed: local={local} remote={remote} reason={reason}", local=local, remote=remote, reason=error
            )
            self._exchange.failed(local, remote, error)

        Deferred.fromCoroutine(self._authorise(local, remote)).addErrback(failed)

    async def _authorise(self, local: str, remote: str) -> None:
        """Have a stream authorised for a pair."""
        other = self._host(local, remote)
        if other is not None:
            try:
                await other.ready()
                await other.authorise(local)
                return
            except StanzaError as error:
                log.info(
                    "s2s: {local} can't ride along to {remote}: {reason}", local=local, remote=remote, reason=str(error)
                )
        stream = await self._stream(local, remote)
        await stream.ready()
        if (local, remote) not in stream.spoken:
            await stream.authorise(local)

    def _host(self, local: str, remote: str) -> OutgoingStream | None:
        """An open stream of another domain of ours to the same remote one, on which this one can ride along."""
        for (domain, other), each in self._outgoing.items():
            if other == remote and domain != local and each.piggybacks and each.spoken and not each.closed:
                return each
        return None

    def _stream(self, local: str, remote: str) -> Deferred[OutgoingStream]:
        """The open stream of a pair, or a new one. Fails with StanzaError."""
        pair = (local, remote)
        answer: Deferred[OutgoingStream] = Deferred()
        found = self._outgoing.get(pair)
        if found is not None and not found.closed:
            answer.callback(found)
            return answer
        waiting = self._opening.get(pair)
        if waiting is not None:
            waiting.append(answer)
            return answer
        if len(self._opening) >= OPENING:
            reason = "Too many other servers are being connected to."
            answer.errback(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, reason))
            return answer
        self._opening[pair] = [answer]

        def done(result: Any) -> None:
            for each in self._opening.pop(pair):
                each.callback(result)

        Deferred.fromCoroutine(self._connect(local, remote)).addBoth(done)
        return answer

    async def _connect(self, local: str, remote: str) -> OutgoingStream:
        """
        Open a stream: try place after place, in order (RFC 6120 section 3.2).

        @raise StanzaError: there is none, with the reason of the last one.
        """
        refusal = self.refusal(remote)
        if refusal is not None:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, f"Nothing is exchanged with that domain: {refusal}.")
        until = self.clock.seconds() + self.connectSeconds
        problem: StanzaError | None = None
        for target in await self._targets(remote):
            try:
                places = await self._resolver.places(target)
            except NoService as error:
                problem = problem or StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, sentence(error))
                continue
            for place in places:
                if self.clock.seconds() >= until or self._stopping:
                    break
                try:
                    return await self._open(local, remote, place)
                except StanzaError as error:
                    problem = error
                    log.info(
                        "s2s: no stream: local={local} remote={remote} host={host} address={address} port={port}"
                        " reason={reason}",
                        local=local,
                        remote=remote,
                        host=target.host,
                        address=place.address,
                        port=target.port,
                        reason=str(error),
                    )
        raise problem or StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server can't be reached.")

    async def _targets(self, remote: str) -> list[Target]:
        """Where a domain is."""
        route = self.routes.get(remote)
        if route is not None:
            return [Target(*route)]
        try:
            return await self._resolver.targets(remote)
        except (NoService, ValueError) as error:
            raise StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, sentence(error)) from None

    async def _open(self, local: str, remote: str, place: Place) -> OutgoingStream:
        """
        Connect to a place and open a stream; without TLS if there is none and the policy lets that pass.

        @raise StanzaError: it can't be done.
        """
        endpoint = await self._endpoint(place, remote)
        self._checkReachable(endpoint)
        must = self.requiresTLS(remote) or (endpoint is not None and needsTLS(remote, endpoint))
        try:
            return await self._try(local, remote, place, endpoint, True)
        except NoTLS:
            if must or place.target.direct:
                raise
        return await self._try(local, remote, place, endpoint, False)

    async def _endpoint(self, place: Place, remote: str) -> Endpoint | None:
        """What the DNS says of the certificate at a place; None if the policy has no use for that."""
        wanted = self.policies.of(remote).prooftypes & DANE_PROOFTYPES
        return await self._resolver.endpoint(place) if wanted else None

    def _checkReachable(self, endpoint: Endpoint | None) -> None:
        """
        Whether a place may be connected to.

        @raise StanzaError: the DNS keeps from us what it should say about it (RFC 7673 section 3.3).
        """
        if endpoint is not None and not endpoint.mayConnect and self._resolver.trusted:
            raise StanzaError(
                StanzaCondition.REMOTE_SERVER_NOT_FOUND,
                f"The DNS keeps the TLSA records of the other server from us: {endpoint.problem}.",
            )

    async def _try(self, local: str, remote: str, place: Place, endpoint: Any, tryTLS: bool) -> OutgoingStream:
        self._calls.makeRoom()
        connection = DialledConnection(self._dialled, self, self._peerTLS, local, remote, place, endpoint, tryTLS)
        connection.socketOptions = self.socketOptions
        self._reactor.connectTCP(place.address, place.target.port, Dialling(connection), CONNECT_SECONDS)
        try:
            stream = await connection.ready
        except Exception as problem:
            reason = f"The other server can't be reached: {' '.join(str(problem).split())[:200]}"
            raise StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, reason) from None
        self.streams.add(stream)
        self._calls.streams.add(stream)
        opened = await stream.opened
        self._outgoing.setdefault((local, remote), opened)
        return opened

    # --- what streams say

    def hears(self, stream: ServerStream, local: str, remote: str) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        verdict: Any = stream.heard[remote, local]
        if self.histories is not None and not isCalled(stream, remote):
            self.histories.saw(verdict, True, shownOn(stream))

    def speaks(self, stream: ServerStream, local: str, remote: str) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        self._exchange.connected(local, remote, stream)

    def received(self, stream: ServerStream, stanza: Stanza) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        self._exchange.arrived(stanza)

    def returned(self, stanza: Stanza) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        self._exchange.returned(stanza)

    def resigned(self, stream: ServerStream) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        for pair in [pair for pair, each in self._outgoing.items() if each is stream]:
            del self._outgoing[pair]
        for local, remote in stream.spoken:
            self._exchange.disconnected(local, remote, stream)

    def ended(self, stream: ServerStream) -> None:
        """See L{xmppd.stream.s2s.Premises}."""
        self.streams.discard(stream)
        self._calls.streams.discard(stream)
        self._remember(stream)
        self.resigned(stream)

    def _remember(self, stream: ServerStream) -> None:
        """That a domain was proved on a stream counts from its end, if that is long after its beginning."""
        now = self.clock.seconds()
        if self.histories is None or now - getattr(stream.transport, "since", now) < LONG_SECONDS:
            return
        for remote, verdict in standing(stream).items():
            if verdict.authenticated and expiry(verdict) > now:
                self.histories.saw(verdict, not isCalled(stream, remote))

    # --- time

    def start(self) -> None:
        """Begin to look after silent streams."""
        self._sweep = self.clock.callLater(SWEEP_SECONDS, self._look)

    def _look(self) -> None:
        now = self.clock.seconds()
        for stream in tuple(self.streams):
            silent = now - stream.used
            if silent > SWEEP_SECONDS:
                stream.rest()
            self._renewal.look(stream, now)
            if stream.direction != "out" or not isinstance(stream, OutgoingStream) or not stream.opened.called:
                continue
            patience = self.idleSeconds if stream.spoken else VERIFYING_SECONDS
            if patience and silent > patience and not stream.acks.kept:
                stream.close()
        self.start()

    async def stop(self) -> None:
        """End all streams and wait for the other servers, but not for long."""
        self._stopping = True
        if self._sweep is not None and self._sweep.active():
            self._sweep.cancel()
        for connection in tuple(self.connections):
            connection.stream.close(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        for _ in range(int(DRAIN_SECONDS * 20)):
            if not self.connections:
                break
            later: Deferred[None] = Deferred()
            self.clock.callLater(0.05, later.callback, None)
            await later
        for connection in tuple(self.connections):
            connection.abortConnection()
        self._resolver.stop()
        if self.histories is not None:
            await self.histories.settled()  # the store is about to close


def sentence(error: Exception) -> str:
    """What an exception says, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
