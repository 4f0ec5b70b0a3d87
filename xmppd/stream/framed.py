"""
A client's stream over a transport that has frames (RFC 7395): the same stream as over TCP, otherwise framed.

The transport's C{write} is called once for each element, and hands C{dataReceived} one frame at a time.
"""

from __future__ import annotations

from typing import Final

from xmppd.ixmppd import IReception, IStreamTransport
from xmppd.stream.bounds import parserLimits
from xmppd.stream.c2s import ClientStream
from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute
from xmppd.wire.framing import FrameParser, inStream, messagesIn
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, StreamHeader

CLOSE: Final = f"<close xmlns='{ns.FRAMING}'/>".encode()
"""The end of a framed stream."""


class FramedStream(ClientStream):
    """
    One client's stream over frames. It offers no STARTTLS, since its transport can't do that (RFC 7395 section 3.9);
    what the transport knows about encryption is told by L{encrypted} before anything comes.
    """

    __slots__ = ("_elsewhere",)

    def __init__(self, transport: IStreamTransport, reception: IReception, elsewhere: str | None = None) -> None:
        """
        @param elsewhere: the URI of another place to which the client is sent (RFC 7395 section 3.6.1), or None.
        """
        super().__init__(transport, reception)
        self._elsewhere = elsewhere

    def encrypted(self) -> None:
        """What comes from the client was encrypted, though nothing is known about how: a reverse proxy says it."""
        self.facts.add("tls")

    def transmit(self, stanza: Stanza) -> None:
        """See L{IClientStream}."""
        self.write(stanza.declared())

    def unread(self, waiting: bytes) -> None:
        """See L{ClientStream.unread}; what waits are frames of a WebSocket."""
        super().unread(b"".join(map(inStream, messagesIn(waiting))))

    def _newParser(self) -> FrameParser:
        return FrameParser(parserLimits(self.reception.limits))

    def _opening(self, attributes: str) -> bytes:
        return f"<open xmlns='{ns.FRAMING}'{attributes}/>".encode()

    def _closing(self) -> bytes:
        if self._elsewhere is None:
            return CLOSE
        return f"<close xmlns='{ns.FRAMING}' see-other-uri='{escapeAttribute(self._elsewhere)}'/>".encode()

    def _awaitHeader(self, event: Event) -> None:
        if self._elsewhere is not None and isinstance(event, StreamHeader):
            self._headerSent = True  # the end is the answer to the header (section 3.4)
            self.close()
            return
        super()._awaitHeader(event)
