"""
What a mechanism has learnt about a client, in the form that L{twisted.cred} takes.

The interface says how the claim can be checked. The C{authzid} is always as the client sent it, or None: whether this
user may act under that name is the checker's decision (RFC 6120 section 6.3.8). No C{repr} shows a secret, since these
objects end up in log lines.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from twisted.cred.credentials import ICredentials
from zope.interface import Attribute, implementer

from xmppd.ixmppd import StoredKeys


class IScramProof(ICredentials):
    """A client's proof that it knows the password behind some keys (RFC 5802 section 3)."""

    username: str = Attribute("The authentication identity as sent, decoded, not prepared.")
    authzid: str | None = Attribute("The authorization identity asked for, or None.")
    keys: StoredKeys = Attribute("The keys that the proof is about; made up, if there is no such user.")

    def proves() -> bool:
        """Whether the proof fits the keys; compared in constant time."""


class IPlainPassword(ICredentials):
    """A user's name and password (RFC 4616)."""

    username: str = Attribute("The authentication identity as sent, not prepared.")
    authzid: str | None = Attribute("The authorization identity asked for, or None.")
    password: str = Attribute("The password as sent, not prepared. See L{xmppd.sasl.keys.checkPassword}.")


class IAnonymousTrace(ICredentials):
    """A guest (RFC 4505)."""

    trace: str | None = Attribute(
        "What the guest says to be traced by, or None. For the audit log, escaped, and for nothing else."
    )


class IExternalIdentity(ICredentials):
    """Somebody whose identity something else has established: here, the certificate of the TLS client."""

    authzid: str | None = Attribute("The authorization identity asked for, or None for what the certificate says.")
    certified: tuple[str, ...] = Attribute("The addresses in the verified certificate, as texts.")


class IHashedToken(ICredentials):
    """A client's proof that it has a token (draft-schmaus-kitten-sasl-ht-09 section 3)."""

    username: str = Attribute("The authentication identity as sent, not prepared.")
    mechanism: str = Attribute("The mechanism's name: tokens are for one mechanism only.")
    agent: str = Attribute("The client that the token was given to (XEP-0388 section 2.3); set by the stream.")
    match: Any = Attribute("What L{xmppd.ixmppd.ITokens.verify} has answered; set by the checker.")

    def proves(token: bytes) -> bool:
        """Whether it is a proof of this token; compared in constant time. It is remembered if so."""


@implementer(IScramProof)
@dataclass(frozen=True, slots=True)
class ScramProof:
    """
    The proof in a client-final-message.

    @ivar authMessage: what both sides sign (RFC 5802 section 3).
    @ivar proof: ClientKey XOR ClientSignature, as long as a digest.
    """

    username: str
    authzid: str | None
    keys: StoredKeys = field(repr=False)
    authMessage: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    def proves(self) -> bool:
        """Whether the hash of the ClientKey recovered from the proof is the StoredKey."""
        hashName = self.keys.hashName
        signature = hmac.digest(self.keys.storedKey, self.authMessage, hashName)
        if len(self.proof) != len(signature):
            return False
        xored = int.from_bytes(signature, "big") ^ int.from_bytes(self.proof, "big")
        clientKey = xored.to_bytes(len(signature), "big")
        return hmac.compare_digest(hashlib.new(hashName, clientKey).digest(), self.keys.storedKey)


@implementer(IPlainPassword)
@dataclass(frozen=True, slots=True)
class PlainPassword:
    """What a PLAIN message says."""

    username: str
    authzid: str | None
    password: str = field(repr=False)


@implementer(IAnonymousTrace)
@dataclass(frozen=True, slots=True)
class AnonymousTrace:
    """What an ANONYMOUS message says. The trace may be somebody's address: not for every log line."""

    trace: str | None = field(repr=False)


@implementer(IExternalIdentity)
@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """What an EXTERNAL message says; the stream adds what it knows of the client's certificate."""

    authzid: str | None
    certified: tuple[str, ...] = ()


@implementer(IHashedToken)
@dataclass(slots=True, eq=False)
class HashedToken:
    """
    What an HT message says.

    @ivar binding: the channel binding data that goes into the proof; empty without channel binding.
    @ivar proof: the HMAC.
    @ivar answer: what proves to the client that the server knows the token, once it is found.
    """

    username: str
    mechanism: str
    binding: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    agent: str = ""
    match: Any = field(default=None, repr=False)
    answer: bytes = field(default=b"", repr=False)

    def proves(self, token: bytes) -> bool:
        """See L{IHashedToken}."""
        if not hmac.compare_digest(hmac.digest(token, b"Initiator" + self.binding, "sha256"), self.proof):
            return False
        self.answer = hmac.digest(token, b"Responder" + self.binding, "sha256")
        return True
