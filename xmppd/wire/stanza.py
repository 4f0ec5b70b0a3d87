"""
A stanza: what routing needs to know of it, and its bytes.

Theory of operation: C{raw} is always a complete, well-formed serialisation that means the same in every client stream
of this server, that is where the default namespace is C{jabber:client} and the prefix C{stream} is bound. The parser
guarantees it on the way in, so everything behind it may pass C{raw} on verbatim. Stamping the sender inserts one
attribute behind the element's name and copies the rest; nothing is parsed or escaped again.

Namespace prefixes bound on a stanza's own start tag are used by its content. Therefore whatever changes a stanza edits
its bytes: attributes are put into the start tag and taken out, children are cut out, and all the rest stays as it came.

A stanza belongs to one receiver at a time: whoever changes it for several (a carbon, an occupant of a room) makes new
ones with L{Stanza.addressed}, which share the inner bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from xmppd.wire import ns
from xmppd.wire.element import LANG, STREAM_CONTEXT, Element, bareExpat, inContext, parse, parseContent, startTag
from xmppd.wire.errors import StanzaCondition, StanzaError

BODY: Final = ns.CLIENT + " body"
ERROR: Final = ns.CLIENT + " error"

NAME_LENGTHS: Final[dict[str, int]] = {"message": 8, "presence": 9, "iq": 3}
"""How many bytes the bracket and the name of a stanza's start tag take."""

STARTS: Final[dict[str, tuple[bytes, ...]]] = {
    "": (b"<",),
    **{kind: tuple(f"<{kind}{after}".encode() for after in " >/\n\t\r") for kind in NAME_LENGTHS},
}
"""What the bytes of a stanza of each kind may begin with: its name without a prefix, and where that ends."""

START_TAG: Final = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
"""A start tag: attribute values may hold the closing bracket."""

_NAME = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=<>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_DECLARING: Final = re.compile(rb"""<[a-z]+(?:\s+[^\s=<>"']+\s*=\s*(?:"[^"]*"|'[^']*'))*?\s+xmlns\s*=""")
"""A stanza's start tag that declares the default namespace, up to there."""
ESCAPED: Final = re.compile(rb"""xmlns(?::[^\s:=<>"'/]*+)?+\s*+=\s*+(?:"[^"]*&|'[^']*&)""")
"""
A declaration of a namespace whose name is partly written as character references. Nothing is read twice, whatever texts
spell.
"""
_DOUBTFUL: Final[dict[tuple[bytes, ...], Callable[[bytes], object]]] = {
    (): re.compile(rb":(?<=[rsml]:)").search,
    (b"db:",): re.compile(rb":(?<=[rsmlb]:)").search,
}
"""
By prefixes: finds a colon that may be one of those that L{portable} looks for, behind C{jabber}, C{xmlns}, C{stream},
C{xml} or a prefix. It is much quicker than looking for each of them, and few stanzas have such a colon.
"""


class Stanza:
    """
    A message, a presence, an IQ, or another element on the level of stanzas (then C{kind} is empty).

    @ivar kind: "message", "presence", "iq", or "" for anything else.
    @ivar name: the element's name as "namespace local".
    @ivar attrs: the attributes; treat as read-only, except by what makes the stanza.
    @ivar childNames: the names of its child elements, in order.
    @ivar raw: the whole element as bytes, see the module.
    @ivar archived: whether the archive of the account it is for has it (XEP-0313); None as long as nobody has decided.
    @ivar promise: None, or a list to which whoever takes the stanza adds what has to be settled before the server may
        acknowledge it to its sender (see L{xmppd.ixmppd.ICustody}). Changed copies share it.
    """

    __slots__ = ("_elements", "archived", "attrs", "childNames", "kind", "name", "promise", "raw")

    def __init__(
        self, kind: str, name: str, attrs: dict[str, str], childNames: list[str] | tuple[str, ...], raw: bytes
    ) -> None:
        self.kind = kind
        self.name = name
        self.attrs = attrs
        self.childNames = childNames
        self.raw = raw
        self.promise: list[Any] | None = None
        self.archived: bool | None = None
        self._elements: tuple[Element, ...] | None = None

    def __repr__(self) -> str:
        """Without the content: this may end up in a log."""
        shown = {key: self.attrs[key] for key in ("from", "to", "type", "id") if key in self.attrs}
        return f"<Stanza {self.name} {shown} {len(self.raw)} bytes>"

    @property
    def to(self) -> str | None:
        """The address it is for, as it was written."""
        return self.attrs.get("to")

    @property
    def sender(self) -> str | None:
        """The address it is from; true once the session has stamped it."""
        return self.attrs.get("from")

    @property
    def type(self) -> str | None:
        """The attribute C{type}."""
        return self.attrs.get("type")

    @property
    def id(self) -> str | None:
        """The attribute C{id}."""
        return self.attrs.get("id")

    @property
    def inner(self) -> bytes:
        """The bytes between start tag and end tag. They may use prefixes that the start tag binds."""
        start = START_TAG.match(self.raw)
        assert start is not None  # the parser has seen this tag
        if self.raw[start.end() - 2 : start.end()] == b"/>":
            return b""
        return self.raw[start.end() : self.raw.rindex(b"</")]

    def elements(self) -> tuple[Element, ...]:
        """The child elements as trees; parsed at first use."""
        if self._elements is None:
            self._elements = tuple(child for child in self.element().children if isinstance(child, Element))
        return self._elements

    def element(self) -> Element:
        """The whole element as a tree."""
        return parse(self.raw)

    def find(self, name: str) -> Element | None:
        """The first child element called C{"namespace local"}, or None; parses only if there is one."""
        if name not in self.childNames:
            return None
        return next((child for child in self.elements() if child.qname == name), None)

    def stamp(self, full: str, starts: Mapping[str, bytes], language: str | None = None) -> None:
        """
        Put the true sender in, in place; and the language of the sender's stream, if that is known.

        @param full: the sender.
        @param starts: for each kind the bytes C{<kind from='full'} with the address escaped.
        """
        attrs = self.attrs
        if language is not None:
            self.speak(language)
        if "from" in attrs:
            if attrs["from"] != full:
                self.raw = self.addressed({"from": full}).raw
                attrs["from"] = full
            return
        attrs["from"] = full
        kind = self.kind
        self.raw = starts[kind] + self.raw[NAME_LENGTHS[kind] :]

    def speak(self, language: str) -> None:
        """
        Put the language of the sender's stream in, in place, unless the stanza names one (RFC 6120 section 8.1.5).
        """
        if LANG not in self.attrs:
            self.raw = _edited(self.raw, {LANG: language})
            self.attrs[LANG] = language

    def addressed(self, changes: Mapping[str, str | None]) -> Stanza:
        """
        The same content under changed attributes; None removes one. The original stays as it is.

        @param changes: keys are names without a namespace, or L{LANG}.
        @raise ValueError: other keys.
        """
        attrs = dict(self.attrs)
        for key, value in changes.items():
            if " " in key and key != LANG:
                raise ValueError("attributes in namespaces can't be changed")
            if value is None:
                attrs.pop(key, None)
            else:
                attrs[key] = value
        raw, kind = self.raw, self.kind
        found = START_TAG.match(raw)
        assert found is not None  # the parser has seen this tag
        start = found[0]
        if kind and b"xmlns" not in start:  # quicker, and often done
            close = b"/>" if start.endswith(b"/>") else b">"
            raw = startTag(kind, attrs).encode() + close + raw[len(start) :]
        else:
            raw = _edited(raw, changes)
        return Stanza(kind, self.name, attrs, self.childNames, raw)

    def extended(self, addition: bytes, names: tuple[str, ...]) -> Stanza:
        """
        A copy with more content at the end.

        @param addition: elements, as for L{Stanza.raw}.
        @param names: their names, "namespace local".
        """
        copy = Stanza(self.kind, self.name, dict(self.attrs), self.childNames, self.raw)
        copy.append(addition, names)
        return copy

    def append(self, addition: bytes, names: tuple[str, ...]) -> None:
        """
        Put more content at the end, in place: for all who are given this stanza. Parameters as for L{extended}.
        """
        raw = self.raw
        if raw.endswith(b"/>"):  # there is nothing inside
            name = _head(raw)[0]
            self.raw = raw[:-2] + b">" + addition + b"</" + name[1:] + b">"
        else:
            end = raw.rindex(b"</")
            self.raw = raw[:end] + addition + raw[end:]
        self.childNames = [*self.childNames, *names]
        self._elements = None

    def without(self, names: frozenset[str]) -> Stanza:
        """A copy without the child elements of these names; the stanza itself if it has none."""
        if names.isdisjoint(self.childNames):
            return self
        raw, parts, left, last = self.raw, [], [], 0
        for name, start, end in _children(raw):
            if name in names:
                parts.append(raw[last:start])
                last = end
            else:
                left.append(name)
        return Stanza(self.kind, self.name, dict(self.attrs), left, b"".join((*parts, raw[last:])))

    def strip(self, names: frozenset[str]) -> None:
        """Take the child elements of these names out, in place: for all who are given this stanza."""
        if not names.isdisjoint(self.childNames):
            clean = self.without(names)
            self.replaceContent(clean.raw, clean.childNames)

    def replaceContent(self, raw: bytes, names: list[str] | tuple[str, ...]) -> None:
        """
        Have other content, in place: for all who are given this stanza.

        @param raw: all of the stanza, under the same attributes.
        @param names: the names of its children.
        """
        self.raw, self.childNames, self._elements = raw, names, None

    def forNamespace(self, content: str) -> bytes:
        """
        The bytes for a stream whose content namespace is C{content}: verbatim, unless they depend on what the content
        namespace is. Such a stanza is serialised again and may get longer.
        """
        raw = self.raw
        if portable(raw, content):
            return raw
        return renamed(self.element(), ns.CLIENT, content).toBytes(content)

    def declared(self) -> bytes:
        """
        The bytes with every namespace they need on the start tag, for framings that have no stream header (RFC 7395
        section 3.3.3).
        """
        raw = self.raw
        kind = self.kind
        if kind and b"stream:" not in raw:
            start = START_TAG.match(raw)
            assert start is not None  # the parser has seen this tag
            if b"xmlns" not in start[0]:  # quicker, and nearly always so
                length = NAME_LENGTHS[kind]
                return b"%b xmlns='jabber:client'%b" % (raw[:length], raw[length:])
            if _DECLARING.match(raw) is not None:
                return raw
        name, head = _head(raw)
        bound = {found[1] for found in _ATTRIBUTE.finditer(head, len(name))}
        declarations = b""
        if b"xmlns" not in bound:
            declarations = b" xmlns='jabber:client'"
        if b"stream:" in raw and b"xmlns:stream" not in bound:
            declarations += f" xmlns:stream='{ns.STREAMS}'".encode()
        return name + declarations + raw[len(name) :]

    def error(self, error: StanzaError, sender: str | None = None) -> Stanza:
        """
        The error stanza that answers this one (RFC 6120 section 8.3.1).

        @param sender: who answers; by default the address this stanza was for.
        """
        return self.reply("error", error.toBytes(), (ERROR,), sender)

    def result(self, payload: Element | bytes | None = None, sender: str | None = None) -> Stanza:
        """The result that answers this IQ (RFC 6120 section 8.2.3)."""
        if isinstance(payload, Element):
            return self.reply("result", payload.toBytes(), (payload.qname,), sender)
        if not payload:
            return self.reply("result", b"", (), sender)
        names = tuple(child.qname for child in parseContent(payload) if isinstance(child, Element))
        return self.reply("result", payload, names, sender)

    def reply(self, type: str, inner: bytes, names: tuple[str, ...], sender: str | None) -> Stanza:
        """A stanza of the same kind and id back to the sender of this one."""
        attrs = {"type": type}
        if "id" in self.attrs:
            attrs["id"] = self.attrs["id"]
        source = sender if sender is not None else self.attrs.get("to")
        if source is not None:
            attrs["from"] = source
        if "from" in self.attrs:
            attrs["to"] = self.attrs["from"]
        return Stanza(self.kind, self.name, attrs, names, join(self.kind, attrs, inner))


def _head(raw: bytes) -> tuple[bytes, bytes]:
    """The bracket and the name, and the whole start tag."""
    name, start = _NAME.match(raw), START_TAG.match(raw)
    assert name is not None and start is not None  # the parser has seen this tag
    return name[0], start[0]


def _edited(raw: bytes, changes: Mapping[str, str | None]) -> bytes:
    """Take attributes out of the start tag and put others in; all other bytes stay."""
    name, start = _head(raw)
    names = {key: "xml:lang" if key == LANG else key for key in changes}
    dropped = {written.encode() for written in names.values()}
    given = {names[key]: value for key, value in changes.items() if value is not None}
    kept = [found[0] for found in _ATTRIBUTE.finditer(start, len(name)) if found[1] not in dropped]
    close = b"/>" if start.endswith(b"/>") else b">"
    head = startTag(name[1:].decode(), given).encode()
    return b"".join((head, *kept, close, raw[len(start) :]))


def _children(raw: bytes) -> list[tuple[str, int, int]]:
    """The children of a stanza: name, index of the first byte, index behind the last byte."""
    found: list[tuple[str, int, int]] = []
    document, shift = inContext(raw, ns.CLIENT, STREAM_CONTEXT)
    parser = bareExpat()
    depth = 0
    begun = ("", 0)

    def start(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth, begun
        depth += 1
        if depth == 3:
            begun = (name, parser.CurrentByteIndex)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 2:
            tag = START_TAG.match(document, begun[1])
            assert tag is not None  # expat has seen it
            closed = tag.end() if tag[0].endswith(b"/>") else document.index(b">", parser.CurrentByteIndex) + 1
            found.append((begun[0], begun[1] - shift, closed - shift))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(document, True)
    return found


def portable(raw: bytes, content: str, prefixes: tuple[bytes, ...] = ()) -> bool:
    """
    Do the same bytes make the same stanza in a client stream and in one whose content namespace is C{content}? That is
    if they name neither namespace, and no element has a prefix: what is inside it would inherit the content namespace
    without being part of the stanza's own vocabulary.

    @param prefixes: what only the other stream binds, with their colons: the bytes may not use them either.
    """
    if content == ns.CLIENT and not prefixes:
        return True
    doubtful = _DOUBTFUL.get(prefixes)
    if doubtful is not None and doubtful(raw) is None and raw.find(b"&") < 0:  # quicker, and nearly always so
        return True
    for prefix in prefixes:
        if prefix in raw:
            return False
    return content == ns.CLIENT or not (
        b"jabber:client" in raw
        or content.encode() in raw
        or b"xmlns:" in raw
        or b"<stream:" in raw
        or b"<xml:" in raw
        or (b"&" in raw and ESCAPED.search(raw))
    )


def renamed(element: Element, old: str, new: str) -> Element:
    """
    A stanza's tree moved from one content namespace to another. What is in C{new} already changes places with C{old}:
    it was no part of the stanza's own vocabulary and must not become that. A stanza forwarded inside keeps its own.
    """
    children = tuple(
        renamed(child, old, new) if isinstance(child, Element) and child.ns in (old, new) else child
        for child in element.children
    )
    return Element(element.name, new if element.ns == old else old, element.attrs, children)


def join(kind: str, attrs: Mapping[str, str], inner: bytes) -> bytes:
    """A whole stanza from its parts."""
    start = startTag(kind, attrs).encode()
    return start + b">" + inner + b"</" + kind.encode() + b">" if inner else start + b"/>"


def build(kind: str, attrs: dict[str, str], *children: Element) -> Stanza:
    """A stanza of our own making."""
    inner = b"".join(child.toBytes() for child in children)
    names = [child.qname for child in children]
    return Stanza(kind, f"{ns.CLIENT} {kind}", attrs, names, join(kind, attrs, inner))


def fromBytes(raw: bytes) -> Stanza:
    """
    A stanza from bytes that were a stanza's C{raw} before (out of a store).

    @raise ValueError: they are not one.
    """
    tree = parse(raw)
    if tree.ns != ns.CLIENT or tree.name not in NAME_LENGTHS or not raw.startswith(STARTS[tree.name]):
        raise ValueError(f"{tree.qname} is no stanza")
    names = [child.qname for child in tree.children if isinstance(child, Element)]
    return Stanza(tree.name, tree.qname, dict(tree.attrs), names, raw)


IQ_TYPES: Final = frozenset({"get", "set", "result", "error"})


def iqMistake(stanza: Stanza) -> StanzaError | None:
    """What is wrong with an IQ as such (RFC 6120 section 8.2.3), or None."""
    attrs = stanza.attrs
    type = attrs.get("type")
    if type not in IQ_TYPES:
        return StanzaError(StanzaCondition.BAD_REQUEST, "The type of an IQ is get, set, result or error.")
    if not attrs.get("id"):
        return StanzaError(StanzaCondition.BAD_REQUEST, "An IQ needs an id.")
    if type in ("get", "set") and len(stanza.childNames) != 1:
        return StanzaError(StanzaCondition.BAD_REQUEST, "A request has exactly one child element.")
    if type == "result" and len(stanza.childNames) > 1:
        return StanzaError(StanzaCondition.BAD_REQUEST, "A result has at most one child element.")
    return None


def starts(full: str) -> dict[str, bytes]:
    """What L{Stanza.stamp} wants, made once per session."""
    return {kind: startTag(kind, {"from": full}).encode() for kind in NAME_LENGTHS}


def content(stanza: Stanza) -> tuple[Element | str, ...]:
    """The inner bytes of a stanza as trees and texts."""
    return stanza.element().children
