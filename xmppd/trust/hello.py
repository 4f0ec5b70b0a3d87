"""
The first message of a TLS handshake as a client sends it, and what a server answers: octets and values, without
cryptography. An audit asks by this for what no TLS library would offer any more (RFC 5246 section 7.4, RFC 6101 for
SSL 3.0, RFC 8422 section 5), so the outcome doesn't depend on the library of the machine it runs on.

None of these handshakes can be finished: there are no keys.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xmppd.trust.audit import suiteProblem

VERSIONS: Final = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303}
"""The versions that can be asked for, by OpenSSL's names."""

SUITES: Final = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC028: "ECDHE-RSA-AES256-SHA384",
    0xC007: "ECDHE-ECDSA-RC4-SHA",
    0xC011: "ECDHE-RSA-RC4-SHA",
    0xC008: "ECDHE-ECDSA-DES-CBC3-SHA",
    0xC012: "ECDHE-RSA-DES-CBC3-SHA",
    0xC006: "ECDHE-ECDSA-NULL-SHA",
    0xC010: "ECDHE-RSA-NULL-SHA",
    0xC018: "AECDH-AES128-SHA",
    0xCCAA: "DHE-RSA-CHACHA20-POLY1305",
    0x009E: "DHE-RSA-AES128-GCM-SHA256",
    0x009F: "DHE-RSA-AES256-GCM-SHA384",
    0x0067: "DHE-RSA-AES128-SHA256",
    0x006B: "DHE-RSA-AES256-SHA256",
    0x0033: "DHE-RSA-AES128-SHA",
    0x0039: "DHE-RSA-AES256-SHA",
    0x0016: "DHE-RSA-DES-CBC3-SHA",
    0x009C: "AES128-GCM-SHA256",
    0x009D: "AES256-GCM-SHA384",
    0x003C: "AES128-SHA256",
    0x003D: "AES256-SHA256",
    0x002F: "AES128-SHA",
    0x0035: "AES256-SHA",
    0x0041: "CAMELLIA128-SHA",
    0x000A: "DES-CBC3-SHA",
    0x0009: "DES-CBC-SHA",
    0x0005: "RC4-SHA",
    0x0004: "RC4-MD5",
    0x0003: "EXP-RC4-MD5",
    0x0008: "EXP-DES-CBC-SHA",
    0x00A6: "ADH-AES128-GCM-SHA256",
    0x0034: "ADH-AES128-SHA",
    0x003B: "NULL-SHA256",
    0x0002: "NULL-SHA",
    0x0001: "NULL-MD5",
}
"""The suites that are asked for, by their numbers at IANA; the names are OpenSSL's."""

BAD_SUITES: Final = tuple(number for number, name in SUITES.items() if suiteProblem(name) is not None)
"""Those that RFC 9325 has something against."""

GROUPS: Final = {29: "X25519", 23: "P-256", 24: "P-384", 25: "P-521", 1: "sect163k1", 19: "secp192r1", 21: "secp224r1"}
"""Groups by their numbers at IANA."""

SMALL_GROUPS: Final = (1, 19)
"""Those of them that are too small."""

TRUNCATED_HMAC: Final = 4
RENEGOTIATION_INFO: Final = 0xFF01
EXTENDED_MASTER_SECRET: Final = 23

_RECORD: Final = 1 << 14
SHA1_SIGNATURES: Final = (0x0203, 0x0201)
"""The signature algorithms with SHA-1, by their numbers at IANA: with ECDSA, with RSA."""

_SIGNATURES: Final = (
    0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, *SHA1_SIGNATURES, 0x0402,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a server says to a hello.

    @ivar alert: the number of the fatal alert, or None.
    @ivar version: the version that it has chosen; 0 with an alert.
    @ivar suite: the number of the suite that it has chosen.
    @ivar compresses: whether it has chosen to compress.
    @ivar extensions: the numbers of its extensions.
    @ivar group: the number of the group in its part of the key exchange, or None.
    """

    alert: int | None = None
    version: int = 0
    suite: int = 0
    compresses: bool = False
    extensions: frozenset[int] = frozenset()
    group: int | None = None


def clientHello(
    version: int,
    name: str,
    suites: Iterable[int] = tuple(SUITES),
    groups: Iterable[int] = (29, 23, 24, 25),
    protocols: Sequence[bytes] = (),
    signatures: Iterable[int] = _SIGNATURES,
) -> bytes:
    """
    A hello that offers compression and a truncated HMAC, too.

    @param version: the highest one, one of L{VERSIONS}.
    @param name: the server name, ASCII; empty for none.
    @param protocols: for ALPN.
    @param signatures: signature algorithms; there is no such choice before TLS 1.2.
    """
    extensions = b"".join(_extensions(version, name, groups, protocols, signatures)) if version > 0x0300 else b""
    body = struct.pack(">H32sB", version, bytes(range(32)), 0)
    body += _vector(2, b"".join(struct.pack(">H", suite) for suite in suites)) + _vector(1, b"\x01\x00")
    if extensions:
        body += _vector(2, extensions)
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BH", 22, min(version, 0x0301)) + _vector(2, message)


def oldHello() -> bytes:
    """A hello of SSL 2.0, which looks different (RFC 6101 appendix E.1)."""
    suites = bytes.fromhex("0100800200800300800400800500800600400700c0")
    body = struct.pack(">BHHHH", 1, 2, len(suites), 0, 16) + suites + bytes(range(16))
    return struct.pack(">H", 0x8000 | len(body)) + body


def isOldAnswer(data: bytes) -> bool:
    """Whether a server has answered with a hello of SSL 2.0; at least three octets have to be there."""
    return len(data) > 2 and bool(data[0] & 0x80) and data[2] == 4


def _extensions(
    version: int, name: str, groups: Iterable[int], protocols: Sequence[bytes], signatures: Iterable[int]
) -> Iterable[bytes]:
    """The extensions of a hello."""
    if name:
        yield _extension(0, _vector(2, b"\x00" + _vector(2, name.encode("ascii"))))
    yield _extension(10, _vector(2, b"".join(struct.pack(">H", group) for group in groups)))
    yield _extension(11, b"\x01\x00")
    if version >= 0x0303:
        yield _extension(13, _vector(2, b"".join(struct.pack(">H", signature) for signature in signatures)))
    if protocols:
        yield _extension(16, _vector(2, b"".join(_vector(1, protocol) for protocol in protocols)))
    yield _extension(TRUNCATED_HMAC, b"")
    yield _extension(EXTENDED_MASTER_SECRET, b"")
    yield _extension(RENEGOTIATION_INFO, b"\x00")


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _vector(2, content)


def _vector(width: int, content: bytes) -> bytes:
    """A vector with its length in front."""
    return len(content).to_bytes(width, "big") + content


# --- reading ------------------------------------------------------------------------------------------------------


def readAnswer(data: bytes) -> Answer | None:
    """
    What a server has said so far, or None if more has to come.

    @param data: all octets since the hello.
    @raise ValueError: that's no TLS.
    """
    handshake, position = b"", 0
    while position + 5 <= len(data):
        kind, _, length = struct.unpack_from(">BHH", data, position)
        if kind not in (21, 22) or length > _RECORD:
            raise ValueError("this isn't TLS")
        content = data[position + 5 : position + 5 + length]
        if len(content) < length:
            break
        position += 5 + length
        if kind == 22:
            handshake += content
        elif length != 2:
            raise ValueError("an alert has two octets")
        elif content[0] == 2:
            return Answer(alert=content[1])
    try:
        return _flight(handshake)
    except (IndexError, struct.error):
        raise ValueError("a message ends too early") from None


def _flight(handshake: bytes) -> Answer | None:
    """The messages of a server's flight, up to its part of the key exchange or to its end."""
    answer, position = Answer(), 0
    while position + 4 <= len(handshake):
        kind, length = handshake[position], int.from_bytes(handshake[position + 1 : position + 4], "big")
        content = handshake[position + 4 : position + 4 + length]
        if len(content) < length:
            break
        position += 4 + length
        if kind == 2:
            answer = _serverHello(content)
        elif kind == 12 and content[0] == 3:
            named = struct.unpack_from(">H", content, 1)[0]
            return Answer(None, answer.version, answer.suite, answer.compresses, answer.extensions, named)
        elif kind in (12, 14):
            return answer
    return None


def _serverHello(content: bytes) -> Answer:
    """The chosen version, suite, compression and extensions."""
    version = struct.unpack_from(">H", content)[0]
    position = 35 + content[34]
    suite, compression = struct.unpack_from(">HB", content, position)
    extensions, position = [], position + 5
    while position < len(content):
        number, length = struct.unpack_from(">HH", content, position)
        extensions.append(number)
        position += 4 + length
    return Answer(None, version, suite, compression != 0, frozenset(extensions))
