"""
Where a stanza goes, as far as restrictions ask: worked out once for each address as it is written.

Addresses are remembered for all guests of a host, so that a guest who goes on talking to somebody costs no parsing.
What is remembered doesn't depend on who asks, and is bounded.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final, cast

from xmppd.ixmppd import IHost
from xmppd.wire.jid import JIDMalformed, parse

REMEMBERED: Final = 20_000
"""How many addresses are remembered; then all are forgotten."""

LONGEST: Final = 256
"""
Characters of an address that is remembered. Others are worked out each time: they, or what is none, can be so long that
their number alone is no bound.
"""


class Kind(Enum):
    """What an address belongs to."""

    SERVER = auto()
    """One of this server's domains of users."""
    USER = auto()
    """A user of this server, with an account or a guest; whether there is one isn't asked."""
    SERVICE = auto()
    """A service or component of this server, or anything there."""
    REMOTE = auto()
    """Somewhere else."""
    NOWHERE = auto()
    """It is no address; the router answers that."""


class Place:
    """
    What there is to know of an address.

    @ivar full: the address, canonical.
    @ivar bare: without the resource.
    @ivar host: the host of a user, else None.
    @ivar recipient: as whom somebody counts who is written to here; None for the server itself.
    """

    __slots__ = ("bare", "domain", "full", "host", "kind", "recipient")

    def __init__(self, kind: Kind, full: str = "", bare: str = "", domain: str = "", host: IHost | None = None) -> None:
        self.kind = kind
        self.full = full
        self.bare = bare
        self.domain = domain
        self.host = host
        self.recipient: str | None = None
        if kind not in (Kind.SERVER, Kind.NOWHERE):
            self.recipient = full if kind is Kind.SERVICE else bare


class Places:
    """Addresses as seen from one host."""

    def __init__(self, host: IHost) -> None:
        self._destinations: dict[str, Any] = cast(Any, host.router).destinations
        self._known: dict[str, Place] = {}
        self.get = self._known.get

    def of(self, address: str) -> Place:
        """What there is to know of an address; ask C{get} first, which is quicker."""
        found = self._known.get(address)
        if found is None:
            if len(address) > LONGEST:
                return self._find(address)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[address] = self._find(address)
        return found

    def _find(self, address: str) -> Place:
        try:
            jid = parse(address)
        except JIDMalformed:
            return Place(Kind.NOWHERE)
        destination = self._destinations.get(jid.domain)
        if destination is None:
            return Place(Kind.REMOTE, jid.full, jid.bare, jid.domain)
        config = getattr(destination, "config", None)
        if config is None or config.table != "host":
            return Place(Kind.SERVICE, jid.full, jid.bare, jid.domain)
        kind = Kind.SERVER if jid.local is None else Kind.USER
        return Place(kind, jid.full, jid.bare, jid.domain, destination if kind is Kind.USER else None)

    def isRemote(self, address: str) -> bool:
        """Whether an address is at another server."""
        return self.of(address).kind is Kind.REMOTE
