"""Tests of L{xmppd.net.hops}: what users are told of streams and histories that administrators see."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import DOMAIN, ServerCase
from xmppd.ixmppd import IHops, PeerHop, TLSFacts
from xmppd.net.histories import KIND, OWNER, Histories, History
from xmppd.net.hops import MOST, Hops, verdictsOf
from xmppd.store.memory import MemoryStore
from xmppd.trust.history import Sighting
from xmppd.trust.verdict import PeerPolicy, Prooftype, decide, held

PEER = "example.net"
TLS = TLSFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")
OPEN = PeerPolicy(requireEncryption=False)


def verdict(prooftype: Prooftype, tls: TLSFacts | None = TLS, until: float | None = None) -> Any:
    """What is made of a proof."""
    return decide(PEER, [held(prooftype, "it is", until=until)], OPEN, tls)


def stream(judged: Any, *, heard: bool = False, spoken: bool = False, local: str = DOMAIN, **more: Any) -> Any:
    """A stream of one pair."""
    facts = {
        "heard": {(PEER, local): judged} if heard else {},
        "spoken": {(local, PEER)} if spoken else set(),
        "verdict": judged, "tls": judged.tls, "mechanism": "EXTERNAL", "bidi": heard and spoken,
        "retiring": False,
    }
    return SimpleNamespace(**{**facts, **more})


@spec("mission", "T14")
class LiveTests(SynchronousTestCase):
    """Streams."""

    def live(self, *streams: Any) -> list[PeerHop]:
        """What is told of a pair."""
        peers: Any = SimpleNamespace(streams=list(streams), histories=None)
        return list(Hops({}, peers).live(DOMAIN, PEER))

    @spec("mission", "T11")
    def test_directions(self) -> None:
        """A stream for each direction, or one for both."""
        out, back = verdict(Prooftype.PKIX), verdict(Prooftype.DIALBACK)
        self.assertEqual(self.live(stream(out, spoken=True), stream(back, heard=True, mechanism="dialback")), [
            PeerHop(False, "TLSv1.3", TLS.cipher, "dialback", False, "dialback"),
            PeerHop(True, "TLSv1.3", TLS.cipher, "PKIX", True, "EXTERNAL"),
        ])
        both = self.live(stream(out, heard=True, spoken=True))
        self.assertEqual({each.outgoing for each in both}, {True, False})
        self.assertTrue(all(each.bidi and each.prooftype == "PKIX" for each in both))

    def test_others(self) -> None:
        """Streams of other pairs, and those that carry nothing, are none of the user's business."""
        judged = verdict(Prooftype.PKIX)
        self.assertEqual(self.live(stream(judged), stream(judged, heard=True, spoken=True, local="rooms.example.org")), [])

    def test_retiring(self) -> None:
        """On a stream that makes way for another nothing goes out any more; something may still come."""
        found = self.live(stream(verdict(Prooftype.PKIX), heard=True, spoken=True, retiring=True))
        self.assertEqual([each.outgoing for each in found], [False])

    def test_plaintext(self) -> None:
        """What isn't encrypted comes first."""
        plain, good = verdict(Prooftype.DIALBACK, None), verdict(Prooftype.DANE_EE, until=5.0)
        found = self.live(stream(good, spoken=True), stream(plain, heard=True))
        self.assertEqual([each.version for each in found], [None, "TLSv1.3"])
        self.assertEqual((found[0].cipher, found[1].until), (None, 5.0))

    def test_bounded(self) -> None:
        """Streams that are secured alike are told once; of the others the least secure."""
        judged = verdict(Prooftype.POSH)
        self.assertEqual(len(self.live(*(stream(judged, heard=True) for _ in range(50)))), 1)
        many = [verdict(Prooftype.POSH, until=float(index)) for index in range(50)]
        weak = verdict(Prooftype.NONE, None)
        found = self.live(*(stream(each, heard=True) for each in many), stream(weak, heard=True))
        self.assertEqual((len(found), found[0].version), (MOST, None))

    def test_unproved(self) -> None:
        """A stream that carries something before anything is known, if there were one, would be shown as worthless."""
        odd = stream(verdict(Prooftype.PKIX), spoken=True)
        odd.verdict = None
        (found,) = self.live(odd)
        self.assertEqual((found.prooftype, found.authenticated, found.until), ("none", False, None))

    def test_alone(self) -> None:
        """Without other servers there is nothing."""
        hops = Hops({}, None)
        self.assertEqual(list(hops.live(DOMAIN, PEER)), [])
        self.assertEqual(self.successResultOf(hops.seen(PEER)), ())

    def test_verdicts(self) -> None:
        """What xmppctl shows comes from the same place."""
        judged = verdict(Prooftype.PKIX)
        self.assertEqual(verdictsOf(stream(judged, heard=True, spoken=True)), {(DOMAIN, PEER): judged})


@spec("mission", "T12", "T14")
class SeenTests(SynchronousTestCase):
    """Histories."""

    def test_latest(self) -> None:
        """Of each direction the latest."""
        store = MemoryStore()
        histories = Histories(store, Clock(), {})

        def sighting(incoming: bool, sha256: str, last: float, prooftype: Prooftype = Prooftype.PKIX) -> Sighting:
            return Sighting(incoming, sha256, "key", "Encrypt Us", 0.0, 9.0, prooftype, 1.0, last)

        history = History((
            sighting(False, "aa", 5.0), sighting(False, "bb", 7.0), sighting(True, "", 6.0, Prooftype.DIALBACK),
        ))
        store.facts.put(OWNER, KIND, PEER, json.dumps(history.facts()).encode())
        peers: Any = SimpleNamespace(streams=(), histories=histories)
        seen = self.successResultOf(Hops({}, peers).seen(PEER))
        self.assertEqual([(each.outgoing, each.sha256, each.prooftype, each.last) for each in seen], [
            (True, "bb", "PKIX", 7.0), (False, "", "dialback", 6.0),
        ])
        self.assertEqual([each.authenticated for each in seen], [True, False])
        self.assertEqual(self.successResultOf(Hops({}, peers).seen("other.example")), [])


class RouteTests(ServerCase):
    """Where domains are."""

    def test_routes(self) -> None:
        """Users, services, components, everything else."""
        more = '[rooms."rooms.example.org"]\n[component."gate.example.org"]\nsecret = "0123456789abcdef"'
        server = self.serve(more=more, listen='component = ["tcp:5347"]')
        hops: Any = server.host.hops
        verifyObject(IHops, hops)
        domains = (DOMAIN, "rooms.example.org", "gate.example.org", PEER)
        self.assertEqual([hops.route(each) for each in domains], ["same", "same", "component", "remote"])
        self.assertEqual([hops.home(each) for each in domains], [server.host, None, None, None])
