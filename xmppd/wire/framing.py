"""
XMPP in frames: what goes over a WebSocket (RFC 7395), and each element of a BOSH body.

A framed stream has no tag around it. Its header is an element C{<open/>}, its end C{<close/>}, and every frame is one
element that can be parsed by itself. The rules for what is in an element are those of a stream over TCP; so
L{FrameParser} has the parser of those do the work, inside a stream that it opens itself.

A stanza without a declaration of its namespace is taken for one of C{jabber:client}: older clients leave it out, and
so understood it means the same to everybody behind the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import pack
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import split
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.refusals import tooBig
from xmppd.wire.stanza import NAME_LENGTHS, Stanza
from xmppd.wire.xmlstream import END, Event, ParserLimits, StreamHeader, XMLStreamParser

OPEN: Final = ns.FRAMING + " open"
CLOSE: Final = ns.FRAMING + " close"

_AROUND: Final = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'>".encode()
_DECLARATION: Final = re.compile(
    rb"""<\?xml[ \t\r\n]+version=(?:"1\.0"|'1\.0')"""
    rb"""(?:[ \t\r\n]+encoding=(?:"([A-Za-z0-9._-]+)"|'([A-Za-z0-9._-]+)'))?[ \t\r\n]*\?>[ \t\r\n]*"""
)
_STANZAS: Final = tuple(f"<{kind} xmlns='{ns.CLIENT}'".encode() for kind in NAME_LENGTHS)
_DECLARED: Final = f" xmlns:stream='{ns.STREAMS}'".encode()


class _Around(XMLStreamParser):
    """The stream around the frames."""

    __slots__ = ()

    @property
    def between(self) -> bool:
        """Whether nothing has begun that isn't complete: the input stands between two frames."""
        return self._depth == 1 and not self._pending


class FrameParser:
    """
    The parser of one framed stream, from its header to its end. A restarted stream gets a new one.

    @ivar error: why it stopped, or None.
    """

    __slots__ = ("_limits", "_opened", "_parser", "error")

    def __init__(self, limits: ParserLimits = ParserLimits()) -> None:
        self.error: StreamError | None = None
        self._limits = limits
        self._opened = False
        self._parser = _Around(limits)
        self._parser.feed(_AROUND)

    def feed(self, frame: bytes) -> list[Event]:
        """
        Take one whole frame; answer the one event that it is, or nothing and C{error} is set.
        """
        if self.error is not None:
            return []
        try:
            return [self._event(frame)]
        except StreamError as error:
            self.error = error
            return []

    def rest(self) -> None:
        """See L{XMLStreamParser.rest}."""
        self._parser.rest()

    def _event(self, frame: bytes) -> Event:
        """
        What a frame is.

        @raise StreamError: nothing that could be.
        """
        limits = self._limits
        if len(frame) > limits.stanzaBytes:
            raise tooBig("stanza")
        if frame[:5] == b"<?xml":
            frame = _undeclared(frame)
        if frame[:1] != b"<":
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "A frame has to begin with an element.")
        parser = self._parser
        events = parser.feed(frame)
        if not self._opened and frame.startswith(b"<stream:stream"):
            raise foreignHeader()
        if parser.error is not None:
            raise parser.error
        if len(events) != 1 or not parser.between:
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "A frame has to hold exactly one element.")
        event = events[0]
        if event.kind or not isinstance(event, Stanza):
            return event
        return self._header(event, len(frame)) if not self._opened or event.name in (OPEN, CLOSE) else event

    def _header(self, element: Stanza, octets: int) -> Event:
        """The header or the end of the stream, or what stands there in place of a header (RFC 7395 section 3.3.2)."""
        name = element.name
        if name == OPEN:
            if octets > self._limits.headBytes:
                raise tooBig("stream header")
            if element.childNames:
                raise StreamError(StreamCondition.BAD_FORMAT, "A stream header is empty.")
            self._opened = True
            return StreamHeader(element.attrs, ns.CLIENT)
        if name == CLOSE:
            return END
        if split(name)[1] in ("open", "stream"):
            raise foreignHeader()
        return element


def foreignHeader() -> StreamError:
    """The error for a stream header of another framing (RFC 7395 section 3.3.2)."""
    return StreamError(StreamCondition.INVALID_NAMESPACE, "The stream header is not in the framing's namespace.")


def _undeclared(frame: bytes) -> bytes:
    """
    A frame without its XML declaration (RFC 7395 section 3.3.3 recommends none).

    @raise StreamError: it isn't good.
    """
    found = _DECLARATION.match(frame)
    if found is None:
        raise StreamError(StreamCondition.NOT_WELL_FORMED, "The XML declaration is no good one.")
    encoding = found[1] or found[2]
    if encoding is not None and encoding.upper() not in (b"UTF-8", b"UTF8"):
        raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "The encoding has to be UTF-8.")
    return frame[found.end() :]


def standalone(element: bytes) -> bytes:
    """
    An element of ours that is no stanza, with the prefix C{stream} declared if it has that (RFC 7395 section 3.3.3).
    """
    if not element.startswith(b"<stream:"):
        return element
    end = len(b"<stream:features" if element.startswith(b"<stream:features") else b"<stream:error")
    return element[:end] + _DECLARED + element[end:]


def textFrame(payload: bytes) -> bytes:
    """A WebSocket message of the type text, as a server sends it: one frame, not masked (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        return pack("!BB", 0x81, length) + payload
    if length < 65536:
        return pack("!BBH", 0x81, 126, length) + payload
    return pack("!BBQ", 0x81, 127, length) + payload


def messagesIn(frames: bytes) -> Iterator[bytes]:
    """What was given to L{textFrame}, one after the other, without frames of other kinds between them."""
    at = 0
    while at < len(frames):
        opcode, length = frames[at] & 0x0F, frames[at + 1]
        at += 2
        if length > 125:
            width = 2 if length == 126 else 8
            length = int.from_bytes(frames[at : at + width], "big")
            at += width
        if opcode == 1:
            yield frames[at : at + length]
        at += length


def inStream(element: bytes) -> bytes:
    """An element as it was before it was declared for a frame (L{Stanza.declared})."""
    for start in _STANZAS:
        if element.startswith(start):
            return start[: start.index(b" ")] + element[len(start) :]
    return element
