"""
The C{<body/>} of BOSH (XEP-0124 version 1.11.2, XEP-0206 version 1.4): bytes in, attributes and payloads out, and back.

A body is read by the parser of streams, as a small stream that is there at once: so all limits and all that RFC 6120
section 11.1 refuses hold in it. Each payload comes out as the bytes that a frame of RFC 7395 would have
(L{xmppd.wire.framing}): what BOSH carries is a framed stream.

Many clients leave out the namespace of stanzas, which then are in that of the body. XEP-0206 section 2 has us take them
for those of C{jabber:client}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute, split
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.refusals import tooBig, tooMany
from xmppd.wire.rewriting import rewritten
from xmppd.wire.stanza import NAME_LENGTHS, START_TAG, STARTS, Stanza
from xmppd.wire.xmlstream import ParserLimits, StreamEnd, StreamHeader, XMLStreamParser

BODY: Final = ns.HTTP_BIND + " body"

PAYLOADS: Final = 256
"""How many payloads a body may have: they are acted on in one turn of the reactor."""

DEPENDENT: Final = 4000
"""How many elements a payload may have that doesn't declare its namespaces itself: it has to be written again."""

RESTART: Final = ns.XBOSH + " restart"
VERSION: Final = ns.XBOSH + " version"


class BadBody(Exception):
    """What a client has sent is no body."""


@dataclass(frozen=True, slots=True)
class Body:
    """
    What a client has sent.

    @ivar attrs: the attributes, by name, or by "namespace name".
    @ivar payloads: each a frame.
    """

    attrs: Mapping[str, str]
    payloads: tuple[bytes, ...] = ()

    def isTrue(self, name: str) -> bool:
        """Whether an attribute says yes (both forms of XML Schema's boolean)."""
        return self.attrs.get(name) in ("true", "1")


class _BodyParser(XMLStreamParser):
    """Reads one body."""

    __slots__ = ()

    def _open(self, name: str, attrs: dict[str, str]) -> None:
        if name != BODY:
            raise StreamError(StreamCondition.BAD_FORMAT, "The root element is no body.")
        tag = START_TAG.match(self._window, self._expat.CurrentByteIndex)  # the window begins with the input
        assert tag is not None  # expat has seen it
        if tag.end() > self._limits.headBytes:
            raise tooBig("body's start tag")
        self._default = self._prefixes.get(None, "")
        self._header = StreamHeader(attrs, ns.CLIENT)
        self._kinds = {f"{space} {kind}": kind for kind in NAME_LENGTHS for space in (ns.CLIENT, ns.HTTP_BIND)}
        self._uses = tuple(
            prefix.encode() + b":"
            for prefix, uri in self._prefixes.items()
            if prefix not in (None, "xml") and (prefix, uri) != ("stream", ns.STREAMS)
        )
        self._boundary = tag.end()
        self._namespaces = 0
        self._longHeader = self._long
        self._events.append(self._header)

    def _complete(self) -> None:
        if len(self._events) > PAYLOADS:
            raise tooMany(PAYLOADS, "payloads")
        super()._complete()

    def _normalised(self, kind: str, raw: bytes) -> Stanza:
        """A payload that doesn't depend on the body."""
        own = self._stanzaName.startswith(ns.CLIENT + " ") and raw.startswith(STARTS[kind])
        if own and not any(use in raw for use in self._uses):
            return Stanza(kind, self._stanzaName, {}, (), raw)
        if self._elements + len(self._childNames) > DEPENDENT:
            raise tooMany(DEPENDENT, "elements that depend on the body's namespaces")
        prefixes = tuple((prefix, uri) for prefix, uri in self._prefixes.items() if prefix not in (None, "xml"))
        old = ns.HTTP_BIND if split(self._stanzaName)[0] == ns.HTTP_BIND else ns.CLIENT
        raw = rewritten(raw, self._default, prefixes, old, ns.CLIENT, self._limits.stanzaBytes)
        return Stanza(kind, self._stanzaName, {}, (), raw)

    def _judge(self, error: StreamError) -> StreamError | None:
        """Here nothing may stand behind the end."""
        return error if self._ended else super()._judge(error)


def readBody(data: bytes, limits: ParserLimits) -> Body:
    """
    A body from its bytes.

    @raise BadBody: they are none, or break a limit.
    """
    parser = _BodyParser(limits)
    try:
        events = parser.feed(data.rstrip(b" \t\r\n"))
    except ValueError as error:  # a payload's tree that can't be
        raise BadBody(str(error)) from None
    if parser.error is not None:
        raise BadBody(str(parser.error))
    if len(events) < 2 or not isinstance(events[-1], StreamEnd) or not data.rstrip(b" \t\r\n").endswith(b">"):
        raise BadBody("it is incomplete")
    header = events[0]
    assert isinstance(header, StreamHeader)
    return Body(header.attrs, tuple(event.raw for event in events[1:-1] if isinstance(event, Stanza)))


def writeBody(attrs: Mapping[str, str], payloads: Iterable[bytes] = ()) -> bytes:
    """
    A body for a client.

    @param attrs: by name as it is written; the prefix C{xmpp} gets its namespace.
    @param payloads: frames.
    """
    payloads = tuple(payloads)
    written = "".join(f" {name}='{escapeAttribute(value)}'" for name, value in attrs.items())
    if any(name.startswith("xmpp:") for name in attrs):
        written += f" xmlns:xmpp='{ns.XBOSH}'"
    if any(payload.startswith(b"<stream:") for payload in payloads):
        written += f" xmlns:stream='{ns.STREAMS}'"
    start = f"<body xmlns='{ns.HTTP_BIND}'{written}".encode()
    return b"".join((start, b">", *payloads, b"</body>")) if payloads else start + b"/>"
