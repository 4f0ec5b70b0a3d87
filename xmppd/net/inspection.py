"""
Every stream and what secures it, and the certificates of those at the other ends, for administrators (RFC 7590 section
3.6). See L{IInspection}; C{xmppctl}, ad-hoc commands, metrics and the status page all look through this.

What is told of a stream is a mapping whose keys are documented in C{docs/metrics.rst}. It is made when somebody looks:
nothing here is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nsmallest
from typing import Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import IClock, IInspection, ISession
from xmppd.net.hops import peerFacts
from xmppd.net.peers import Peers
from xmppd.net.tcpinfo import trafficOf
from xmppd.net.websocket import WebSocketConnection
from xmppd.stream.bosh import BoshSession
from xmppd.stream.component import ComponentStream
from xmppd.stream.s2s import ServerStream
from xmppd.trust.certificatefacts import CertificateFacts, factsOf, toPEM
from xmppd.trust.pkix import presentedChain
from xmppd.trust.verdict import Prooftype

PAGE: Final = 200
"""How many streams are put in order at a time."""

KINDS: Final = ("c2s", "websocket", "bosh", "component", "s2s")
"""The kinds of streams."""


def kindOf(connection: Any) -> str:
    """Which kind of stream is on a connection."""
    if isinstance(connection.stream, ServerStream):
        return "s2s"
    if isinstance(connection.stream, ComponentStream):
        return "component"
    if isinstance(connection, BoshSession):
        return "bosh"
    return "websocket" if isinstance(connection, WebSocketConnection) else "c2s"


def componentOf(stream: Any) -> str | None:
    """The domain of the component that has proved to be at the other end, or None."""
    if isinstance(stream, ComponentStream) and stream.established and stream.component is not None:
        return stream.component.domain
    return None


def mechanismOf(stream: Any) -> str | None:
    """By what the other end has logged in: a mechanism of SASL, "dialback", "handshake" (XEP-0114), or None."""
    if isinstance(stream, ComponentStream):
        return "handshake" if stream.established else None
    mechanism: str | None = stream.mechanism
    return mechanism


def proofOf(stream: Any) -> str | None:
    """
    By what it is known who is at the other end, by name; "none" on a stream of another server before anything is known.
    Of clients and components, which log in, None, unless a certificate did it.
    """
    if isinstance(stream, ServerStream):
        verdict: Any = next(iter(stream.heard.values()), stream.verdict)
        return str(Prooftype.NONE if verdict is None else verdict.prooftype)
    return str(Prooftype.PKIX) if mechanismOf(stream) == "EXTERNAL" else None


@lru_cache(maxsize=512)
def factsOrNone(der: bytes) -> CertificateFacts | None:
    """The facts of a certificate; None if it can't be read. Those at the other ends are the same again and again."""
    try:
        return factsOf(der)
    except ValueError:
        return None


def certificateFacts(der: bytes, pem: bool = False) -> dict[str, Any]:
    """
    A certificate as values that JSON can hold; times are in seconds since the epoch.

    @param pem: whether to tell all of it, in PEM.
    """
    text = {"pem": toPEM([der]).decode("ascii")} if pem else {}
    facts = factsOrNone(der)
    if facts is None:
        return {"unreadable": True, **text}
    names = facts.names
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "not_before": facts.notBefore,
        "not_after": facts.notAfter,
        "dns_names": list(names.dnsNames),
        "service_names": list(names.serviceNames),
        "xmpp_addresses": list(names.xmppAddresses),
        "key": facts.key,
        "key_bits": facts.keyBits,
        "signature_hash": facts.signatureHash,
        "sha256": facts.sha256,
        "public_key_sha256": facts.publicKeySHA256,
        "self_issued": facts.selfIssued,
        **text,
    }


@implementer(IInspection)
class Inspection:
    """
    See the module, and L{IInspection}.

    @ivar peers: other servers, or None where there are none.
    """

    def __init__(self, clock: IClock, connections: Iterable[Any], sessions: Mapping[Any, ISession]) -> None:
        """
        @param connections: of clients and components.
        @param sessions: by full JID.
        """
        self.peers: Peers | None = None
        self._clock = clock
        self._clients = connections
        self._sessions = sessions

    # --- finding

    def connections(self) -> list[Any]:
        """All connections, in no order."""
        return [*self._clients, *(self.peers.connections if self.peers is not None else ())]

    def found(
        self, peer: str | None = None, id: str | None = None, host: str | None = None, servers: bool | None = None
    ) -> Iterator[tuple[str, Any]]:
        """
        The connections and the sessions that wait to be resumed that are meant, each with a key that names it.

        @param peer: see L{isWith}.
        @param id: only the stream with that id, or with ids that begin so.
        @param host: only those of that domain of ours.
        @param servers: only those with other servers and components, or only those of clients.
        """
        for each in self.connections():
            stream = each.stream
            if servers is not None and servers is not isinstance(stream, (ServerStream, ComponentStream)):
                continue
            if id is not None and not (id and stream.id.startswith(id)):
                continue
            if (host is None or isOf(each, host)) and (peer is None or isWith(each, peer)):
                yield f"{each.address}:{each.port} {stream.id}", each
        if servers or id is not None:
            return
        for session in tuple(self._sessions.values()):
            if session.stream is None and (host is None or session.host.domain == host):
                if peer is None or isSessions(session, peer):
                    yield f"~{session.full}", session

    def entry(self, key: str, thing: Any, chain: bool = False, pem: bool = False) -> dict[str, Any]:
        """
        What is told of one of L{found}.

        @param chain: whether to tell all certificates that the peer has shown.
        @param pem: whether to tell them in PEM, too.
        """
        now = self._clock.seconds()
        if key.startswith("~"):
            return _hibernating(thing, now)
        entry = self._connection(thing, now)
        if chain or pem:
            entry["chain"] = [certificateFacts(der, pem) for der in chainOf(thing)]
        return entry

    def _connection(self, connection: Any, now: float) -> dict[str, Any]:
        stream = connection.stream
        traffic = trafficOf(connection.transport)
        tls, session = stream.tls, stream.session
        component = componentOf(stream)
        jid = session.full if session is not None else component
        account = getattr(stream, "account", None)
        peer = None if tls is None else tls.peerCertificate
        entry = {
            "id": stream.id,
            "kind": kindOf(connection),
            "direction": "in",
            "address": f"{connection.address}:{connection.port}",
            "jid": jid or (account.jid.bare if account is not None else None),
            "state": "bound" if session is not None else "component" if component is not None else "login",
            "tls": None if tls is None else tls.version,
            "cipher": None if tls is None else tls.cipher,
            "alpn": None if tls is None else tls.alpn,
            "server_name": None if tls is None else tls.serverName,
            "mechanism": mechanismOf(stream),
            "channel_binding": getattr(stream, "channelBinding", None),
            "proof": proofOf(stream),
            "certificate": None if peer is None else certificateFacts(peer),
            "change": None,
            "in": traffic.bytesIn if traffic is not None else stream.bytesIn,
            "out": traffic.bytesOut if traffic is not None else None,
            "age": round(now - connection.since, 1),
            "idle": round(traffic.idle, 1) if traffic is not None else None,
        }
        if isinstance(stream, ServerStream):
            facts = peerFacts(stream)
            return {**entry, **facts, "proof": facts["proof"] or str(Prooftype.NONE), "change": self._change(stream)}
        return entry

    def _change(self, stream: ServerStream) -> dict[str, Any] | None:
        """The last warning about the domain at the other end that nobody has acknowledged."""
        histories = self.peers.histories if self.peers is not None else None
        warned = histories.warned.get(stream.remote) if histories is not None else None
        return None if warned is None else warned.facts()

    # --- for features

    def streams(
        self, host: str, peer: str | None = None, servers: bool | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """See L{IInspection}."""
        after = ""
        while True:
            pairs = (pair for pair in self.found(peer, host=host, servers=servers) if pair[0] > after)
            page = nsmallest(PAGE, pairs, key=lambda pair: pair[0])
            for key, thing in page:
                yield self.entry(key, thing)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def stream(self, host: str, id: str) -> Mapping[str, Any] | None:
        """See L{IInspection}."""
        found = next(self.found(id=id, host=host), None)
        return None if found is None else self.entry(*found, chain=True, pem=True)

    def domains(self) -> Deferred[Sequence[str]]:
        """See L{IInspection}."""

        async def ask() -> Sequence[str]:
            histories = self.peers.histories if self.peers is not None else None
            return () if histories is None else sorted(await histories.domains())

        return Deferred.fromCoroutine(ask())

    def history(self, domain: str) -> Deferred[Mapping[str, Any] | None]:
        """See L{IInspection}."""
        return Deferred.fromCoroutine(self._history(domain))

    async def _history(self, domain: str) -> dict[str, Any] | None:
        histories = self.peers.histories if self.peers is not None else None
        history = await histories.of(domain) if histories is not None else None
        if histories is None or history is None or not history.sightings:
            return None
        facts = history.facts()
        chains = {sha256: await histories.chain(domain, sha256) for sha256 in history.kept}
        for each in facts["sightings"]:
            each["chain"] = [certificateFacts(der, True) for der in chains.get(each["sha256"], ())]
        return {"domain": domain, **facts}

    def acknowledge(self, domain: str, by: str) -> Deferred[int]:
        """See L{IInspection}."""

        async def ask() -> int:
            histories = self.peers.histories if self.peers is not None else None
            return 0 if histories is None else await histories.acknowledge(domain, by)

        return Deferred.fromCoroutine(ask())


def chainOf(connection: Any) -> tuple[bytes, ...]:
    """DER of the certificates that the peer has shown, its own first."""
    layer = getattr(connection, "tlsConnection", None)
    peer = None if connection.stream.tls is None else connection.stream.tls.peerCertificate
    if peer is None or layer is None:
        return ()
    return presentedChain(layer) or (peer,)


def isOf(connection: Any, host: str) -> bool:
    """Whether a connection is about a domain of ours."""
    stream = connection.stream
    if isinstance(stream, ServerStream):
        return stream.local == host or any(local == host for local, _ in pairsOf(stream))
    if isinstance(stream, ComponentStream):
        return (componentOf(stream) or "").endswith("." + host)
    return stream.host is not None and stream.host.domain == host


def isWith(connection: Any, peer: str) -> bool:
    """Whether a domain, an account or a resource is at the other end of a connection."""
    stream = connection.stream
    if isinstance(stream, ServerStream):
        return stream.remote == peer or any(remote == peer for _, remote in pairsOf(stream))
    if isinstance(stream, ComponentStream):
        return componentOf(stream) == peer
    if stream.session is not None:
        return isSessions(stream.session, peer)
    account = stream.account
    return account is not None and peer in (account.jid.bare, account.jid.domain)


def isSessions(session: ISession, peer: str) -> bool:
    """Whether that is a session's full or bare JID, or its domain."""
    return peer in (session.full, session.bare, session.host.domain)


def pairsOf(stream: ServerStream) -> Iterator[tuple[str, str]]:
    """The pairs of a domain of ours and another one that a stream carries stanzas for."""
    yield from ((local, remote) for remote, local in stream.heard)
    yield from stream.spoken


def _hibernating(session: ISession, now: float) -> dict[str, Any]:
    unknown = (
        "id", "kind", "direction", "address", "tls", "cipher", "alpn", "server_name", "mechanism", "channel_binding",
        "proof", "certificate", "change", "in", "out", "idle",
    )
    absent = dict.fromkeys(unknown)
    return {**absent, "jid": session.full, "state": "hibernating", "age": round(now - session.created, 1)}
