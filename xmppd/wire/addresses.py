"""
IP addresses as they are counted: one party is one IPv4 address, or one /64 of IPv6.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

REMEMBERED = 10_000
"""For how many addresses the answer is remembered; each connection asks several times."""


@lru_cache(REMEMBERED)
def counted(address: str) -> str:
    """What an address is counted as: itself, or its /64. What is no address stays as it is."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return ":".join(ip.exploded.split(":")[:4]) + "::/64"
    return str(ip)


def isAddress(text: str) -> bool:
    """Whether a text is an IP address, or a /64 as L{counted} writes it."""
    try:
        ip_address(text.removesuffix("/64").partition("%")[0])
    except ValueError:
        return False
    return True
