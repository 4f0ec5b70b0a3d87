"""
The server name in the first message of a TLS handshake (RFC 6066 section 3), read before OpenSSL reads it.

OpenSSL decides about a ticket before it asks anybody about the server name, so by then a session that was made under
one name can have been resumed under another, which section 3 forbids and which would show the first name's certificate.
Who knows the name beforehand can choose a context for it, and contexts have different session id contexts.

A hello that can't be understood here has no name that could be relied on, and is to be refused.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 1 << 14
"""No longer hello is taken, in octets with the heads of its records; usual ones have one or two thousand."""

_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0


class HelloReader:
    """
    Reads a hello as it comes in. Each record is looked at once, however the octets are cut.

    @ivar octets: all octets so far.
    """

    __slots__ = ("_message", "_position", "octets")

    def __init__(self) -> None:
        self.octets = bytearray()
        self._message = bytearray()
        self._position = 0

    def feed(self, data: bytes) -> str | None:
        """
        Take some octets.

        @return: the name that the client asks for, in lower case, empty if it asks for none; None if more has to come.
        @raise ValueError: this is no hello that can be understood.
        """
        self.octets += data
        while not self._isWhole() and self._takeRecord():
            pass
        if self._isWhole():
            return _named(bytes(self._message[_MESSAGE_HEAD:]))
        if len(self.octets) >= MOST:
            raise ValueError("too long")
        return None

    def _isWhole(self) -> bool:
        """Whether the message is there."""
        return len(self._message) >= _MESSAGE_HEAD + int.from_bytes(self._message[1:_MESSAGE_HEAD], "big") > 4

    def _takeRecord(self) -> bool:
        """Take the next record if it is there. Raises C{ValueError} if it is no part of a hello."""
        head = self.octets[self._position : self._position + _RECORD_HEAD]
        if head and head[0] != _HANDSHAKE:
            raise ValueError("no handshake")
        end = self._position + _RECORD_HEAD + int.from_bytes(head[3:], "big")
        if len(head) < _RECORD_HEAD or len(self.octets) < end:
            return False
        self._message += self.octets[self._position + _RECORD_HEAD : end]
        self._position = end
        if self._message and self._message[0] != _CLIENT_HELLO:
            raise ValueError("no hello")
        return True


def _named(hello: bytes) -> str:
    """The name in the body of a hello. Raises C{ValueError} if it isn't built as it should be."""
    position = 34  # version and random
    for width in (1, 2, 1):  # session id, suites, compression
        position += width + _number(hello, position, width)
    if position >= len(hello):
        return ""
    end = position + 2 + _number(hello, position, 2)
    position += 2
    while position < end:
        kind, length = _number(hello, position, 2), _number(hello, position + 2, 2)
        position += 4
        if kind == _SERVER_NAME:
            return _hostName(_slice(hello, position, length))
        position += length
    return ""


def _hostName(extension: bytes) -> str:
    """The one host name of a list of names. Raises C{ValueError} for anything else; others were never defined."""
    if _number(extension, 2, 1) != _HOST_NAME:
        raise ValueError("no host name")
    return _slice(extension, 5, _number(extension, 3, 2)).decode("ascii").lower()


def _number(data: bytes, position: int, width: int) -> int:
    """A number. Raises C{ValueError} if it isn't there."""
    return int.from_bytes(_slice(data, position, width), "big")


def _slice(data: bytes, position: int, length: int) -> bytes:
    """So many octets. Raises C{ValueError} if there are fewer."""
    if position + length > len(data):
        raise ValueError("it ends too early")
    return data[position : position + length]
