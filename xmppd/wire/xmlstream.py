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

Four rules make C{Stanza.raw} safe to pass on verbatim (see L{xmppd.wire.stanza}): the stanza's name is unprefixed and
in the stream's content namespace, that is the default namespace of the stream, the stanza uses no prefix bound by the
header but C{stream}, and if it comes from another kind of stream, nothing in it depends on that. Where they don't hold,
the stanza is written again, and keeps its meaning.

What comes out doesn't depend on how the input was cut. Expat is only ever fed up to a C{>}: nothing can be complete
before one has come, and the rest is kept. What can be told earlier (text between stanzas, something too long) is told
in the same way when it is found later, see C{_judge}. Only a mistake in the middle of a tag of several kilobytes may
wait for the end of that tag, see C{_closes}.

Expat remembers every name it has met for as long as the parser lives, and so it is replaced now and then, between two
stanzas or by feeding it the unfinished one again: a peer that invents names can't make it grow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from xml.parsers import expat

from xmppd.wire import ns
from xmppd.wire.element import (
    DEPTH,
    LANG,
    bareExpat,
    escapeAttribute,
    split,
)
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.refusals import (
    refuseComment,
    refuseDeclaration,
    refuseDoctype,
    refuseInstruction,
    refuseNamespace,
    restricted,
    textBetween,
    tooBig,
    tooMany,
)
from xmppd.wire.rewriting import moved, rewritten
from xmppd.wire.stanza import NAME_LENGTHS, START_TAG, STARTS, Stanza, portable

STREAM: Final = ns.STREAMS + " stream"
PATIENCE: Final = 4096
"""From how many bytes on an unfinished tag is not shown to expat again before it ends."""

DEPENDENT: Final = 5_000
"""How many elements a stanza may have that has to be written again."""

LONG: Final = 100
"""From how many characters on it is counted how often the name of a namespace is used for attributes."""

_INK: Final = re.compile(rb"[^ \t\r\n]")
_QUOTE_OR_END: Final = re.compile(rb"""["'>]""")
_INSTRUCTION_END: Final = re.compile(rb"-->|\?>")

_KNOWN: Final = frozenset(uri for name, uri in vars(ns).items() if name.isupper())


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """
    What one peer may send.

    @ivar stanzaBytes: size of a stanza.
    @ivar headBytes: size of the stream header and of whatever stands before it.
    @ivar depth: how deep elements may be nested, the stanza counted; at most L{DEPTH}.
    @ivar children: how many children a stanza may have.
    @ivar elements: how many elements there may be in a stanza below its children.
    @ivar names: how many characters the names of all elements in a stanza may have, each with its namespace written
        out; also those of their attributes, as soon as a namespace has more than L{LONG} of them.
    @ivar attributes: how many attributes one element may have.
    @ivar namespaces: how many namespace declarations there may be in a stanza.
    @ivar namespaceLength: how many characters a namespace may have; each name in it is held with it.
    @ivar recycleBytes: after how many bytes expat is replaced.
    """

    stanzaBytes: int = 262144
    headBytes: int = 16384
    depth: int = 64
    children: int = 5000
    elements: int = 20000
    names: int = 1048576
    attributes: int = 64
    namespaces: int = 256
    namespaceLength: int = 512
    recycleBytes: int = 131072

    def __post_init__(self) -> None:
        if self.depth > DEPTH:
            raise ValueError(f"elements can't be nested deeper than {DEPTH}")


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
        if text == "1.0":
            return (1, 0)
        if text is None:
            return (0, 9)
        major, dot, minor = text.partition(".")
        if not (text.isascii() and dot and major.isdecimal() and minor.isdecimal() and len(text) <= 16):
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
    The parser of one stream, from its header to its end. A restarted stream gets a new one. What comes after the end is
    ignored.

    @ivar error: why it stopped, or None. What L{feed} answered before is still good; nothing comes after.
    """

    __slots__ = (
        "_base",
        "_boundary",
        "_childNames",
        "_contents",
        "_default",
        "_depth",
        "_elements",
        "_ended",
        "_events",
        "_expat",
        "_fed",
        "_header",
        "_inCDATA",
        "_kind",
        "_kinds",
        "_limits",
        "_long",
        "_longHeader",
        "_names",
        "_namespaces",
        "_pending",
        "_prefixes",
        "_quote",
        "_resting",
        "_root",
        "_stanzaAttrs",
        "_stanzaName",
        "_stanzaStart",
        "_unfed",
        "_uses",
        "_verbatim",
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
        self._contents = contents
        self._kinds: dict[str, str] = {}
        self._header: StreamHeader | None = None
        self._prefixes: dict[str | None, str] = {}
        self._default = ""  # the header's default namespace
        self._uses: tuple[bytes, ...] = ()  # what bytes that use one of its prefixes contain
        self._verbatim = False  # whether it is that of a client stream and binds no prefixes
        self._ended = False
        self._events: list[Event] = []
        self._pending = bytearray()
        self._window: bytes | bytearray = b""
        self._base = 0  # expat's index of the first byte of _window
        self._boundary = 0  # expat's index of the end of the last complete stanza
        self._unfed = 0  # how many bytes at the end of the window expat has not seen
        self._quote: bytes | None = None  # see _closes
        self._inCDATA = False
        self._fed = 0
        self._depth = 0
        self._root = b""
        self._kind = ""
        self._stanzaName = ""
        self._stanzaAttrs: dict[str, str] = {}
        self._stanzaStart = 0
        self._childNames: list[str] = []
        self._elements = self._names = self._namespaces = 0
        self._long = self._longHeader = False  # whether a long namespace was declared, in the stanza or in the header
        self._resting = False
        self._expat = bareExpat()
        self._listen()
        self._expat.XmlDeclHandler = refuseDeclaration

    def feed(self, data: bytes) -> list[Event]:
        """
        Take bytes; answer what they complete, in order. If something is wrong with them, C{error} is set and the
        answer holds what came before the mistake.
        """
        if self.error is not None or self._ended:
            return []
        if self._resting:
            self._resting = False
            self._recycle()
        events = self._events = []
        end = data.rfind(b">") + 1
        if (self._quote is not None and not self._closes(data)) or not end:
            self._hold(data)
            return events
        pending = self._pending
        rest = len(data) - end
        if pending:
            begin = len(pending) - self._unfed
            pending += data
            self._window = pending
            data = bytes(pending[begin : len(pending) - rest])
        else:
            self._window = data
            if rest:
                data = data[:end]
        self._unfed = rest
        self._fed += len(data)
        self._parse(data)
        if self._ended:
            self._pending = bytearray()
        elif self.error is None:
            self._keep()
        self._window = b""
        return events

    @property
    def unfinished(self) -> bool:
        """Whether something has begun that isn't complete, or is wrong."""
        return bool(self._pending) or self._depth > 1 or self.error is not None

    def rest(self) -> None:
        """
        Give expat's memory back until more bytes come, about 10 kB. Does nothing unless the stream is between two
        stanzas; costs the next chunk the making of another.
        """
        if self._depth == 1 and not self._pending and self.error is None and not self._ended and not self._resting:
            self._resting = True
            self._expat = _RESTING
            self._events = []
            self._stanzaAttrs = _NOTHING  # the last stanza's

    def _hold(self, data: bytes) -> None:
        """Nothing can be complete yet: keep the bytes."""
        pending = self._pending
        pending += data
        self._unfed += len(data)
        if len(pending) == self._unfed and self._header is not None:
            ink = _INK.search(pending)  # keep-alive between stanzas, which expat need not see
            del pending[: len(pending) if ink is None else ink.start()]
            self._unfed = len(pending)
        self._checkPending()

    def _parse(self, data: bytes) -> None:
        """Feed expat and translate its errors."""
        try:
            self._expat.Parse(data, False)
        except StreamError as error:
            self.error = self._judge(error)
        except expat.ExpatError as error:
            condition = _CONDITIONS.get(error.code, StreamCondition.NOT_WELL_FORMED)
            self.error = self._judge(StreamError(condition, f"{expat.ErrorString(error.code).capitalize()}."))

    def _keep(self) -> None:
        """Keep what is not complete yet."""
        window = self._window
        length = len(window)
        keepFrom = (self._stanzaStart if self._depth > 1 else self._boundary) - self._base
        if keepFrom < length and self._depth < 2 and _INK.search(window, keepFrom) is None:
            self._boundary = self._base + length - self._unfed
            self._unfed = 0
            keepFrom = length
        if keepFrom >= length:
            self._base = self._boundary
            if self._pending:
                self._pending = bytearray()
        else:
            self._base += keepFrom
            if window is self._pending:
                del self._pending[:keepFrom]
            else:
                self._pending = bytearray(window[keepFrom:])
            self._checkPending()
            self._watch()
        if self._fed > self._limits.recycleBytes and self._depth and self.error is None:
            self._recycle()

    def _checkPending(self) -> None:
        """Is the incomplete end of the input too long, or can't it become good?"""
        pending = self._pending
        if self._depth < 2:
            self.error = self._early(pending, 0)
        if self.error is None and len(pending) > self._unitLimit():
            self.error = self._overrun(pending, 0, len(pending))

    def _unitLimit(self) -> int:
        """How many bytes the present stanza, or the header, may have."""
        return self._limits.headBytes if self._header is None else self._limits.stanzaBytes

    def _early(self, window: bytes | bytearray, at: int) -> StreamError | None:
        """What the first bytes between stanzas, or before the header, tell before they are complete."""
        ink = _INK.search(window, at)
        if ink is None:
            return None
        start = bytes(window[ink.start() : ink.start() + 3])
        if self._header is None:
            if start[:1] != b"<" and not b"\xef\xbb\xbf".startswith(start):
                return StreamError(StreamCondition.NOT_WELL_FORMED, "This is no XML stream.")
        elif start[:1] != b"<" or start == b"<![":
            return textBetween()
        if start in (b"<!-", b"<!D") or (start[:2] == b"<?" and self._header is not None):
            return restricted("A comment, a processing instruction or a document type")
        return None

    def _judge(self, error: StreamError) -> StreamError | None:
        """
        What would have been told about a mistake if the bytes of the window had come one at a time: perhaps something
        else, and earlier. Nothing, if it stands behind the end of the stream.
        """
        if self._ended:
            return None
        begin = max(0, self._boundary - self._base)
        early = self._early(self._window, begin)
        return early or self._overrun(self._window, begin, len(self._window) - self._unfed) or error

    def _overrun(self, window: bytes | bytearray, begin: int, end: int) -> StreamError | None:
        """
        What to tell if the stanza that begins in the window, or the header, is too big: that, or what is wrong with
        its first bytes, up to the limit.
        """
        limit = self._unitLimit()
        if self._header is not None:
            ink = _INK.search(window, begin)
            begin = end if ink is None else ink.start()
        if end - begin <= limit:
            return None
        unit = bytes(window[begin : begin + limit])
        other = XMLStreamParser(self._limits, self._contents)
        if self._header is not None:
            other.feed(self._openingTag())
        other.feed(unit[: unit.rfind(b">") + 1])
        return other.error or tooBig("stream header" if self._header is None else "stanza")

    # --- long tags

    def _watch(self) -> None:
        """
        Is there a long unfinished tag? Expat scans an unfinished tag from its start whenever it is fed, and attribute
        values and comments may hold C{>}: a peer that sends many of them could make that costly.
        """
        seen = len(self._pending) - self._unfed
        if seen <= PATIENCE or self._inCDATA:
            return
        token = self._expat.CurrentByteIndex - self._base
        if seen - token <= PATIENCE or self._pending[token : token + 1] != b"<":
            return
        self._quote = b"<" if bytes(self._pending[token + 1 : token + 2]) in (b"!", b"?") else b""
        self._closes(bytes(self._pending[token:]))

    def _closes(self, data: bytes) -> bool:
        """
        Does the long tag end in C{data}? C{_quote} says where we are: inside quotes, in the tag, or (C{<}) in a comment
        or instruction; None if there is no long tag.
        """
        at = 0
        while self._quote is not None:
            if self._quote == b"<":
                end = _INSTRUCTION_END.search(bytes(self._pending[-2:]) + data)
                self._quote = b"<" if end is None else None
                break
            if self._quote:
                at = data.find(self._quote, at) + 1
                if not at:
                    break
                self._quote = b""
            found = _QUOTE_OR_END.search(data, at)
            if found is None:
                break
            at = found.end()
            self._quote = None if found[0] == b">" else found[0]
        return self._quote is None

    # --- what expat calls

    def _listen(self) -> None:
        """Have expat's events come here, and refuse what RFC 6120 section 11.1 refuses."""
        parser = self._expat
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartCdataSectionHandler = self._startCDATA
        parser.EndCdataSectionHandler = self._endCDATA
        parser.CommentHandler = refuseComment
        parser.ProcessingInstructionHandler = refuseInstruction
        parser.StartDoctypeDeclHandler = refuseDoctype

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        depth = self._depth
        self._depth = depth + 1
        if attrs:
            if len(attrs) > self._limits.attributes:
                raise tooMany(self._limits.attributes, "attributes")
            if self._long:
                self._names += sum(map(len, attrs))
        if depth == 2:
            names = self._childNames
            names.append(name)
            self._names += len(name)
            limits = self._limits
            if len(names) > limits.children or self._names > limits.names:
                raise tooMany(limits.children, "children, or their names are too long")
        elif depth > 2:
            self._elements += 1
            self._names += len(name)
            limits = self._limits
            if depth > limits.depth or self._elements > limits.elements or self._names > limits.names:
                raise StreamError(StreamCondition.POLICY_VIOLATION, "A stanza nests too deep or has too many elements.")
        elif depth == 1:
            self._stanzaName = name
            self._stanzaAttrs = attrs
            self._stanzaStart = start = self._expat.CurrentByteIndex
            if start != self._boundary:
                self._checkGap(start)
            self._kind = kind = self._kinds.get(name, "")
            if not kind and name == STREAM:
                raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, "The stream has been opened already.")
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
            self._ended = True
            self._events.append(END)

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._namespaces += 1
        if self._namespaces > self._limits.namespaces:
            raise tooMany(self._limits.namespaces, "namespace declarations")
        if self._depth == 0:
            self._prefixes[prefix] = uri or ""
        if uri and uri not in _KNOWN:
            self._long = self._long or len(uri) > LONG
            refuseNamespace(uri, self._limits.namespaceLength)

    def _startCDATA(self) -> None:
        self._inCDATA = True

    def _endCDATA(self) -> None:
        self._inCDATA = False

    def _open(self, name: str, attrs: dict[str, str]) -> None:
        """The root element."""
        if name != STREAM:
            _, local = split(name)
            if local == "stream":
                raise StreamError(StreamCondition.INVALID_NAMESPACE, "The stream is not in the namespace of streams.")
            raise StreamError(StreamCondition.BAD_FORMAT, "The root element is no stream.")
        window, at = self._window, self._expat.CurrentByteIndex
        tag = START_TAG.match(window, at)  # the window begins with the input
        assert tag is not None  # expat has seen it
        if tag.end() > self._limits.headBytes:
            raise tooBig("stream header")
        content = self._contentNamespace()
        foreign = tuple(
            (prefix or "", uri)
            for prefix, uri in self._prefixes.items()
            if prefix not in (None, "xml") and (prefix, uri) != ("stream", ns.STREAMS)
        )
        self._uses = tuple(prefix.encode() + b":" for prefix, _ in foreign)
        self._verbatim = not foreign and self._default == content == ns.CLIENT
        self._header = StreamHeader(_NOTHING, content, foreign)  # what will be asked again
        self._kinds = _kinds(content)
        self._root = tag[0].split(None, 1)[0].rstrip(b"/>")
        self._boundary = tag.end()
        self._namespaces = 0
        self._longHeader = self._long
        self._events.append(StreamHeader(attrs, content, foreign))

    def _contentNamespace(self) -> str:
        """
        The content namespace (RFC 6120 section 4.8.2): the default namespace of the header or, if that is none or the
        one of streams, one that it binds to a prefix or that the stanzas will declare.

        @raise StreamError: invalid-namespace.
        """
        default = self._default = self._prefixes.get(None, "")
        if default in self._contents:
            return default
        if default not in ("", ns.STREAMS):
            raise StreamError(StreamCondition.INVALID_NAMESPACE, "The content namespace is not served here.")
        return min(set(self._prefixes.values()) & self._contents or self._contents)

    def _checkGap(self, start: int) -> None:
        """Only white space may stand between stanzas."""
        ink = _INK.search(self._window, self._boundary - self._base)
        if ink is not None and ink.start() < start - self._base:
            raise textBetween()

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
        if end - start > self._limits.stanzaBytes:
            raise tooBig("stanza")
        raw = bytes(window[start:end])
        kind = self._kind
        if self._verbatim and raw.startswith(STARTS[kind]):
            stanza = Stanza(kind, self._stanzaName, self._stanzaAttrs, names, raw)
        else:
            stanza = self._normalised(kind, raw)
        self._events.append(stanza)
        self._boundary = base + end
        self._childNames = []
        self._elements = self._names = self._namespaces = 0
        self._long = self._longHeader

    def _normalised(self, kind: str, raw: bytes) -> Stanza:
        """The stanza as it has to be in a client stream that binds nothing but the prefix C{stream}."""
        header = self._header
        assert header is not None
        content = header.content
        name, attrs, names = self._stanzaName, self._stanzaAttrs, self._childNames
        if kind and content != ns.CLIENT:
            name = f"{ns.CLIENT} {kind}"
            names = moved(names, content)
        plain = kind and self._default == content and raw.startswith(STARTS[kind])
        if not plain or not portable(raw, content, self._uses):
            if self._elements + len(names) > DEPENDENT:
                raise tooMany(DEPENDENT, "elements in a stanza that has to be written again")
            old = content if kind else ns.CLIENT
            raw = rewritten(raw, self._default, header.prefixes, old, ns.CLIENT, self._limits.stanzaBytes)
        return Stanza(kind, name, attrs, names, raw)

    # --- keeping expat small

    def _recycle(self) -> None:
        """Replace expat; feed what it had seen of the unfinished stanza again."""
        opened = self._openingTag()
        self._expat = bareExpat()
        self._expat.Parse(opened, False)
        self._listen()
        self._base = self._boundary = len(opened)
        self._stanzaStart = 0
        self._fed = 0
        self._depth = 1
        self._childNames = []
        self._elements = self._names = self._namespaces = 0
        self._long = self._longHeader
        self._inCDATA = False
        seen = len(self._pending) - self._unfed
        if seen:
            self._window = self._pending
            self._parse(bytes(self._pending[:seen]))

    def _openingTag(self) -> bytes:
        """A start tag with the root's own name that binds what the header bound."""
        declared = "".join(
            f" xmlns{':' + prefix if prefix else ''}='{escapeAttribute(uri)}'" for prefix, uri in self._prefixes.items()
        )
        return self._root + declared.encode() + b">"


_NOTHING: Final[dict[str, str]] = {}


@lru_cache(16)
def _kinds(content: str) -> dict[str, str]:
    """The kind of stanza by name; not to be changed."""
    return {f"{content} {kind}": kind for kind in NAME_LENGTHS}


_RESTING: Final = bareExpat()
"""What stands in the place of a parser that rests; nothing is ever fed to it."""
