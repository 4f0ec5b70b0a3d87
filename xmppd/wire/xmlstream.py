"""
Bytes of an XML stream in, its header, stanzas and end out (RFC 6120 sections 4.2, 8, 11).

Theory of operation
===================

Expat tells where elements begin and end; this module counts the depth and cuts the bytes of each stanza out of the
input. No tree is built and no text is looked at. Everything between the start of the unfinished stanza and the end of
the input is kept in C{_pending}; a new chunk is appended to it.

    - C{_start} is called for start tags: depth 0 is the stream header, depth 1 begins a stanza, depth 2 is one of its
      children, whose name is noted.
    - C{_end} at depth 1 completes a stanza.

Three rules make C{Stanza.raw} safe to pass on verbatim (see L{xmppd.wire.stanza}): the stanza's name is unprefixed and
in the stream's content namespace, and the header binds no prefix but C{stream}. Where they don't hold, the stanza is
serialised again from its tree, and keeps its meaning.

Nothing can be complete before a C{>} has come, so input without one is kept and not parsed: else a long tag sent byte
by byte would be scanned from its start for each byte.

Expat remembers every name it has met for as long as the parser lives, and so it is replaced now and then, between two
stanzas or by feeding it the unfinished one again: a peer that invents names can't make it grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from xmppd.wire import ns
from xmppd.wire.element import (
    LANG,
    STREAM_CONTEXT,
    Element,
    bareExpat,
    escapeAttribute,
    parse,
    split,
)
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import NAME_LENGTHS, START_TAG, Stanza

STREAM: Final = ns.STREAMS + " stream"
WHITESPACE: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """
    What one peer may send.

    @ivar stanzaBytes: size of a stanza.
    @ivar headBytes: size of the stream header and of whatever stands before it.
    @ivar depth: how deep elements may be nested inside a stanza.
    @ivar children: how many children a stanza may have.
    @ivar elements: how many elements there may be in a stanza.
    @ivar attributes: how many attributes one element may have.
    @ivar namespaces: how many namespace declarations there may be in a stanza.
    @ivar recycleBytes: after how many bytes expat is replaced.
    """

    stanzaBytes: int = 262144
    headBytes: int = 16384
    depth: int = 64
    children: int = 5000
    elements: int = 20000
    attributes: int = 64
    namespaces: int = 256
    recycleBytes: int = 131072


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """
    The start tag of a stream (RFC 6120 section 4.7).

    @ivar content: its content namespace (RFC 6120 section 4.8.2).
    @ivar prefixes: the prefixes it binds, other than C{stream} to the namespace of streams.
    """

    attrs: dict[str, str]
    content: str
    prefixes: tuple[tuple[str, str], ...] = ()
    kind: str = "header"

    @property
    def to(self) -> str | None:
        """The domain addressed."""
        return self.attrs.get("to")

    @property
    def sender(self) -> str | None:
        """Who claims to open the stream."""
        return self.attrs.get("from")

    @property
    def language(self) -> str | None:
        """The default language of the stream's human-readable content."""
        return self.attrs.get(LANG)

    @property
    def version(self) -> tuple[int, int]:
        """
        The version as numbers (RFC 6120 section 4.7.5); (0, 9) without one.

        @raise StreamError: unsupported-version, for something that is no version.
        """
        text = self.attrs.get("version")
        if text is None:
            return (0, 9)
        major, dot, minor = text.partition(".")
        if not (dot and major.isdecimal() and minor.isdecimal() and len(text) <= 16):
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION, "The version is no pair of numbers.")
        return (int(major), int(minor))


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end tag of a stream (RFC 6120 section 4.4)."""

    kind: str = "end"


Event = Stanza | StreamHeader | StreamEnd

END: Final = StreamEnd()

_CONDITIONS: Final[dict[int, StreamCondition]] = {
    11: StreamCondition.RESTRICTED_XML,  # undefined entity
    12: StreamCondition.RESTRICTED_XML,  # recursive entity reference
    15: StreamCondition.RESTRICTED_XML,  # reference to an unparsed entity
    16: StreamCondition.RESTRICTED_XML,  # reference to an external entity
    18: StreamCondition.UNSUPPORTED_ENCODING,
    19: StreamCondition.UNSUPPORTED_ENCODING,
}


class XMLStreamParser:
    """
    The parser of one stream, from its header to its end. A restarted stream gets a new one.

    @ivar error: why it stopped, or None. What L{feed} answered before is still good; nothing comes after.
    """

    __slots__ = (
        "_base",
        "_boundary",
        "_childNames",
        "_content",
        "_counted",
        "_depth",
        "_elements",
        "_events",
        "_expat",
        "_fed",
        "_header",
        "_kinds",
        "_limits",
        "_namespaces",
        "_pending",
        "_prefixes",
        "_root",
        "_stanzaAttrs",
        "_stanzaName",
        "_stanzaStart",
        "_unfed",
        "_window",
        "error",
    )

    def __init__(
        self, limits: ParserLimits = ParserLimits(), contents: frozenset[str] = frozenset({ns.CLIENT})
    ) -> None:
        """
        @param limits: what the peer may send.
        @param contents: the content namespaces a header may have.
        """
        self.error: StreamError | None = None
        self._limits = limits
        self._content = contents
        self._kinds: dict[str, str] = {}
        self._header: StreamHeader | None = None
        self._prefixes: list[tuple[str | None, str]] = []
        self._events: list[Event] = []
        self._pending = bytearray()
        self._window: bytes | bytearray = b""
        self._base = 0  # expat's index of the first byte of _window
        self._boundary = 0  # expat's index of the end of the last complete stanza
        self._unfed = 0  # how many bytes at the end of _pending expat has not seen
        self._fed = 0
        self._depth = 0
        self._root = b""
        self._stanzaName = ""
        self._stanzaAttrs: dict[str, str] = {}
        self._stanzaStart = 0
        self._childNames: list[str] = []
        self._elements = 0
        self._namespaces = 0
        self._expat = bareExpat()
        self._listen()
        self._expat.XmlDeclHandler = self._declaration

    def feed(self, data: bytes) -> list[Event]:
        """
        Take bytes; answer what they complete, in order. If something is wrong with them, C{error} is set and the
        answer holds what came before the mistake.
        """
        if self.error is not None:
            return []
        events = self._events = []
        if b">" not in data:
            self._hold(data)
            return events
        pending = self._pending
        if pending:
            pending += data
            self._window = pending
            if self._unfed:
                data = bytes(pending[-len(data) - self._unfed :])
                self._unfed = 0
        else:
            self._window = data
        self._parse(data)
        if self.error is None:
            self._keep()
        self._window = b""
        return events

    def _hold(self, data: bytes) -> None:
        """Nothing can be complete yet: keep the bytes."""
        pending = self._pending
        pending += data
        self._unfed += len(data)
        if len(pending) == self._unfed and self._header is not None and not pending.strip(WHITESPACE):
            pending.clear()  # keep-alive between stanzas, which expat need not see
            self._unfed = 0
        self.error = self._unfinished(pending)

    def _parse(self, data: bytes) -> None:
        """Feed expat and translate its errors."""
        try:
            self._expat.Parse(data, False)
        except StreamError as error:
            self.error = error
        except expat.ExpatError as error:
            condition = _CONDITIONS.get(error.code, StreamCondition.NOT_WELL_FORMED)
            self.error = StreamError(condition, f"{expat.ErrorString(error.code).capitalize()}.")

    def _keep(self) -> None:
        """Keep what is not complete yet."""
        window = self._window
        pending = self._pending
        length = len(window)
        keepFrom = (self._stanzaStart if self._depth > 1 else self._boundary) - self._base
        if keepFrom < length and self._depth < 2 and not bytes(window[keepFrom:]).strip(WHITESPACE):
            keepFrom = length
            self._boundary = self._base + length
        if keepFrom >= length:
            if pending:
                self._pending = bytearray()
        elif window is pending:
            del pending[:keepFrom]
        else:
            self._pending = bytearray(window[keepFrom:])
        self._base += min(keepFrom, length)
        if self._pending:
            self.error = self._unfinished(self._pending)
        self._fed += length
        if self.error is None and self._fed > self._limits.recycleBytes and self._header is not None and self._depth:
            self._recycle()

    def _unfinished(self, pending: bytearray) -> StreamError | None:
        """What is wrong with the incomplete end of the input, if anything: it is too long, or can't become good."""
        if len(pending) > (self._limits.headBytes if self._header is None else self._limits.stanzaBytes):
            return tooBig("stream header" if self._header is None else "stanza")
        if self._depth > 1:
            return None
        start = bytes(pending[:512]).lstrip(WHITESPACE)[:3]
        if start and start[:1] != b"<" and not (self._header is None and b"\xef\xbb\xbf".startswith(start)):
            if self._header is None:
                return StreamError(StreamCondition.NOT_WELL_FORMED, "This is no XML stream.")
            return StreamError(StreamCondition.BAD_FORMAT, "There is text between stanzas.")
        if start in (b"<!-", b"<!D") or (start[:2] == b"<?" and self._header is not None):
            return restricted("A comment, a processing instruction or a document type")
        return None

    # --- what expat calls

    def _listen(self) -> None:
        """Have expat's events come here, and refuse what RFC 6120 section 11.1 refuses."""
        parser = self._expat
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._declare
        parser.CommentHandler = _refuseComment
        parser.ProcessingInstructionHandler = _refuseInstruction
        parser.StartDoctypeDeclHandler = _refuseDoctype

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        depth = self._depth
        self._depth = depth + 1
        limits = self._limits
        if len(attrs) > limits.attributes:
            raise StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limits.attributes} attributes.")
        if depth > 1:
            self._elements += 1
            if depth == 2:
                self._childNames.append(name)
                if len(self._childNames) > limits.children:
                    raise StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limits.children} children.")
            elif depth > limits.depth:
                raise StreamError(StreamCondition.POLICY_VIOLATION, f"Nested deeper than {limits.depth}.")
            if self._elements > limits.elements:
                raise StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limits.elements} elements.")
        elif depth == 1:
            self._stanzaName = name
            self._stanzaAttrs = attrs
            self._stanzaStart = start = self._expat.CurrentByteIndex
            if start != self._boundary:
                self._checkGap(start)
        else:
            self._open(name, attrs)

    def _end(self, name: str) -> None:
        self._depth = depth = self._depth - 1
        if depth == 1:
            self._complete()
        elif depth == 0:
            start = self._expat.CurrentByteIndex
            if start != self._boundary:
                self._checkGap(start)
            self._events.append(END)

    def _declare(self, prefix: str | None, uri: str) -> None:
        self._namespaces += 1
        if self._namespaces > self._limits.namespaces:
            limit = self._limits.namespaces
            raise StreamError(StreamCondition.POLICY_VIOLATION, f"More than {limit} namespace declarations.")
        if self._depth == 0:
            self._prefixes.append((prefix, uri or ""))

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        """The XML declaration (RFC 6120 section 11.6: UTF-8 only)."""
        if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8"):
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "The encoding has to be UTF-8.")
        if version != "1.0":
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "The version of XML has to be 1.0.")

    def _open(self, name: str, attrs: dict[str, str]) -> None:
        """The root element."""
        if name != STREAM:
            _, local = split(name)
            if local == "stream":
                raise StreamError(StreamCondition.INVALID_NAMESPACE, "The stream is not in the namespace of streams.")
            raise StreamError(StreamCondition.BAD_FORMAT, "The root element is no stream.")
        bound = dict(self._prefixes)
        content = bound.pop(None, "")
        foreign = tuple((prefix or "", uri) for prefix, uri in bound.items() if (prefix, uri) != ("stream", ns.STREAMS))
        if content not in self._content and not (content in ("", ns.STREAMS) and set(bound.values()) & self._content):
            if content not in ("", ns.STREAMS):
                raise StreamError(StreamCondition.INVALID_NAMESPACE, "The content namespace is not served here.")
            content = next(iter(sorted(self._content)))
        served = content if content in self._content else next(iter(set(bound.values()) & self._content))
        self._header = StreamHeader(attrs, served, foreign)
        self._kinds = {f"{served} {kind}": kind for kind in NAME_LENGTHS}
        self._boundary = self._expat.CurrentByteIndex
        window, at = self._window, self._boundary - self._base
        tag = START_TAG.match(window, at)
        assert tag is not None  # expat has seen it
        if tag.end() - at > self._limits.headBytes:
            raise tooBig("stream header")
        self._root = tag[0].split(None, 1)[0].rstrip(b"/>")
        self._boundary += tag.end() - at
        self._namespaces = 0
        self._events.append(self._header)

    def _checkGap(self, start: int) -> None:
        """Only white space may stand between stanzas."""
        gap = bytes(self._window[self._boundary - self._base : start - self._base])
        if gap.strip(WHITESPACE):
            raise StreamError(StreamCondition.BAD_FORMAT, "There is text between stanzas.")

    def _complete(self) -> None:
        """A stanza is complete: cut it out."""
        window, base = self._window, self._base
        start = self._stanzaStart - base
        names = self._childNames
        tag = None if names else START_TAG.match(window, start)
        if tag is not None and window[tag.end() - 2 : tag.end()] == b"/>":
            end = tag.end()
        else:
            end = window.index(b">", self._expat.CurrentByteIndex - base) + 1
        self._boundary = base + end
        if end - start > self._limits.stanzaBytes:
            raise tooBig("stanza")
        raw = bytes(window[start:end])
        name = self._stanzaName
        kind = self._kinds.get(name, "")
        header = self._header
        if header is not None and (header.prefixes or header.content != ns.CLIENT or not raw.startswith(_STARTS[kind])):
            stanza = self._normalised(kind, name, raw)
        else:
            stanza = Stanza(kind, name, self._stanzaAttrs, names, raw)
        self._events.append(stanza)
        self._childNames = []
        self._elements = self._namespaces = 0

    def _normalised(self, kind: str, name: str, raw: bytes) -> Stanza:
        """The stanza as it has to be in a client stream that binds nothing but the prefix C{stream}."""
        header = self._header
        assert header is not None
        content = header.content
        names: list[str] = self._childNames
        attrs = self._stanzaAttrs
        plain = kind and not header.prefixes and raw.startswith(_STARTS[kind])
        if plain and b"jabber:client" not in raw and b"jabber:server" not in raw and b"jabber:component" not in raw:
            names = [_moved(each, content) for each in names]
            return Stanza(kind, f"{ns.CLIENT} {kind}", attrs, names, raw)
        context = dict((*STREAM_CONTEXT, *header.prefixes))
        default = dict(self._prefixes).get(None, "")
        tree = parse(raw, default, tuple(context.items()))
        if kind and content != ns.CLIENT:
            tree = _movedTree(tree, content)
            names = [_moved(each, content) for each in names]
            name = f"{ns.CLIENT} {kind}"
        return Stanza(kind, name, attrs, names, tree.toBytes())

    # --- keeping expat small

    def _recycle(self) -> None:
        """Replace expat; feed the unfinished stanza again."""
        opened = self._openingTag()
        self._expat = bareExpat()
        self._expat.Parse(opened, False)
        self._listen()
        self._base = self._boundary = self._stanzaStart = len(opened)
        self._fed = 0
        self._depth = 1
        self._childNames = []
        self._elements = self._namespaces = 0
        if self._pending:
            self._window = self._pending
            self._parse(bytes(self._pending))

    def _openingTag(self) -> bytes:
        """A start tag with the root's own name that binds what the header bound."""
        declared = "".join(
            f" xmlns{':' + prefix if prefix else ''}='{escapeAttribute(uri)}'"
            for prefix, uri in dict(self._prefixes).items()
        )
        return self._root + declared.encode() + b">"


_STARTS: Final[dict[str, bytes]] = {"": b"<", "message": b"<message", "presence": b"<presence", "iq": b"<iq"}


def _moved(name: str, content: str) -> str:
    """A child's name as it is in a client stream."""
    return ns.CLIENT + name[len(content) :] if name.startswith(content + " ") else name


def _movedTree(tree: Element, content: str) -> Element:
    """A stanza's tree moved into the namespace of client streams; a stanza forwarded inside keeps its own."""
    children = tuple(
        _movedTree(child, content) if isinstance(child, Element) and child.ns == content else child
        for child in tree.children
    )
    return Element(tree.name, ns.CLIENT, tree.attrs, children)


def tooBig(what: str) -> StreamError:
    """The error for a stanza, or a tag, over its limit."""
    return StreamError(StreamCondition.POLICY_VIOLATION, f"The {what} is too big.")


def restricted(what: str) -> StreamError:
    """The error for XML that XMPP does not allow (RFC 6120 section 11.1)."""
    return StreamError(StreamCondition.RESTRICTED_XML, f"{what} is not allowed.")


def _refuseComment(data: str) -> None:
    raise restricted("A comment")


def _refuseInstruction(target: str, data: str) -> None:
    raise restricted("A processing instruction")


def _refuseDoctype(*names: object) -> None:
    raise restricted("A document type")
