"""
What the configuration says about other servers, as the values that L{xmppd.net.peers} and L{xmppd.trust} use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from xmppd.config import Configuration, Limits
from xmppd.peering import S2SConfig
from xmppd.readers import snake
from xmppd.trust.certificates import asciiDomain
from xmppd.trust.verdict import WEAK_PROOFTYPES, Downgrades, PeerPolicies, PeerPolicy, Prooftype


def limitsOfServers(config: Configuration) -> Limits:
    """The limits for streams between servers: those of clients, but for the paces."""
    s2s, limits = config.s2s, config.limits
    return dataclasses.replace(
        limits,
        bytesPerSecond=s2s.bytesPerSecond if limits.enabled else 0,
        burstBytes=s2s.burstBytes,
        stanzasPerSecond=s2s.stanzasPerSecond if limits.enabled else 0,
        burstStanzas=s2s.burstStanzas,
    )


STARTING_ONLY = ("enabled", "connect", "resolver", "trustResolver", "authorities", "poshPrivate", "bidi")
"""What a running server can't take over."""


def lasting(wanted: S2SConfig, running: S2SConfig) -> list[str]:
    """The keys whose values differ and can't change without a restart."""
    return [snake(name) for name in STARTING_ONLY if getattr(wanted, name) != getattr(running, name)]


PROOFTYPES: Mapping[str, frozenset[Prooftype]] = {
    "pkix": frozenset({Prooftype.PKIX}),
    "dane": frozenset({Prooftype.DANE_EE, Prooftype.DANE_TA}),
    "posh": frozenset({Prooftype.POSH}),
    "dialback": frozenset({Prooftype.DIALBACK, Prooftype.DIALBACK_DNSSEC}),
    "dialback-dnssec": frozenset({Prooftype.DIALBACK_DNSSEC}),
    "none": frozenset({Prooftype.NONE}),
}
"""What the words of the configuration stand for."""


def policiesOf(config: Configuration) -> PeerPolicies:
    """What is asked of which domain."""
    s2s = config.s2s

    def policy(require: bool | None, prooftypes: Sequence[str] | None) -> PeerPolicy:
        accepted = frozenset[Prooftype]().union(*(PROOFTYPES[each] for each in prooftypes or s2s.prooftypes))
        # Who says of a domain that dialback is enough means it.
        meant = prooftypes is not None and not WEAK_PROOFTYPES.isdisjoint(accepted)
        downgrades = Downgrades.ACCEPT if meant else Downgrades(s2s.downgrades)
        return PeerPolicy(config.tls.requireS2s if require is None else require, accepted, downgrades=downgrades)

    def ascii(patterns: Iterable[str]) -> frozenset[str]:
        return frozenset(asciiDomain(each) for each in patterns)

    return PeerPolicies(
        policy(None, None),
        {asciiDomain(name): policy(each.require, each.prooftypes) for name, each in s2s.peer.items()},
        ascii(s2s.allow) if s2s.allow else None,
        ascii(s2s.deny),
    )
