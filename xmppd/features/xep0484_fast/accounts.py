"""
The tokens of accounts.

Theory of operation: checking a proof takes the token itself, so that a hash of it, as with passwords, would not do.
What the database keeps is a random text instead; the token is an HMAC of it with a key that stands in a file beside
the database and not in it. Who reads the database, or a copy of it, has no token. Into the HMAC goes what the token is
for, too: account, client, mechanism, and a fingerprint of the account's keys. So a token is good for nothing else, and
all tokens of an account end in the moment in which its password changes, whatever happens to the facts they are kept
as. Those are facts of the account, by client: who forgets an account forgets them.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from twisted.logger import Logger

from xmppd.features.xep0484_fast.slots import Match, Slots, Token
from xmppd.ixmppd import AccountRecord, IHost, StoredKeys, StoreUnavailable
from xmppd.wire.errors import SASLCondition, SASLError

log = Logger(namespace="xmppd.fast")

KIND: Final = "fast-token"
"""The kind of facts that tokens are."""

KEY_OCTETS: Final = 32

HASHES: Final = ("sha256", "sha512", "sha1")
"""Which of an account's keys the fingerprint is of: the first that it has."""


def readKey(folder: Path | None) -> bytes:
    """
    The key of a domain, made if there is none yet; readable for nobody else. Without a folder, or if it can't be
    written, one that lasts as long as the process.
    """
    fresh = secrets.token_bytes(KEY_OCTETS)
    if folder is None:
        return fresh
    path = folder / "fast.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(fresh)
            return fresh
        except FileExistsError:
            kept = path.read_bytes()
    except OSError as error:
        log.warn("{path} can't be used: tokens will not outlive this process: {error}", path=path, error=error)
        return fresh
    if len(kept) != KEY_OCTETS:
        log.warn("{path} is no key: tokens will not outlive this process; remove it", path=path)
        return fresh
    return kept


def nameOf(agent: str) -> str:
    """The key of a client's fact: its id is nobody's business, not even that of who reads the database."""
    return sha256(agent.encode()).hexdigest()[:32]


class AccountTokens:
    """The tokens of one host's accounts."""

    def __init__(self, host: IHost, key: bytes, most: int) -> None:
        """
        @param most: how many clients of an account may have tokens.
        """
        self._host = host
        self._key = key
        self._most = most

    # --- making

    def tokenOf(self, bare: str, agent: str, fingerprint: str, token: Token) -> bytes:
        """The token that stands for what is kept, as the client has it."""
        parts = (bare, nameOf(agent), fingerprint, token.mechanism, token.secret)
        digest = hmac.digest(self._key, "\0".join(parts).encode(), "sha256")
        return b"fast-" + urlsafe_b64encode(digest).rstrip(b"=")

    async def fingerprint(self, bare: str) -> tuple[AccountRecord | None, str]:
        """The account, and what changes with its password."""
        record: AccountRecord | None = None
        for hashName in HASHES:
            found = await self._host.accounts.keys(bare, hashName)
            if found is None:
                return None, ""
            record, keys = found
            if keys is not None:
                return record, _digest(keys)
        return record, ""

    # --- checking

    async def verify(self, bare: str, agent: str, mechanism: str, proves: Any) -> Match:
        """The token a client has shown. Raises L{SASLError}, L{StoreUnavailable}."""
        record, fingerprint = await self.fingerprint(bare)
        slots = await self.read(bare, agent)

        def isProved(token: Token) -> bool:
            proved: bool = proves(self.tokenOf(bare, agent, fingerprint, token))
            return proved

        found = slots.matching(mechanism, isProved)
        if found is None or record is None:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        if found.expires <= self._host.clock.seconds():
            raise SASLError(SASLCondition.CREDENTIALS_EXPIRED)
        if record.disabled:
            raise SASLError(SASLCondition.ACCOUNT_DISABLED)
        return Match(False, slots, found)

    # --- keeping

    async def read(self, bare: str, agent: str) -> Slots:
        """The tokens of a client."""
        kept = await self._host.facts.get(bare, KIND, nameOf(agent))
        return Slots() if kept is None else _fromBytes(kept)

    async def write(self, bare: str, agent: str, slots: Slots) -> None:
        """Keep the tokens of a client."""
        if slots.new is None and slots.current is None:
            await self._host.facts.delete(bare, KIND, nameOf(agent))
        else:
            await self._host.facts.put(bare, KIND, nameOf(agent), _toBytes(slots))

    async def makeRoom(self, bare: str, agent: str) -> None:
        """A client is about to get its first token: forget those that are of no use, and the oldest of too many."""
        facts = await self._host.facts.all(bare, KIND)
        others = sorted((_fromBytes(kept).expires, name) for name, kept in facts.items() if name != nameOf(agent))
        now = self._host.clock.seconds()
        for index, (expires, name) in enumerate(others):
            if expires <= now or len(others) - index >= self._most:
                await self._host.facts.delete(bare, KIND, name)

    async def forget(self, bare: str) -> None:
        """The password has changed: what is kept is of no use any more."""
        try:
            await self._host.facts.replaceAll(bare, KIND, {})
        except StoreUnavailable:
            log.warn("useless tokens of {bare} are still kept", bare=bare)


def _digest(keys: StoredKeys) -> str:
    return sha256(b"\0".join((keys.hashName.encode(), keys.salt, keys.storedKey))).hexdigest()


def _toBytes(slots: Slots) -> bytes:
    def values(token: Token | None) -> list[Any] | None:
        return None if token is None else [token.mechanism, token.secret, token.issued, token.expires]

    return json.dumps({"new": values(slots.new), "current": values(slots.current)}).encode()


def _fromBytes(kept: bytes) -> Slots:
    """What was kept; nothing if it can't be read."""
    try:
        document = json.loads(kept)
        new, current = (None if document[name] is None else Token(*document[name]) for name in ("new", "current"))
        return Slots(new, current)
    except (ValueError, KeyError, TypeError):
        log.error("a token that is kept can't be read")
        return Slots()
