"""
Elements of one name found in a stanza's bytes at any depth, and taken out of them.

Nearly no stanza has what is looked for, so that it must cost next to nothing to say so: bytes that don't spell the
namespace can't declare it, unless they write it with character references. Only what may hold the element is parsed.
"""

from __future__ import annotations

from xmppd.wire import ns
from xmppd.wire.element import STREAM_CONTEXT, bareExpat, inContext
from xmppd.wire.stanza import ESCAPED, START_TAG, Stanza

Span = tuple[int, int]
"""The index of an element's first byte, and the one behind its last."""


def mayHold(raw: bytes, namespace: bytes) -> bool:
    """Whether a stanza's bytes might declare a namespace; quick."""
    return namespace in raw or (b"&#" in raw and ESCAPED.search(raw) is not None)


class Lookout:
    """Looks for byte strings in what comes in pieces."""

    __slots__ = ("_least", "_sought", "_tail")

    def __init__(self, sought: tuple[bytes, ...]) -> None:
        self._sought = sought
        self._least = max(1, max(map(len, sought)) - 1)
        self._tail = b""

    def sees(self, data: bytes) -> bool:
        """Whether one of them ends in this piece."""
        whole = self._tail + data
        self._tail = whole[-self._least :]
        for each in self._sought:  # quicker than any()
            if each in whole:
                return True
        return False


def holds(stanza: Stanza, name: str) -> bool:
    """
    Whether there is an element of that name below the stanza's start tag, at any depth.

    @param name: "namespace local".
    """
    if not mayHold(stanza.raw, name.partition(" ")[0].encode()):
        return False
    return name in stanza.childNames or bool(spans(stanza.raw, name))


def cut(stanza: Stanza, name: str) -> bool:
    """
    Take all elements of that name out of a stanza, in place, for all who are given it; every other byte stays.

    @return: whether there were any.
    """
    raw = stanza.raw
    if not mayHold(raw, name.partition(" ")[0].encode()):
        return False
    found = spans(raw, name)
    if not found:
        return False
    edges = [0, *(edge for span in found for edge in span), len(raw)]
    left = b"".join(raw[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    stanza.replaceContent(left, [child for child in stanza.childNames if child != name])
    return True


def spans(raw: bytes, name: str) -> list[Span]:
    """Where elements of that name are below the outermost element; those inside of others of them don't count."""
    document, shift = inContext(raw, ns.CLIENT, STREAM_CONTEXT)
    parser = bareExpat()
    found: list[Span] = []
    depth = 0
    outer: Span | None = None  # depth and first byte of the element that we are in

    def start(started: str, attrs: dict[str, str]) -> None:
        nonlocal depth, outer
        depth += 1
        if outer is None and depth > 2 and started == name:
            outer = depth, parser.CurrentByteIndex

    def end(ended: str) -> None:
        nonlocal depth, outer
        if outer is not None and outer[0] == depth:
            first = outer[1]
            tag = START_TAG.match(document, first)
            assert tag is not None  # expat has seen it
            last = tag.end() if tag[0].endswith(b"/>") else document.index(b">", parser.CurrentByteIndex) + 1
            found.append((first - shift, last - shift))
            outer = None
        depth -= 1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(document, True)
    return found
