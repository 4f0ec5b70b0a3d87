"""
The PROXY protocol's header, versions 1 and 2: with it a load balancer says whose connection it passes on.

https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import unpack_from
from typing import Final

FIRST: Final = b"PROXY "
SECOND: Final = b"\r\n\r\n\0\r\nQUIT\n"

LONGEST_LINE: Final = 107
"""Octets of a header of version 1, by its specification."""

LONGEST_REST: Final = 4096
"""Octets behind the fixed part of a header of version 2."""

_LINE: Final = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_FIXED: Final = 16


class BadHeader(Exception):
    """It is no header of the PROXY protocol."""


class ProxyHeader:
    """
    Reads a header that comes in pieces.

    @ivar complete: whether it is there.
    @ivar source: whose connection it is: address and port; None if it is the sender's own, or nobody knows.
    """

    def __init__(self) -> None:
        self.complete = False
        self.source: tuple[str, int] | None = None
        self._data = b""

    def feed(self, data: bytes) -> bytes:
        """
        Take octets; answer those behind the header once it is C{complete}.

        @raise BadHeader: it is none.
        """
        self._data += data
        start = self._data[: len(SECOND)]
        if start == SECOND:
            return self._second()
        if start.startswith(FIRST):
            return self._first()
        if not SECOND.startswith(start) and not FIRST.startswith(start):
            raise BadHeader("it begins otherwise")
        return b""

    def _first(self) -> bytes:
        """Version 1 is a line."""
        line, end, rest = self._data.partition(b"\r\n")
        if len(line) + 2 > LONGEST_LINE:
            raise BadHeader("its line is too long")
        if not end:
            return b""
        if line != b"PROXY UNKNOWN" and not line.startswith(b"PROXY UNKNOWN "):
            self.source = self._fromLine(line)
        self.complete = True
        return rest

    def _fromLine(self, line: bytes) -> tuple[str, int]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadHeader("its line is malformed")
        try:
            addresses = [ip_address(text.decode()) for text in found.group(2, 3)]
        except ValueError:
            raise BadHeader("it has no addresses") from None
        ports = [int(text) for text in found.group(4, 5)]
        if any(each.version != (4 if found[1] == b"TCP4" else 6) for each in addresses) or max(ports) > 65535:
            raise BadHeader("its addresses are of another kind")
        return str(addresses[0]), ports[0]

    def _second(self) -> bytes:
        """Version 2 is binary."""
        data = self._data
        if len(data) < _FIXED:
            return b""
        command, family, length = unpack_from("!BBH", data, len(SECOND))
        if command not in (0x20, 0x21) or length > LONGEST_REST:
            raise BadHeader("its version, command or length is unknown")
        if len(data) < _FIXED + length:
            return b""
        if command == 0x21:  # and not LOCAL, which is the balancer's own
            self.source = self._fromFamily(family, data[_FIXED : _FIXED + length])
        self.complete = True
        return data[_FIXED + length :]

    def _fromFamily(self, family: int, body: bytes) -> tuple[str, int] | None:
        if family == 0x11 and len(body) >= 12:
            return str(IPv4Address(body[:4])), int.from_bytes(body[8:10], "big")
        if family == 0x21 and len(body) >= 36:
            return str(IPv6Address(body[:16])), int.from_bytes(body[32:34], "big")
        if family in (0x00, 0x31):  # unspecified, or a UNIX socket
            return None
        raise BadHeader("its addresses are of an unknown kind or incomplete")
