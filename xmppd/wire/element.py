"""
A small immutable XML tree, for what the server has to look into.

Stanzas travel as bytes; only payloads that the server itself answers, and what it says itself, become trees. Names
follow L{xmppd.wire.ns}: an element has C{ns} and C{name}, an attribute in a namespace has the key C{"ns local"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from xmppd.wire import ns
from xmppd.wire.ns import CLIENT

if TYPE_CHECKING:
    from pyexpat import XMLParserType

LANG: Final = ns.XML + " lang"
"""The key of the attribute C{xml:lang}."""

STREAM_CONTEXT: Final[tuple[tuple[str, str], ...]] = (("stream", ns.STREAMS),)
"""The prefixes every stream of this server binds."""

DEPTH: Final = 200
"""How deep a tree may be: what walks it may be recursive."""

_TEXT = re.compile("[&<>\r]")
_TEXT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ATTRIBUTE = re.compile("[&<>'\t\n\r]")
_ATTRIBUTE_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escapeText(text: str) -> str:
    """Escape character data, so that a parser reads back exactly C{text}."""
    return _TEXT.sub(lambda found: _TEXT_ESCAPES[found[0]], text) if _TEXT.search(text) else text


def escapeAttribute(text: str) -> str:
    """Escape an attribute value for single quotes; white space too, which a parser would normalise otherwise."""
    return _ATTRIBUTE.sub(lambda found: _ATTRIBUTE_ESCAPES[found[0]], text) if _ATTRIBUTE.search(text) else text


def writable(text: str) -> str:
    """Replace what XML 1.0 can't hold (control characters, surrogates) by U+FFFD: for texts that aren't from XML."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def split(name: str) -> tuple[str, str]:
    """Split C{"namespace local"} into its two parts; the namespace is empty if there is none."""
    namespace, _, local = name.rpartition(" ")
    return namespace, local


@dataclass(frozen=True, slots=True)
class Element:
    """
    An element: a value, compared by content.

    @ivar name: local name.
    @ivar ns: namespace, empty for none.
    @ivar attrs: values by key.
    @ivar children: elements and texts in order.
    """

    name: str
    ns: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Element | str, ...] = ()

    @property
    def qname(self) -> str:
        """C{"namespace local"}."""
        return f"{self.ns} {self.name}" if self.ns else self.name

    @property
    def text(self) -> str:
        """The character data directly inside."""
        return "".join(child for child in self.children if isinstance(child, str))

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of an attribute."""
        return self.attrs.get(key, default)

    def elements(self, name: str | None = None, namespace: str | None = None) -> Iterator[Element]:
        """The child elements, or those with that local name (in that namespace, by default the element's own)."""
        wanted = self.ns if namespace is None else namespace
        for child in self.children:
            if isinstance(child, Element) and (name is None or (child.name == name and child.ns == wanted)):
                yield child

    def find(self, name: str, namespace: str | None = None) -> Element | None:
        """The first such child element, or None."""
        return next(self.elements(name, namespace), None)

    def textOf(self, name: str, namespace: str | None = None) -> str | None:
        """The text of the first such child element, or None."""
        found = self.find(name, namespace)
        return None if found is None else found.text

    def toBytes(self, inherited: str = CLIENT) -> bytes:
        """
        Serialise.

        @param inherited: the default namespace where the bytes will stand.
        """
        parts: list[str] = []
        _write(self, inherited, parts)
        return "".join(parts).encode()


def startTag(name: str, attrs: Mapping[str, str], declaration: str = "") -> str:
    """
    A start tag without its closing bracket; attributes in namespaces get prefixes of their own.

    @param declaration: text put behind the name, for C{xmlns}.
    """
    parts = [f"<{name}{declaration}"]
    for index, (key, value) in enumerate(attrs.items()):
        if " " not in key:
            parts.append(f" {key}='{escapeAttribute(value)}'")
            continue
        namespace, local = split(key)
        if namespace == ns.XML:
            parts.append(f" xml:{local}='{escapeAttribute(value)}'")
        else:
            bound = escapeAttribute(namespace)
            parts.append(f" xmlns:a{index}='{bound}' a{index}:{local}='{escapeAttribute(value)}'")
    return "".join(parts)


def _write(element: Element, inherited: str, parts: list[str]) -> None:
    """Serialise into C{parts}; recursion is bounded by L{DEPTH}."""
    name, default = element.name, element.ns
    if default == ns.XML:  # which may be bound to the prefix xml only
        name, default = f"xml:{name}", inherited
    declaration = "" if default == inherited else f" xmlns='{escapeAttribute(default)}'"
    parts.append(startTag(name, element.attrs, declaration))
    if not element.children:
        parts.append("/>")
        return
    parts.append(">")
    for child in element.children:
        if isinstance(child, str):
            parts.append(escapeText(child))
        else:
            _write(child, default, parts)
    parts.append(f"</{name}>")


class _Builder:
    """Builds trees from expat's events."""

    __slots__ = ("_stack", "_texts", "root")

    def __init__(self) -> None:
        self.root: Element | None = None
        self._stack: list[tuple[str, dict[str, str], list[Element | str]]] = []
        self._texts: list[str] = []

    def start(self, name: str, attrs: dict[str, str]) -> None:
        """A start tag."""
        self._flush()
        if len(self._stack) > DEPTH:
            raise ValueError(f"elements are nested deeper than {DEPTH}")
        self._stack.append((name, attrs, []))

    def end(self, name: str) -> None:
        """An end tag."""
        self._flush()
        name, attrs, children = self._stack.pop()
        namespace, local = split(name)
        element = Element(local, namespace, attrs, tuple(children))
        if self._stack:
            self._stack[-1][2].append(element)
        else:
            self.root = element

    def data(self, text: str) -> None:
        """Character data; joined once, since expat cuts it at every line and entity."""
        self._texts.append(text)

    def _flush(self) -> None:
        if self._texts:
            self._stack[-1][2].append("".join(self._texts))
            self._texts.clear()


def bareExpat() -> XMLParserType:
    """
    An expat parser as all of xmppd uses it: UTF-8 whatever the document says, names as C{"namespace local"}, no
    interning (its dictionary would grow with every name a peer invents), tokens reported as soon as they are complete.
    """
    parser = expat.ParserCreate("utf-8", " ", None)
    if hasattr(parser, "SetReparseDeferralEnabled"):
        parser.SetReparseDeferralEnabled(False)
    return parser


def inContext(data: bytes, default: str, prefixes: tuple[tuple[str, str], ...]) -> tuple[bytes, int]:
    """
    Wrap the content of an element in an element that binds what was in force there.

    @return: a document, and at which byte of it C{data} begins.
    """
    declared = "".join(f" xmlns:{prefix}='{escapeAttribute(uri)}'" for prefix, uri in prefixes)
    start = f"<context xmlns='{escapeAttribute(default)}'{declared}>".encode()
    return start + data + b"</context>", len(start)


def parseContent(
    data: bytes, default: str = ns.CLIENT, prefixes: tuple[tuple[str, str], ...] = STREAM_CONTEXT
) -> tuple[Element | str, ...]:
    """
    Parse the content of an element into trees and texts.

    @param default: the default namespace in force where C{data} stood.
    @param prefixes: prefixes in force there.
    @raise ValueError: it is not well-formed, is nested deeper than L{DEPTH}, or holds a comment or a processing
        instruction (RFC 6120 section 11.1).
    """
    builder = _Builder()
    parser = bareExpat()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.CommentHandler = parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(inContext(data, default, prefixes)[0], True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed: {error}") from error
    assert builder.root is not None  # expat wants one
    return builder.root.children


def _refuse(*content: str) -> None:
    raise ValueError("comments and processing instructions are not allowed")


def parse(data: bytes, default: str = ns.CLIENT, prefixes: tuple[tuple[str, str], ...] = STREAM_CONTEXT) -> Element:
    """
    Parse exactly one element, with nothing but white space around it. Parameters and errors as for L{parseContent}.
    """
    roots = parseContent(data, default, prefixes)
    found = [root for root in roots if isinstance(root, Element)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} elements in place of one")
    if any(isinstance(root, str) and root.strip(" \t\r\n") for root in roots):
        raise ValueError("there is text around the element")
    return found[0]
