"""
SASL SCRAM with SHA-1, SHA-256 and SHA-512, with and without channel binding (RFC 5802, RFC 7677), and the hash that
protects the mechanism list against downgrades (XEP-0474 version 0.5.0).

Theory of operation
===================

::

    C: n,,n=user,r=cnonce              client-first: GS2 header, then the "bare" part
    S: r=cnonce snonce,s=salt,i=10000  server-first, after a Lookup of the user's keys
    C: c=biws,r=cnonce snonce,p=proof  client-final
    S: v=signature                     server-final, with the success

The proof and the signature cover all of it but the GS2 header, and C{c=} repeats that, followed by the channel binding
data. The messages are used as received in the calculation. A failure is answered by the SASL profile alone, without a
server-final message (RFC 5802 section 5.1, attribute "e").
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xmppd.ixmppd import StoredKeys
from xmppd.sasl.credentials import ScramProof
from xmppd.sasl.encoding import strictBase64
from xmppd.sasl.keys import ScramKeys, UnusablePassword, checkPassword, deriveKeys, fakeKeys
from xmppd.sasl.steps import Challenge, Lookup, Mechanism, Stage, Verify, malformed, readText
from xmppd.wire.errors import SASLCondition, SASLError

__all__ = [
    "BINDINGS",
    "HASHES",
    "ScramKeys",
    "ScramMechanism",
    "UnusablePassword",
    "checkPassword",
    "deriveKeys",
    "downgradeHash",
    "fakeKeys",
    "mechanismName",
]

HASHES: Final[dict[str, str]] = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
"""How the name of a mechanism writes a hash, weakest first."""

BINDINGS: Final = ("tls-exporter", "tls-server-end-point", "tls-unique")
"""The channel binding types we know (RFC 9266, RFC 5929)."""

_GS2 = re.compile(r"(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,\0]+))?,")
_BARE = re.compile(r"n=(?P<username>[^,\0]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,(?P<rest>.+))?", re.DOTALL)
_FINAL = re.compile(r"c=(?P<binding>[^,\0]+),r=(?P<nonce>[^,\0]+)(?:,(?P<rest>.+))?,p=(?P<proof>[^,\0]+)", re.DOTALL)
_EXTENSION = re.compile(r"[A-Za-z]=[^,\0]+")
_DEFINED = frozenset("amnrcsipve")


def mechanismName(hashName: str, plus: bool) -> str:
    """The registered name, as in C{SCRAM-SHA-256-PLUS} (RFC 5802 section 4). Raises L{KeyError}."""
    return f"SCRAM-{HASHES[hashName]}" + ("-PLUS" if plus else "")


def downgradeHash(mechanisms: Iterable[str], channelBindings: Iterable[str], hashName: str) -> bytes:
    """
    The value of the attribute C{h} (XEP-0474 section 6.1): what the server has advertised, hashed and in base64.

    @param mechanisms: every mechanism of the SASL profile in use, as advertised on this stream.
    @param channelBindings: the types advertised by XEP-0440; none if that wasn't advertised.
    """
    parts = [_sorted(mechanisms)]
    bindings = _sorted(channelBindings)
    if bindings:
        parts.append(bindings)
    return b64encode(hashlib.new(hashName, b"\x1f".join(parts)).digest())


def _sorted(names: Iterable[str]) -> bytes:
    """Names in C{i;octet} order, joined as XEP-0474 wants."""
    return b"\x1e".join(sorted(name.encode("utf-8") for name in names))


def newNonce() -> str:
    """The server's part of the nonce: 144 random bits."""
    return secrets.token_urlsafe(18)


def unescape(name: str) -> str:
    """
    Decode a C{saslname} (RFC 5802 section 5.1, attribute "n").

    @raise SASLError: for a C{=} that doesn't start C{=2C} or C{=3D}.
    """
    if "=" not in name:
        return name
    head, *rest = name.split("=")
    if not all(part.startswith(("2C", "3D")) for part in rest):
        raise malformed("In a name, = is written =3D and a comma =2C.")
    return head + "".join(("," if part.startswith("2C") else "=") + part[2:] for part in rest)


def checkExtensions(text: str | None) -> None:
    """
    Read the extensions at the end of a message: unknown ones are ignored, if they look like attributes at all
    (RFC 5802 section 5.1). An C{m} must be refused; the other defined attributes have places of their own.

    @raise SASLError: C{malformed-request}.
    """
    for attribute in text.split(",") if text else ():
        if not _EXTENSION.fullmatch(attribute):
            raise malformed("This is not an attribute.")
        refuseMandatory(attribute)
        if attribute[0] in _DEFINED:
            raise malformed(f"The attribute {attribute[0]} is not allowed here.")


def refuseMandatory(text: str) -> None:
    """An C{m} attribute must cause failure (RFC 5802 section 5.1). Raises L{SASLError}."""
    if text.startswith("m="):
        raise malformed("Mandatory extensions are not supported.")


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """
    A client-first-message (RFC 5802 section 7).

    @ivar header: the GS2 header as received.
    @ivar flag: "n", "y" or "p".
    @ivar binding: name of the channel binding type if the flag is "p", else None.
    @ivar bare: what follows the header, as received.
    """

    header: str
    flag: str
    binding: str | None
    authzid: str | None
    username: str
    nonce: str
    bare: str

    @classmethod
    def read(cls, data: bytes) -> ClientFirst:
        """Take a message apart. Raises L{SASLError}."""
        text = readText(data)
        gs2 = _GS2.match(text)
        if gs2 is None:
            raise malformed("The GS2 header is wrong.")
        header, bare = text[: gs2.end()], text[gs2.end() :]
        refuseMandatory(bare)
        fields = _BARE.fullmatch(bare)
        if fields is None:
            raise malformed("The message lacks a name or a nonce.")
        checkExtensions(fields["rest"])
        authzid = None if gs2["authzid"] is None else unescape(gs2["authzid"])
        return cls(header, gs2["flag"][0], gs2["binding"], authzid, unescape(fields["username"]), fields["nonce"], bare)


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """
    A client-final-message (RFC 5802 section 7).

    @ivar binding: GS2 header and channel binding data.
    @ivar unproved: the message without its proof, as received.
    """

    binding: bytes
    nonce: str
    proof: bytes
    unproved: bytes

    @classmethod
    def read(cls, data: bytes) -> ClientFinal:
        """Take a message apart. Raises L{SASLError}."""
        text = readText(data)
        fields = _FINAL.fullmatch(text)
        if fields is None:
            raise malformed("The message lacks the channel binding, the nonce or the proof.")
        checkExtensions(fields["rest"])
        try:
            binding, proof = strictBase64(fields["binding"]), strictBase64(fields["proof"])
        except ValueError:
            raise malformed("The channel binding or the proof is not base64.") from None
        return cls(binding, fields["nonce"], proof, text[: fields.start("proof") - 3].encode("utf-8"))


class ScramMechanism(Mechanism):
    """
    The server's side of one SCRAM exchange.

    @ivar hashName: "sha1", "sha256" or "sha512".
    @ivar plus: whether it is the form that insists on channel binding.
    """

    def __init__(
        self,
        hashName: str,
        plus: bool,
        channelBindings: Mapping[str, bytes],
        plusOffered: bool,
        nonce: Callable[[], str] = newNonce,
        downgradeHash: Callable[[str], bytes] | bytes | None = None,
        tlsVersion: bytes | None = None,
    ) -> None:
        """
        @param channelBindings: data of this connection by the name of the channel binding type.
        @param plusOffered: whether a -PLUS mechanism was offered to this client; it unmasks a downgrade.
        @param nonce: makes the server's part of the nonce: printable ASCII without comma.
        @param downgradeHash: value of the attribute C{h}, or what makes it when given the name of the hash, or None
            to leave the attribute out. See L{xmppd.sasl.scram.downgradeHash}.
        @param tlsVersion: value of the attribute C{t}, or None to leave it out. See L{xmppd.sasl.tlsversion}.
        """
        super().__init__()
        self.name = mechanismName(hashName, plus)
        self.hashName = hashName
        self.plus = plus
        self._bindings = channelBindings
        self._plusOffered = plusOffered
        self._newNonce = nonce
        value = downgradeHash(hashName) if callable(downgradeHash) else downgradeHash
        self._extensions = b"" if value is None else b",h=" + value
        if tlsVersion is not None:
            self._extensions += b",t=" + tlsVersion

    def first(self, data: bytes) -> Lookup:
        """Read the client-first-message."""
        message = ClientFirst.read(data)
        self._expectedBinding = message.header.encode("utf-8") + self._bindingData(message)
        self._first = message
        self.binding = message.binding
        self.stage = Stage.KEYS
        return Lookup(message.username, self.hashName)

    def found(self, keys: StoredKeys) -> Challenge:
        """
        Make the server-first-message.

        @raise ValueError: if the keys are for another hash.
        """
        self.leave(Stage.KEYS)
        if keys.hashName != self.hashName:
            raise ValueError(f"{self.name} got keys for {keys.hashName}")
        self._keys = keys
        self._nonce = self._first.nonce + self._newNonce()
        salt = b64encode(keys.salt).decode("ascii")
        self._serverFirst = f"r={self._nonce},s={salt},i={keys.iterations}".encode("ascii") + self._extensions
        self.stage = Stage.FINAL
        return Challenge(self._serverFirst)

    def final(self, data: bytes) -> Verify:
        """Read the client-final-message. Whether the proof holds is for the checker of the credentials to see."""
        message = ClientFinal.read(data)
        if message.nonce != self._nonce:
            raise malformed("This is not the nonce of this exchange.")
        if not hmac.compare_digest(message.binding, self._expectedBinding):
            raise SASLError(SASLCondition.NOT_AUTHORIZED, "The channel bindings don't match.")
        if len(message.proof) != hashlib.new(self.hashName).digest_size:
            raise malformed("The proof has the wrong length.")
        self._authMessage = b",".join((self._first.bare.encode("utf-8"), self._serverFirst, message.unproved))
        proof = ScramProof(self._first.username, self._first.authzid, self._keys, self._authMessage, message.proof)
        return self.verify(proof)

    def verified(self) -> bytes:
        """The server-final-message, which proves to the client that we know its keys."""
        super().verified()
        return b"v=" + b64encode(hmac.digest(self._keys.serverKey, self._authMessage, self.hashName))

    def _bindingData(self, message: ClientFirst) -> bytes:
        """
        The channel binding data that the client's flag calls for (RFC 5802 section 6).

        @raise SASLError: if flag and mechanism contradict each other, the type is not available, or the client was
            made to believe that we offer no channel binding.
        """
        if (message.flag == "p") is not self.plus:
            raise malformed("Channel binding goes with the -PLUS mechanisms, and they with it.")
        if message.flag == "y" and self._plusOffered:
            raise SASLError(SASLCondition.NOT_AUTHORIZED, "This server does support channel binding.")
        if message.binding is None:
            return b""
        data = self._bindings.get(message.binding)
        if not data:
            raise malformed("This channel binding type is not available here.")
        return data
