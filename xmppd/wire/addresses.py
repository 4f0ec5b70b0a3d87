"""
IP addresses as they are counted: one party is one IPv4 address, or one /64 of IPv6.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

REMEMBERED = 10_000
"""For how many addresses the answer is remembered; each connection asks several times."""


@lru_cache(REMEMBERED)
def counted(address: str) -> str:
    """What an address, or a /64, is counted as: itself, or its /64. What is neither stays as it is."""
    ip = _read(address)
    if ip is None:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return ":".join(ip.exploded.split(":")[:4]) + "::/64"
    return str(ip)


def isAddress(text: str) -> bool:
    """Whether a text is an IP address, or a /64 of IPv6."""
    return _read(text) is not None


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address, or the first of a /64; None if it is neither."""
    bare = text.removesuffix("/64")
    try:
        ip = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return ip if bare == text or isinstance(ip, IPv6Address) else None
