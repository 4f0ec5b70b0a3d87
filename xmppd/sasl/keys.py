"""
SCRAM keys: the only form in which the server knows a password (RFC 5802 section 3).

Passwords are prepared with the OpaqueString profile (RFC 8265 section 4), which replaces the SASLprep that RFC 5802
names; for ASCII they agree. Deriving takes milliseconds on purpose: call L{deriveKeys} and L{checkPassword} in a
thread.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

import precis_i18n

from xmppd.ixmppd import StoredKeys

ScramKeys = StoredKeys
"""The keys of one account for one hash: C{hashName}, C{salt}, C{iterations}, C{storedKey}, C{serverKey}."""

HASH_NAMES: Final = ("sha1", "sha256", "sha512")
"""The hashes of the mechanisms we speak, weakest first, as L{hashlib} names them."""

SALT_OCTETS: Final = 16
"""Length of a salt, of real and of made-up users alike."""

MIN_ITERATIONS: Final = 4096
"""What RFC 5802 section 5.1 and RFC 7677 section 4 want at least. What is configured by default is more."""

MAX_PASSWORD: Final = 1024
"""The most octets of a password. Checked before normalisation, whose time may grow with the square of the length."""

_opaqueString = precis_i18n.get_profile("OpaqueString")


class UnusablePassword(ValueError):
    """A password that can't be prepared. Neither the message nor the cause quotes it."""


def preparePassword(password: str) -> bytes:
    """
    What of a password is hashed: OpaqueString (RFC 8265 section 4.2), in UTF-8.

    @raise UnusablePassword: if it is empty, too long, or has characters that no password may have.
    """
    if not password:
        raise UnusablePassword("the password is empty")
    if len(password) > MAX_PASSWORD:
        raise UnusablePassword(f"the password is longer than {MAX_PASSWORD} octets")
    if password.isascii() and password.isprintable():
        return password.encode("ascii")
    try:
        prepared: bytes = _opaqueString.enforce(password).encode("utf-8")
    except UnicodeError:
        # The UnicodeError holds the password.
        raise UnusablePassword("the password has control characters, or others that passwords may not have") from None
    if len(prepared) > MAX_PASSWORD:
        raise UnusablePassword(f"the password is longer than {MAX_PASSWORD} octets")
    return prepared


def deriveKeys(password: str, hashName: str, salt: bytes | None = None, iterations: int = 10000) -> StoredKeys:
    """
    The keys for a password. Takes about 2 ms for each 10,000 iterations.

    @param salt: by default a new one from the system's source of randomness.
    @raise UnusablePassword: if the password can't be prepared.
    @raise ValueError: for an unknown hash, an empty salt, or fewer than L{MIN_ITERATIONS} iterations.
    """
    _digestSize(hashName)
    if iterations < MIN_ITERATIONS:
        raise ValueError(f"{iterations} iterations are fewer than {MIN_ITERATIONS}")
    if salt is None:
        salt = secrets.token_bytes(SALT_OCTETS)
    if not salt:
        raise ValueError("the salt is empty")
    salted = hashlib.pbkdf2_hmac(hashName, preparePassword(password), salt, iterations)
    clientKey = hmac.digest(salted, b"Client Key", hashName)
    serverKey = hmac.digest(salted, b"Server Key", hashName)
    return StoredKeys(hashName, salt, iterations, hashlib.new(hashName, clientKey).digest(), serverKey)


def fakeKeys(secret: bytes, username: str, hashName: str, iterations: int = 10000, era: int = 0) -> StoredKeys:
    """
    Keys for somebody who doesn't exist, so that a client can't tell (RFC 5802 section 9, RFC 6120 section 13.11).

    They look like anybody's and stay the same as long as the secret does. No proof verifies against them: the stored
    key is one octet longer than any digest.

    @param secret: random octets that only this server knows, kept across restarts.
    @param username: as prepared for the lookup of real users; else spelling variants would tell.
    @param iterations: as many as somebody's account might have.
    @param era: another number makes other keys, as another password would.
    @raise ValueError: for an unknown hash or a secret that is too short.
    """
    size = _digestSize(hashName)
    if len(secret) < 16:
        raise ValueError("the secret has fewer than 16 octets")

    def part(label: str) -> bytes:
        text = f"{label}{era or ''}\0{hashName}\0{username}"
        return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha512")

    return StoredKeys(
        hashName, part("salt")[:SALT_OCTETS], iterations, (part("stored") + b"\0")[: size + 1], part("server")[:size]
    )


def checkPassword(keys: StoredKeys, password: str) -> bool:
    """
    Whether keys were derived from a password; compared in constant time. Takes as long as L{deriveKeys}.

    A password that can't be prepared is a wrong one.
    """
    try:
        derived = deriveKeys(password, keys.hashName, keys.salt, keys.iterations)
    except UnusablePassword:
        return False
    return hmac.compare_digest(derived.storedKey, keys.storedKey)


def _digestSize(hashName: str) -> int:
    """Octets of a digest, of the hashes we speak."""
    if hashName not in HASH_NAMES:
        raise ValueError(f"unknown hash {hashName!r}")
    return hashlib.new(hashName).digest_size
