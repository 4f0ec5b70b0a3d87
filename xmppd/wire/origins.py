"""
Origins of web pages (RFC 6454): whose scripts may talk to the server.

Scripts of any page in somebody's browser can open connections here, and the browser says whose they are. A name of
ours in an origin counts with HTTPS only: a page that came in the clear may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import idna

_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://([^/?#@\s\\:\[\]]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE
)
_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def asciiName(host: str) -> str:
    """
    The name of a host as browsers write it.

    @raise ValueError: there is none.
    """
    host = host.lower()
    if host.isascii():
        return host
    try:
        return idna.encode(host).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(str(error)) from None


def normalised(text: str) -> str:
    """
    An origin as browsers write it: in small letters, without the scheme's own port.

    @raise ValueError: it is none.
    """
    if text == "null":
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValueError(f"`{text}` is no origin")
    scheme, host, port = found[1].lower(), asciiName(found[2]), found[3]
    return f"{scheme}://{host}" + (f":{port}" if port and port != _PORTS.get(scheme) else "")


@dataclass(frozen=True, slots=True)
class Origins:
    """
    Which origins are welcome.

    @ivar everybody: all are.
    @ivar listed: these are.
    @ivar hosts: those with HTTPS at these names are, whatever the port.
    """

    everybody: bool = False
    listed: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, configured: Iterable[str], names: Iterable[str]) -> Origins:
        """
        What the configuration says, or if that is nothing: the server's own names.

        @param configured: origins, or C{*} for all.
        @param names: domains of the server.
        """
        configured = frozenset(configured)
        if configured:
            return cls("*" in configured, frozenset(normalised(each) for each in configured - {"*"}))
        return cls(hosts=frozenset(asciiName(name) for name in names))

    def allow(self, origin: str | None) -> bool:
        """Whether scripts of an origin may; so may whoever names none, which is no browser."""
        if origin is None or self.everybody:
            return True
        try:
            name = normalised(origin)
        except ValueError:
            return False
        if name in self.listed:
            return True
        scheme, _, host = name.partition("://")
        return scheme == "https" and (host in self.hosts or host.rpartition(":")[0] in self.hosts)
