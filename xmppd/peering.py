"""
C{[s2s]}: what the configuration says about other servers. Read by L{xmppd.config}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from xmppd import readers
from xmppd.readers import option

PROOFTYPES = ("pkix", "dane", "posh", "dialback", "dialback-dnssec", "none")
"""How it can be known who another server is; C{xmppd.trust.verdict} says what each is worth."""

DOWNGRADES = ("refuse", "warn")
"""What can become of a domain that proves itself by less than it should."""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """
    C{[s2s.peer."DOMAIN"]}: what is asked of one domain. None: what C{[s2s]} and C{[tls]} ask of all.

    @ivar require: whether there must be TLS.
    @ivar prooftypes: by which of L{PROOFTYPES} it is believed to be that domain.
    """

    require: bool | None = option(readers.flag, None)
    prooftypes: tuple[str, ...] | None = option(readers.choices(*PROOFTYPES), None)


@dataclass(frozen=True, slots=True)
class S2SConfig:
    """
    C{[s2s]}: other servers.

    @ivar enabled: whether stanzas go to other servers though none can connect here; they always do where C{listen.s2s}
        or C{listen.s2s_tls} names something.
    @ivar prooftypes: by which of L{PROOFTYPES} a domain is believed.
    @ivar downgrades: what becomes of a domain that is known by dialback alone where something speaks against that, one
        of L{DOWNGRADES}.
    @ivar downgradeDays: for how many days it counts that a domain was proved by more.
    @ivar allow: with whom there is anything to exchange, domains or C{*.PARENT}; empty: with everybody.
    @ivar deny: with whom there is nothing.
    @ivar peer: what is otherwise for some domains.
    @ivar connect: where some domains are, whatever the DNS says: "HOST:PORT", or "tls:HOST:PORT".
    @ivar resolver: who is asked about names, "ADDRESS" or "ADDRESS:PORT"; without one, the system's.
    @ivar trustResolver: whether its word about DNSSEC is believed though it isn't on loopback.
    @ivar authorities: file of those who vouch for servers' certificates, or None for the system's.
    @ivar poshPrivate: whether POSH documents are fetched from addresses that aren't on the public Internet, too.
    @ivar bidi: whether streams are used in both directions (XEP-0288).
    @ivar idleSeconds: after how much silence a stream that we have opened is closed.
    @ivar connectSeconds: how long stanzas wait for a stream.
    @ivar queueStanzas: how many wait for one pair of domains.
    @ivar queueBytes: how many octets of them.
    @ivar bytesPerSecond: octets another server may send a second in the long run, on one stream.
    @ivar burstBytes: octets it may send at once after a silence.
    @ivar stanzasPerSecond: stanzas it may send a second in the long run, on one stream.
    @ivar burstStanzas: stanzas it may send at once after a silence.
    """

    enabled: bool = option(readers.flag, False)
    prooftypes: tuple[str, ...] = option(readers.choices(*PROOFTYPES), ("pkix", "dane", "posh", "dialback"))
    downgrades: str = option(readers.choice(*DOWNGRADES), "refuse")
    downgradeDays: int = option(readers.number(1), 90)
    allow: tuple[str, ...] = option(readers.patterns, ())
    deny: tuple[str, ...] = option(readers.patterns, ())
    peer: Mapping[str, PeerConfig] = field(default_factory=dict)
    connect: Mapping[str, tuple[str, int, bool]] = option(readers.routes, MappingProxyType({}))
    resolver: tuple[str, int] | None = option(readers.resolver, None)
    trustResolver: bool = option(readers.flag, False)
    authorities: Path | None = option(readers.path, None)
    poshPrivate: bool = option(readers.flag, False)
    bidi: bool = option(readers.flag, True)
    idleSeconds: int = option(readers.number(60, zero="never"), 1800)
    connectSeconds: int = option(readers.number(1), 90)
    queueStanzas: int = option(readers.number(1), 10_000)
    queueBytes: int = option(readers.number(65_536), 4 << 20)
    bytesPerSecond: int = option(readers.number(1, zero="no limit"), 4 << 20)
    burstBytes: int = option(readers.number(1), 8 << 20)
    stanzasPerSecond: int = option(readers.number(1, zero="no limit"), 2000)
    burstStanzas: int = option(readers.number(1), 10_000)
