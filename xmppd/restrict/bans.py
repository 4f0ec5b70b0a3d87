"""
Addresses from which no guest may come for a while. None of them is known: what is kept is a hash of the address (IPv6:
of its /64) with a secret of the host, and of the guest who was banned.

All bans are in memory, since every login of a guest asks; they are facts of the domain in the store and hold over
restarts. They end by themselves.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import Ban, IHost, StoreUnavailable
from xmppd.wire.addresses import counted, isAddress
from xmppd.wire.errors import StanzaCondition, StanzaError

log = Logger(namespace="xmppd.guests")

KIND: Final = "guest-ban"
SALT: Final = "guest-ban-salt"

MOST: Final = 10_000
"""How many bans there may be."""

LONGEST_REASON: Final = 500
"""Characters of a reason that are kept."""

ID_LENGTH: Final = 32
"""Hexadecimal digits of a hash that are kept: 128 bits."""


class Bans:
    """The bans of one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._bans: dict[str, Ban] = {}
        self._secret = b""

    async def load(self) -> None:
        """
        Read them; to be awaited before anybody may log in.

        @raise StoreUnavailable: they can't be read.
        """
        facts, domain = self._host.facts, self._host.domain
        fresh = self._host.entropy.token(32).encode()
        if await facts.putNew(domain, SALT, "", fresh):
            self._secret = fresh
        else:
            self._secret = await facts.get(domain, SALT, "") or b""
        for id, value in (await facts.all(domain, KIND)).items():
            self._bans[id] = _fromBytes(id, value)
        self._forget()

    def holding(self, address: str) -> Ban | None:
        """The ban of an address, or None. Per login; costs nothing while there are none."""
        if not self._bans:
            return None
        ban = self._bans.get(self.idOf(address))
        return ban if ban is not None and ban.expires > self._host.clock.seconds() else None

    def idOf(self, address: str) -> str:
        """What stands for an address."""
        return hmac.new(self._secret, counted(address).encode(), sha256).hexdigest()[:ID_LENGTH]

    def all(self) -> Sequence[Ban]:
        """Those that hold, the one that ends first first."""
        self._forget()
        return sorted(self._bans.values(), key=lambda ban: ban.expires)

    async def add(
        self, address: str, seconds: float, by: str, guest: str, reason: str, moderating: bool = False
    ) -> Ban:
        """
        Ban an address; a ban that is there is replaced. Holds when this returns, and over a restart.

        @param moderating: a moderator bans, not an administrator: half of the bans are kept for those.
        @raise StanzaError: resource-constraint: there are too many.
        @raise StoreUnavailable: it could not be kept; it holds nevertheless until a restart.
        """
        self._forget()
        now = self._host.clock.seconds()
        ban = Ban(self.idOf(address), now, now + seconds, by, guest, reason[:LONGEST_REASON])
        if len(self._bans) >= (MOST // 2 if moderating else MOST) and ban.id not in self._bans:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "There are too many bans.")
        self._bans[ban.id] = ban
        await self._host.facts.put(self._host.domain, KIND, ban.id, _toBytes(ban))
        return ban

    async def remove(self, id: str) -> bool:
        """End a ban, by its id or by the address; answers whether there was one."""
        if isAddress(id):
            id = self.idOf(id)
        if id not in self._bans:
            return False
        await self._host.facts.delete(self._host.domain, KIND, id)
        self._bans.pop(id, None)
        return True

    def _forget(self) -> None:
        """Bans that are over leave, the store too."""
        now = self._host.clock.seconds()
        for ban in [ban for ban in self._bans.values() if ban.expires <= now]:
            del self._bans[ban.id]
            self._host.facts.delete(self._host.domain, KIND, ban.id).addErrback(_notDeleted)


def _notDeleted(failure: Failure) -> None:
    """It will be tried again: at the latest after the next start."""
    if failure.check(StoreUnavailable) is None:
        log.failure("a ban that is over could not be deleted", failure)


def _toBytes(ban: Ban) -> bytes:
    values = {"since": ban.since, "expires": ban.expires, "by": ban.by, "guest": ban.guest, "reason": ban.reason}
    return json.dumps(values).encode()


def _fromBytes(id: str, value: bytes) -> Ban:
    values: Any = json.loads(value)
    return Ban(id, values["since"], values["expires"], values["by"], values["guest"], values["reason"])
