"""
A stanza: what routing needs to know of it, and its bytes.

Theory of operation: C{raw} is always a complete, well-formed serialisation that means the same in every client stream
of this server, that is where the default namespace is C{jabber:client} and the prefix C{stream} is bound. The parser
guarantees it on the way in, so everything behind it may pass C{raw} on verbatim. Stamping the sender inserts one
attribute behind the element's name and copies the rest; nothing is parsed or escaped again.

A stanza belongs to one receiver at a time: whoever changes it for several (a carbon, an occupant of a room) makes new
ones with L{Stanza.addressed}, which share the inner bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from xmppd.wire import ns
from xmppd.wire.element import Element, parse, parseContent, startTag
from xmppd.wire.errors import StanzaError

BODY: Final = ns.CLIENT + " body"
ERROR: Final = ns.CLIENT + " error"

NAME_LENGTHS: Final[dict[str, int]] = {"message": 8, "presence": 9, "iq": 3}
"""How many bytes the bracket and the name of a stanza's start tag take."""

START_TAG: Final = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
"""A start tag: attribute values may hold the closing bracket."""


class Stanza:
    """
    A message, a presence, an IQ, or another element on the level of stanzas (then C{kind} is empty).

    @ivar kind: "message", "presence", "iq", or "" for anything else.
    @ivar name: the element's name as "namespace local".
    @ivar attrs: the attributes; treat as read-only, except by what makes the stanza.
    @ivar childNames: the names of its child elements, in order.
    @ivar raw: the whole element as bytes, see the module.
    @ivar promise: None, or a list to which whoever takes the stanza adds what has to be settled before the server may
        acknowledge it to its sender (see L{xmppd.ixmppd.ICustody}). Changed copies share it.
    """

    __slots__ = ("_elements", "attrs", "childNames", "kind", "name", "promise", "raw")

    def __init__(
        self, kind: str, name: str, attrs: dict[str, str], childNames: list[str] | tuple[str, ...], raw: bytes
    ) -> None:
        self.kind = kind
        self.name = name
        self.attrs = attrs
        self.childNames = childNames
        self.raw = raw
        self.promise: list[Any] | None = None
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
        """The bytes between start tag and end tag."""
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

    def stamp(self, full: str, starts: Mapping[str, bytes]) -> None:
        """
        Put the true sender in, in place.

        @param full: the sender.
        @param starts: for each kind the bytes C{<kind from='full'} with the address escaped.
        """
        attrs = self.attrs
        if "from" in attrs:
            if attrs["from"] != full:
                self.raw = self.addressed({"from": full}).raw
                attrs["from"] = full
            return
        attrs["from"] = full
        kind = self.kind
        self.raw = starts[kind] + self.raw[NAME_LENGTHS[kind] :]

    def addressed(self, changes: Mapping[str, str | None]) -> Stanza:
        """
        The same content under changed attributes; None removes one. The original stays as it is.
        """
        attrs = dict(self.attrs)
        for key, value in changes.items():
            if value is None:
                attrs.pop(key, None)
            else:
                attrs[key] = value
        start = START_TAG.match(self.raw)
        assert start is not None
        if b"xmlns:" in start[0]:  # the content may use a prefix declared there
            tree = self.element()
            raw = Element(tree.name, tree.ns, attrs, tree.children).toBytes()
        else:
            raw = join(self.kind, attrs, self.inner)
        changed = Stanza(self.kind, self.name, attrs, self.childNames, raw)
        changed.promise = self.promise
        return changed

    def extended(self, addition: bytes, names: tuple[str, ...]) -> Stanza:
        """
        A copy with more content at the end.

        @param addition: elements, as for L{Stanza.raw}.
        @param names: their names, "namespace local".
        """
        start = START_TAG.match(self.raw)
        assert start is not None
        end = f"</{self.kind}>".encode()
        if self.raw[start.end() - 2 : start.end()] == b"/>":
            raw = self.raw[: start.end() - 2] + b">" + addition + end
        else:
            raw = self.raw[: self.raw.rindex(b"</")] + addition + end
        changed = Stanza(self.kind, self.name, self.attrs, [*self.childNames, *names], raw)
        changed.promise = self.promise
        return changed

    def without(self, names: frozenset[str]) -> Stanza:
        """A copy without the child elements of these names; the stanza itself if it has none."""
        if names.isdisjoint(self.childNames):
            return self
        children = [child for child in self.elements() if child.qname not in names]
        changed = build(self.kind, dict(self.attrs), *children)
        changed.promise = self.promise
        return changed

    def forNamespace(self, content: str) -> bytes:
        """
        The bytes for a stream whose content namespace is C{content}: verbatim, unless they name a content namespace
        themselves.
        """
        raw = self.raw
        if content == ns.CLIENT or (b"jabber:client" not in raw and b"jabber:server" not in raw):
            return raw
        return _renamed(self.element(), ns.CLIENT, content).toBytes(content)

    def declared(self) -> bytes:
        """The bytes with the namespace on the start tag, for framings that have no stream header (RFC 7395)."""
        start = START_TAG.match(self.raw)
        assert start is not None
        if b"xmlns=" in start[0]:
            return self.raw
        length = len(self.kind) + 1
        return self.raw[:length] + b" xmlns='jabber:client'" + self.raw[length:]

    def error(self, error: StanzaError, sender: str | None = None) -> Stanza:
        """
        The error stanza that answers this one (RFC 6120 section 8.3.1).

        @param sender: who answers; by default the address this stanza was for.
        """
        return self.reply("error", error.toBytes(), (ERROR,), sender)

    def result(self, payload: Element | bytes | None = None, sender: str | None = None) -> Stanza:
        """The result that answers this IQ (RFC 6120 section 8.2.3)."""
        data = payload.toBytes() if isinstance(payload, Element) else payload or b""
        names = (payload.qname,) if isinstance(payload, Element) else ()
        return self.reply("result", data, names, sender)

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


def _renamed(element: Element, old: str, new: str) -> Element:
    """A stanza's tree moved to another content namespace; a stanza forwarded inside keeps its own."""
    children = tuple(
        _renamed(child, old, new) if isinstance(child, Element) and child.ns == old else child
        for child in element.children
    )
    return Element(element.name, new, element.attrs, children)


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
    if tree.ns != ns.CLIENT or tree.name not in NAME_LENGTHS:
        raise ValueError(f"{tree.qname} is no stanza")
    names = [child.qname for child in tree.children if isinstance(child, Element)]
    return Stanza(tree.name, tree.qname, dict(tree.attrs), names, raw)


def starts(full: str) -> dict[str, bytes]:
    """What L{Stanza.stamp} wants, made once per session."""
    return {kind: startTag(kind, {"from": full}).encode() for kind in NAME_LENGTHS}


def content(stanza: Stanza) -> tuple[Element | str, ...]:
    """The inner bytes of a stanza as trees and texts."""
    return parseContent(stanza.inner)
