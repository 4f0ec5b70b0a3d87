"""
What the kernel counts for us on each TCP connection (tcp(7), C{TCP_INFO}), so that we need not count per stanza.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

_LENGTH = 208

# Offsets in the kernel's struct tcp_info; the part up to here is the same since Linux 4.6.
_LAST_SENT, _LAST_RECEIVED, _ACKED, _RECEIVED = 44, 52, 120, 128


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    Octets are those on the wire, TLS included.

    @ivar bytesIn: octets received.
    @ivar bytesOut: octets sent and acknowledged by the peer's kernel.
    @ivar idle: seconds since anything was sent or received.
    """

    bytesIn: int
    bytesOut: int
    idle: float


def trafficOf(transport: Any) -> Traffic | None:
    """What went over a connection; None where the platform can't say, and on UNIX sockets."""
    try:
        data = transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except (OSError, AttributeError):
        return None
    if len(data) < _RECEIVED + 8:
        return None
    acked, received = struct.unpack_from("QQ", data, _ACKED)
    sent = struct.unpack_from("I", data, _LAST_SENT)[0]
    heard = struct.unpack_from("I", data, _LAST_RECEIVED)[0]
    return Traffic(received, acked, min(sent, heard) / 1000)
