"""
Networks that an administrator lists, and whose address a reverse proxy's word names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

UNIX: Final = "unix"
"""What stands for the peers of UNIX sockets, which have no address."""

HOPS: Final = 20
"""How many reverse proxies are gone through, one behind the other."""


def numeric(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without its zone, and as IPv4 if it is mapped from that; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def isLoopback(text: str) -> bool:
    """Whether an address is one of this machine."""
    address = numeric(text)
    return text == UNIX if address is None else address.is_loopback


@dataclass(frozen=True, slots=True)
class Networks:
    """
    Listed addresses and networks; C{address in networks} asks.

    @ivar networks: of IP.
    @ivar unix: whether the peers of UNIX sockets are among them.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False

    @classmethod
    def of(cls, texts: Iterable[str]) -> Networks:
        """
        From addresses ("127.0.0.1"), networks ("10.0.0.0/8") and the word "unix".

        @raise ValueError: one is none of these.
        """
        texts = tuple(texts)
        return cls(tuple(ip_network(text) for text in texts if text != UNIX), UNIX in texts)

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def __contains__(self, text: str) -> bool:
        if text == UNIX:
            return self.unix
        address = numeric(text)
        return address is not None and any(
            address.version == network.version and address in network for network in self.networks
        )


def toldAddress(peer: str, told: str, proxies: Networks) -> str:
    """
    The client's address: the peer's, or if the peer is a listed proxy the last address in its X-Forwarded-For that is
    no listed proxy. What stands further left anybody may have written.

    @param told: the value of X-Forwarded-For, several joined by commas.
    """
    client = peer
    for hop in reversed(told.split(",")[-HOPS:]):
        if client not in proxies:
            break
        address = numeric(_withoutPort(hop.strip()))
        if address is None:
            break
        client = str(address)
    return client


def _withoutPort(hop: str) -> str:
    """Some proxies tell ports too: C{192.0.2.1:4711}, C{[2001:db8::1]:4711}."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
