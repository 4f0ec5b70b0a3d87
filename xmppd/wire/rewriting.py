"""
An element written again without the prefixes that were bound around it (RFC 6120 sections 4.8.5 and 8).

What comes out are the bytes that L{xmppd.wire.element.parse}, L{xmppd.wire.stanza.renamed} and C{toBytes} would make
together. But no tree is built, and the output has a bound while it is written: a name of six octets can stand for a
namespace of hundreds, and whoever sends such things decides how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from xml.parsers import expat

from xmppd.wire import ns
from xmppd.wire.element import (
    DEPTH,
    STREAM_CONTEXT,
    bareExpat,
    escapeAttribute,
    escapeText,
    inContext,
    split,
    startTag,
)
from xmppd.wire.refusals import refuseComment, refuseInstruction, tooBig

CHUNK: Final = 65536
"""Up to how many characters of text expat hands over at once."""

_FAMILY: Final = "jabber:"
"""What all content namespaces begin with."""

_MOVED: Final = {
    ns.SERVER: {
        f"{ns.SERVER} {name}": f"{ns.CLIENT} {name}"
        for name in ("body", "subject", "thread", "show", "status", "priority", "error")
    }
}
"""The answers for the children that stanzas have most often (RFC 6121)."""

_NOTHING: Final[dict[str, str]] = {}


class _Writer:
    """
    Writes what expat tells.

    @ivar parts: what has been written.
    """

    __slots__ = ("_left", "_names", "_new", "_old", "_open", "_stack", "parts")

    def __init__(self, old: str, new: str, most: int) -> None:
        self.parts: list[str] = []
        self._old = old
        self._new = new
        self._left = most
        self._stack: list[tuple[str, str, bool]] = []  # name as written, default namespace, whether to rename inside
        self._open = False  # whether the last start tag lacks its closing bracket
        self._names: dict[str, tuple[str, str]] = {}

    def start(self, name: str, attrs: dict[str, str]) -> None:
        """A start tag."""
        stack, names = self._stack, self._names
        if not stack:  # what was in force around the element
            stack.append(("", ns.CLIENT, True))
            return
        parts = self.parts
        if self._open:
            parts.append(">")
        if len(stack) > DEPTH:
            raise ValueError(f"elements are nested deeper than {DEPTH}")
        both = names.get(name)
        if both is None:
            both = names[name] = split(name)
        namespace, local = both
        _, inherited, renames = stack[-1]
        if renames:
            if namespace == self._old:
                namespace = self._new
            elif namespace == self._new:
                namespace = self._old
            else:
                renames = False
        if namespace == ns.XML:  # which may be bound to the prefix xml only
            local, namespace = f"xml:{local}", inherited
        declaration = "" if namespace == inherited else f" xmlns='{escapeAttribute(namespace)}'"
        tag = startTag(local, attrs, declaration) if attrs else f"<{local}{declaration}"
        parts.append(tag)
        self._left -= len(tag)
        if self._left < 0:
            raise tooBig("stanza")
        stack.append((local, namespace, renames))
        self._open = True

    def end(self, name: str) -> None:
        """An end tag."""
        local = self._stack.pop()[0]
        if not local:
            return
        if self._open:
            self.parts.append("/>")
            self._open = False
            self._left -= 2
        else:
            self.parts.append(f"</{local}>")
            self._left -= len(local) + 3

    def data(self, text: str) -> None:
        """Character data."""
        if len(self._stack) < 2:
            return  # white space around the element
        if self._open:
            self.parts.append(">")
            self._open = False
        text = escapeText(text)
        self.parts.append(text)
        self._left -= len(text)


@lru_cache(16)
def _context(default: str, prefixes: tuple[tuple[str, str], ...]) -> bytes:
    """The start tag of an element that binds what was in force."""
    document, at = inContext(b"", default, tuple({**dict(STREAM_CONTEXT), **dict(prefixes)}.items()))
    return document[:at]


def rewritten(
    data: bytes, default: str, prefixes: tuple[tuple[str, str], ...], old: str, new: str, most: int
) -> bytes:
    """
    Write an element, which a parser has seen, for where the default namespace is C{jabber:client} and no prefix is
    bound.

    @param default: the default namespace in force where C{data} stood.
    @param prefixes: the prefixes in force there, besides C{stream}.
    @param old: the namespace that changes places with C{new}, see L{xmppd.wire.stanza.renamed}; may be the same.
    @param most: how many octets may come out.
    @raise StreamError: policy-violation, it would get longer.
    @raise ValueError: it is not well-formed or nested deeper than L{DEPTH}.
    """
    writer = _Writer(old, new, most)
    parser = bareExpat()
    parser.buffer_text = True
    parser.buffer_size = CHUNK
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.data
    parser.CommentHandler = refuseComment
    parser.ProcessingInstructionHandler = refuseInstruction
    try:
        parser.Parse(b"%b%b</context>" % (_context(default, prefixes), data), True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed: {error}") from error
    raw = "".join(writer.parts).encode()
    if len(raw) > most:
        raise tooBig("stanza")
    return raw


def moved(names: Sequence[str], content: str) -> list[str]:
    """Names of children as they are in a client stream, see L{xmppd.wire.stanza.renamed}."""
    known = _MOVED.get(content, _NOTHING)
    return [known.get(name) or (_moved(name, content) if name.startswith(_FAMILY) else name) for name in names]


def _moved(name: str, content: str) -> str:
    if name.startswith(content) and name[len(content)] == " ":
        return ns.CLIENT + name[len(content) :]
    return content + name[len(ns.CLIENT) :] if name.startswith(ns.CLIENT + " ") else name
