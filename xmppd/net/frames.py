"""
Frames of a WebSocket that come from a client: nearly all of them quickly, the rest by wsproto (RFC 6455 section 5).

Theory of operation
===================

What a client sends is, but for a few pings, whole text messages of one frame each, that come with one read. L{Frames}
reads these itself: it takes away the mask, makes sure that they are UTF-8, and that is all. Everything else goes to
wsproto and is judged there: other frames, fragments, frames that come in pieces, and whatever breaks a rule. So that
it can have the rest, L{Frames} knows where frames end: wsproto is given exactly one frame, or what there is of it, and
the next frame may be a quick one again as soon as that is complete and no fragmented message is open. From a frame on
that can't be, wsproto has everything, and after the end of the WebSocket nothing is read any more.
"""

from __future__ import annotations

from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event

WHOLE_TEXT: Final = 0x81
"""How a text message of one frame begins."""

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_CONTROL: Final = 8
_OPCODES: Final = frozenset({0, 1, 2, 8, 9, 10})
_SHORT: Final = 125
_NEVER: Final = 0
"""In place of a frame's length: wsproto is to say what is wrong with it."""


def unmasked(payload: bytes, key: bytes) -> bytes:
    """A payload without its mask (RFC 6455 section 5.3)."""
    length = len(payload)
    keys = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(length, "little")


class Frames:
    """
    The server's end of one WebSocket, without a socket.
    """

    __slots__ = ("_at", "_connection", "_draining", "_fragments", "_input", "_over", "_owed", "_unusual")

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._input = b""
        self._at = 0  # where in the input the next frame begins
        self._draining = False  # whether wsproto may have something to tell
        self._owed = 0  # octets of the present frame that wsproto hasn't got
        self._fragments = False  # whether a message in fragments is open
        self._unusual = False  # whether wsproto has everything from now on
        self._over = False

    @property
    def state(self) -> ConnectionState:
        """How far the WebSocket is in its life."""
        return self._connection.state

    def send(self, event: Event) -> bytes:
        """What to write to have the client see an event; see L{Connection.send}."""
        return self._connection.send(event)

    def received(self, data: bytes) -> None:
        """Take octets; L{take} tells what they are."""
        if not self._over:
            self._input = self._input[self._at :] + data if self._at < len(self._input) else data
            self._at = 0

    def take(self) -> bytes | Event | None:
        """
        The next message, if it is a text of one frame, or else the next event; None if there is nothing more as yet.
        """
        while True:
            if self._draining:
                event = next(self._connection.events(), None)
                if isinstance(event, CloseConnection):
                    self._over, self._input, self._at = True, b"", 0
                if event is not None:
                    return event
                self._draining = False
            if self._at >= len(self._input):
                self._input, self._at = b"", 0
                return None
            if not (self._owed or self._fragments or self._unusual):
                text = self._text()
                if text is not None:
                    return text
            if not self._handOver():
                return None

    def _text(self) -> bytes | None:
        """The frame that is next, if it is a whole text message, and all of it is there."""
        data, at = self._input, self._at
        if data[at] != WHOLE_TEXT or len(data) - at < 6:
            return None
        length = data[at + 1] - _MASKED
        key = at + 2
        if length > _SHORT:
            length = self._longLength(at)
            key += 2 if length < 0x10000 else 8
        begin = key + 4
        end = begin + length
        if length < 0 or end > len(data) or (key > at + 2 and length == _NEVER):
            return None
        text = unmasked(data[begin:end], data[key:begin])
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError:
                return None  # wsproto knows what to say
        self._at = end
        return text

    def _longLength(self, at: int) -> int:
        """The length of a payload of more than 125 octets; L{_NEVER} if it is written as it must not be."""
        data = self._input
        if data[at + 1] & 0x7F == 126:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            return length if length > _SHORT else _NEVER
        length = int.from_bytes(data[at + 2 : at + 10], "big")
        return length if 0xFFFF < length < 1 << 63 else _NEVER

    def _handOver(self) -> bool:
        """Give wsproto the frame that is next, or what there is of it; False if not even its length is there."""
        data, at = self._input, self._at
        if not self._owed and not self._unusual:
            size = self._size()
            if size is None:
                return False
            self._owed = size
            self._unusual = size == _NEVER
            if data[at] & _OPCODE < _CONTROL:
                self._fragments = not data[at] & _FIN
        end = len(data) if self._unusual else min(len(data), at + self._owed)
        self._owed = 0 if self._unusual else self._owed - (end - at)
        self._at = end
        self._connection.receive_data(data[at:end])
        self._draining = True
        return True

    def _size(self) -> int | None:
        """How many octets the next frame has; L{_NEVER} if there is no such frame, None if it isn't known yet."""
        data, at = self._input, self._at
        left = len(data) - at
        if left < 2:
            return None
        opcode, length = data[at] & _OPCODE, data[at + 1] & 0x7F
        if data[at] & _RESERVED or opcode not in _OPCODES or not data[at + 1] & _MASKED:
            return _NEVER
        if opcode >= _CONTROL and (length > _SHORT or not data[at] & _FIN):
            return _NEVER
        width = 0 if length <= _SHORT else 2 if length == 126 else 8
        if left < 2 + width:
            return None
        if width:
            length = self._longLength(at)
            if length == _NEVER:
                return _NEVER
        return 2 + width + 4 + length
