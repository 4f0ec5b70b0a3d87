"""
Keys for one more hash, which only the client can make (XEP-0480 section 3).

An account that was brought from elsewhere may have keys for SCRAM-SHA-1 alone. A client that has just proved by them
that it knows the password sends the salted password for another hash, and the account can use the better mechanism
from then on. Who has proved nothing about the password can't add keys, and keys are added beside those that were proved
only: if the password is changed meanwhile, nothing is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from xmppd.ixmppd import IHost, StoredKeys
from xmppd.sasl.credentials import ScramProof
from xmppd.sasl.encoding import decodeElement
from xmppd.sasl.keys import SALT_OCTETS
from xmppd.sasl.steps import malformed
from xmppd.wire import ns
from xmppd.wire.element import Element

UPGRADES: Final[dict[str, str]] = {"UPGR-SCRAM-SHA-256": "sha256", "UPGR-SCRAM-SHA-512": "sha512"}
"""Hashes by the names of their tasks."""


def keysOf(saltedPassword: bytes, hashName: str, salt: bytes, iterations: int) -> StoredKeys:
    """The keys of a salted password (RFC 5802 section 3)."""
    clientKey = hmac.digest(saltedPassword, b"Client Key", hashName)
    serverKey = hmac.digest(saltedPassword, b"Server Key", hashName)
    return StoredKeys(hashName, salt, iterations, hashlib.new(hashName, clientKey).digest(), serverKey)


class Upgrade:
    """
    One task.

    @ivar name: of the task.
    """

    def __init__(self, name: str, bare: str, iterations: int, beside: StoredKeys) -> None:
        """
        @param beside: the keys that were proved.
        """
        self.name = name
        self._hashName = UPGRADES[name]
        self._bare = bare
        self._iterations = iterations
        self._beside = beside
        self._salt = secrets.token_bytes(SALT_OCTETS)

    def question(self) -> bytes:
        """What the client needs to know (section 3)."""
        salt = b64encode(self._salt).decode("ascii")
        return f"<salt xmlns='{ns.SCRAM_UPGRADE}' iterations='{self._iterations}'>{salt}</salt>".encode()

    def answer(self, element: Element) -> StoredKeys:
        """
        The keys that a C{<task-data/>} makes.

        @raise SASLError: it has no salted password.
        """
        found = element.find("hash", ns.SCRAM_UPGRADE)
        salted = b"" if found is None else decodeElement(found.text)
        if len(salted) != hashlib.new(self._hashName).digest_size:
            raise malformed("This is no salted password.")
        return keysOf(salted, self._hashName, self._salt, self._iterations)

    async def settle(self, host: IHost, keys: StoredKeys) -> bool:
        """Store keys; answers whether they could be added. Raises L{StoreUnavailable}."""
        return await host.accounts.addKeys(self._bare, keys, self._beside)


async def upgradesDue(
    host: IHost, wanted: Sequence[str], bare: str, credentials: object, iterations: int
) -> list[Upgrade]:
    """Of the tasks that a client asks for those that have any use. Raises L{StoreUnavailable}."""
    if not isinstance(credentials, ScramProof):
        return []
    due = []
    for name in wanted:
        hashName = UPGRADES.get(name)
        found = None if hashName is None else await host.accounts.keys(bare, hashName)
        if found is not None and found[1] is None:
            due.append(Upgrade(name, bare, iterations, credentials.keys))
    return due
