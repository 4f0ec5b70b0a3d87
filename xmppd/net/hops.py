"""
What users may know of the hops behind this server (L{IHops}), from what administrators see: the streams with other
servers and their verdicts, and the histories of domains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import IDestination, IHops, IHost, PeerHop, PeerSeen
from xmppd.trust.history import Sighting
from xmppd.trust.verdict import Prooftype

if TYPE_CHECKING:
    from xmppd.net.histories import Histories
    from xmppd.stream.s2s import ServerStream

MOST: Final = 8
"""
How many streams of a pair are told, of those that aren't secured alike; the least secure are told in any case. Whoever
proves to be a domain can open many.
"""


class Streams(Protocol):
    """
    Where the streams are; see L{xmppd.net.peers.Peers}.

    @ivar streams: all with other servers.
    @ivar histories: what domains have shown, or None.
    """

    streams: set[ServerStream]
    histories: Histories | None


def verdictsOf(stream: ServerStream) -> dict[tuple[str, str], Any]:
    """
    The pairs of our and the other's domain of which a stream carries stanzas, in order, each with the verdict on the
    other; None before there is one.
    """
    pairs = sorted({(local, remote) for remote, local in stream.heard} | stream.spoken)
    return {(local, remote): stream.heard.get((remote, local), stream.verdict) for local, remote in pairs}


@implementer(IHops)
class Hops:
    """See L{IHops}."""

    def __init__(self, destinations: Mapping[str, IDestination], peers: Streams | None) -> None:
        """
        @param destinations: everything of this server by its domain.
        @param peers: None if nothing goes to other servers.
        """
        self._destinations = destinations
        self._peers = peers

    def route(self, domain: str) -> str:
        """See L{IHops}."""
        destination = self._destinations.get(domain)
        if destination is None:
            return "remote"
        return "same" if IHost.providedBy(destination) else "component"

    def home(self, domain: str) -> IHost | None:
        """See L{IHops}."""
        destination: Any = self._destinations.get(domain)
        return destination if IHost.providedBy(destination) and destination.config.table == "host" else None

    def live(self, local: str, remote: str) -> Sequence[PeerHop]:
        """See L{IHops}."""
        found: set[PeerHop] = set()
        for stream in self._peers.streams if self._peers is not None else ():
            if (local, remote) in stream.spoken and not stream.retiring:
                found.add(_hop(stream, (local, remote), True))
            if (remote, local) in stream.heard:
                found.add(_hop(stream, (local, remote), False))
        return sorted(found, key=_order)[:MOST]

    def seen(self, remote: str) -> Deferred[Sequence[PeerSeen]]:
        """See L{IHops}."""
        return Deferred.fromCoroutine(self._seen(remote))

    async def _seen(self, remote: str) -> Sequence[PeerSeen]:
        histories = self._peers.histories if self._peers is not None else None
        if histories is None:
            return ()
        latest: dict[bool, Sighting] = {}
        for sighting in (await histories.of(remote)).sightings:
            known = latest.get(sighting.incoming)
            if known is None or known.lastSeen < sighting.lastSeen:
                latest[sighting.incoming] = sighting
        return [_shown(latest[incoming]) for incoming in sorted(latest)]


def _hop(stream: ServerStream, pair: tuple[str, str], outgoing: bool) -> PeerHop:
    verdict, tls = verdictsOf(stream)[pair], stream.tls
    return PeerHop(
        outgoing,
        None if tls is None else tls.version,
        None if tls is None else tls.cipher,
        str(verdict.prooftype if verdict is not None else Prooftype.NONE),
        verdict is not None and verdict.authenticated,
        stream.mechanism,
        stream.bidi,
        getattr(verdict, "until", None),
    )


def _order(hop: PeerHop) -> tuple[bool, bool, int, str]:
    """Plaintext first, then what is weakly proved."""
    return hop.version is not None, hop.authenticated, Prooftype(hop.prooftype).strength, repr(hop)


def _shown(sighting: Sighting) -> PeerSeen:
    prooftype = sighting.prooftype
    return PeerSeen(
        not sighting.incoming, str(prooftype), prooftype.byCertificate, sighting.sha256, sighting.authority,
        sighting.lastSeen,
    )


def peerFacts(stream: ServerStream) -> dict[str, Any]:
    """What there is to be said to people about a stream between servers."""
    proofs = verdictsOf(stream)
    verdict: Any = next((each for each in proofs.values() if each is not None), stream.verdict)
    arrow = {(True, False): "<", (False, True): ">", (True, True): "<>"}.get(
        (bool(stream.heard), bool(stream.spoken)), "<" if stream.direction == "in" else ">"
    )
    return {
        "jid": f"{stream.local} {arrow} {stream.remote or '?'}",
        "state": "server" if proofs else "login" if stream.direction == "in" or not stream.verdict else "verifying",
        "direction": stream.direction,
        "bidi": stream.bidi,
        "proof": str(verdict.prooftype) if verdict is not None else None,
        "verdict": verdict.explain().splitlines() if verdict is not None else [],
        "pairs": [
            {
                "local": local,
                "remote": remote,
                "in": (remote, local) in stream.heard,
                "out": (local, remote) in stream.spoken,
                "proof": str(proofs[local, remote].prooftype) if proofs[local, remote] is not None else None,
            }
            for local, remote in proofs
        ],
    }
