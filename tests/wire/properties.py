"""
What has to be true of the parser and of stanzas, whatever the input is; asserted for one input at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from lxml import etree

from tests.wire.documents import (
    CONTENTS,
    Documents,
    clark,
    cut,
    exchanged,
    infoset,
    joined,
    outcome,
    received,
    singles,
)
from xmppd.wire import ns, xmlstream
from xmppd.wire.stanza import Stanza, fromBytes, starts
from xmppd.wire.xmlstream import ParserLimits, StreamHeader, XMLStreamParser

SENDER = "romeo@example.com/o'&<r"
TIGHT = ParserLimits(
    stanzaBytes=200,
    headBytes=180,
    depth=4,
    children=6,
    elements=9,
    names=400,
    attributes=5,
    namespaces=5,
    namespaceLength=40,
    recycleBytes=300,
)
"""Limits that ordinary input meets."""


def ways(data: bytes, random: Random) -> Iterator[list[bytes]]:
    """Some ways to cut the same bytes; the first is not to."""
    yield [data]
    yield singles(data)
    yield [data[:1], data[1:]]
    for _ in range(3):
        yield cut(data, random)


def cutsDontMatter(data: bytes, random: Random, limits: ParserLimits = ParserLimits()) -> Any:
    """
    A parser tells the same of the same bytes however they come, and however often expat is replaced.

    @return: what it tells.
    """
    expected = outcome([data], limits)
    for chunks in ways(data, random):
        for recycled in (limits, replace(limits, recycleBytes=0)):
            found = outcome(chunks, recycled)
            assert found == expected, f"{data!r} as {chunks!r}: {found!r} != {expected!r}"
    return expected


def patienceIsHarmless(data: bytes, random: Random) -> None:
    """
    Not showing long unfinished tags to expat may delay the telling of a mistake, but changes nothing else.
    """
    events, condition = outcome([data])
    usual = xmlstream.PATIENCE
    xmlstream.PATIENCE = 5  # type: ignore[misc]
    try:
        for chunks in ways(data, random):
            for limits in (ParserLimits(), ParserLimits(recycleBytes=0)):
                found = outcome(chunks, limits)
                assert found[0] == events and found[1] in (condition, None), f"{data!r} as {chunks!r}: {found!r}"
    finally:
        xmlstream.PATIENCE = usual  # type: ignore[misc]


def rawIsSafe(data: bytes) -> int:
    """
    What a parser takes out of a stream, another parser reads as the stanza says, in one of our streams; and also after
    everything that changes stanzas.

    @return: how many stanzas there were.
    """
    events = XMLStreamParser(contents=CONTENTS).feed(data)
    stanzas = [event for event in events if isinstance(event, Stanza)]
    for stanza in stanzas:
        _safe(stanza)
    return len(stanzas)


def _agrees(stanza: Stanza, info: Any) -> None:
    assert clark(stanza.name) == info[0], (stanza.name, info)
    assert {clark(key): value for key, value in stanza.attrs.items()} == info[1], (stanza.attrs, info)
    children = [child[0] for child in info[2] if not isinstance(child, str)]
    assert [clark(name) for name in stanza.childNames] == children, (stanza.childNames, info)


def _safe(stanza: Stanza) -> None:
    info = received(stanza.raw)
    if not stanza.kind and not stanza.name.count(" "):
        info = (clark(stanza.name), *info[1:])  # without a namespace: nothing that is ever passed on
    _agrees(stanza, info)
    assert received(stanza.element().toBytes()) == received(stanza.raw), stanza.raw
    assert infoset(b"<alone>" + stanza.declared() + b"</alone>") == received(stanza.raw), stanza.declared()
    if not stanza.kind:
        return
    _agrees(fromBytes(stanza.raw), info)
    for changes in ({"to": "a'&\n<b>"}, {"to": None, "id": None}, {"from": "x", "type": None}, {}):
        changed = stanza.addressed(changes)
        found = received(changed.raw)
        _agrees(changed, found)
        assert (found[0], found[2]) == (info[0], info[2]), changed.raw
    longer = stanza.extended(b"<y xmlns='urn:y'/>", ("urn:y y",))
    found = received(longer.raw)
    _agrees(longer, found)
    assert found[2] == [*info[2], ("{urn:y}y", {}, [])], longer.raw
    for name in set(stanza.childNames):
        shorter = stanza.without(frozenset({name}))
        found = received(shorter.raw)
        _agrees(shorter, found)
        assert found[2] == joined([each for each in info[2] if isinstance(each, str) or each[0] != clark(name)])
    for content in (ns.SERVER, ns.COMPONENT_ACCEPT):
        assert received(stanza.forNamespace(content), content) == exchanged(info, ns.CLIENT, content), stanza.raw
    stanza.stamp(SENDER, starts(SENDER))
    stanza.speak("de")
    found = received(stanza.raw)
    _agrees(stanza, found)
    assert stanza.attrs["from"] == SENDER and found[2] == info[2], stanza.raw


def meaningIsKept(random: Random, choice: int | None = None) -> None:
    """
    A stanza under the header it came with, and its C{raw} in one of our streams, are the same to libxml2; but for the
    content namespace, which is always ours.
    """
    documents = Documents(random)
    head, scope = documents.header(choice)
    document = head + documents.stanza(scope) + documents.closing(head)
    parser = XMLStreamParser(contents=CONTENTS)
    events = parser.feed(document)
    assert parser.error is None, (document, parser.error)
    header, stanza, _ = events
    assert isinstance(header, StreamHeader) and isinstance(stanza, Stanza)
    expected = infoset(document)
    if stanza.kind and header.content != ns.CLIENT:
        expected = exchanged(expected, header.content, ns.CLIENT)
    assert received(stanza.raw) == expected, (document, stanza.raw)
    _safe(stanza)


def session(random: Random, choice: int | None = None, strange: bool = False) -> bytes:
    """A whole stream."""
    documents = Documents(random, strange)
    head, scope = documents.header(choice)
    declaration = random.choice(
        (b"", b"<?xml version='1.0'?>", b"<?xml version='1.0' encoding='UTF-8'?>\n", b"\xef\xbb\xbf")
    )
    stanzas = [
        random.choice((b"", b"", b" ", b"\n\t\r\n")) + documents.stanza(scope) for _ in range(random.randrange(4))
    ]
    return declaration + head + b"".join(stanzas) + random.choice((b"", b"\n", documents.closing(head)))


HOSTILE = (
    b"<", b">", b"&", b"'", b'"', b"/", b"]]>", b"<!--", b"-->", b"<![CDATA[", b"<?x ", b"?>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
    b"<!", b"</", b"/>", b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbf\xbf", b"&amp;", b"&nope;", b"&#0;", b"&#x110000;",
    b"&#13;", b"xmlns=''", b" xmlns:p='urn:p'", b"</stream:stream>", b"<stream:stream>", b"<message/>", b"<message>", b"</message>",
    b" a='>'", b" a='" + b">" * 60 + b"'", b"<x " + b">" * 30, b"x" * 150, b" " * 150, b"\r\n", b"<a><a><a><a><a>", b"<xml:x/>", b"\xef\xbb\xbf",
)  # fmt: skip


def mutated(data: bytes, random: Random) -> bytes:
    """The same bytes, damaged in a few places."""
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((0, 0, 1, 1, 3, 10, 40)))
        action = random.randrange(5)
        if action == 0:
            data = data[:at] + random.choice(HOSTILE) + data[to:]
        elif action == 1:
            data = data[:at] + random.choice(HOSTILE) + data[at:]
        elif action == 2:
            data = data[:at] + data[to:]
        elif action == 3:
            data = data[:to] + data[at:to] + data[to:]
        else:
            data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
    return data


def fuzzed(seed: int, corpus: list[bytes]) -> bytes:
    """One input of the fuzzer, made from its seed: a made-up stream or one of the corpus, most often damaged."""
    random = Random(seed)
    data = random.choice(corpus) if corpus and random.random() < 0.3 else session(random, strange=True)
    return mutated(data, random) if random.random() < 0.9 else data


def check(data: bytes, seed: int = 0) -> tuple[str | None, int]:
    """
    Everything above for one input.

    @return: the condition of the error, and the number of stanzas.
    """
    random = Random(seed)
    _, condition = cutsDontMatter(data, random)
    cutsDontMatter(data, random, TIGHT)
    patienceIsHarmless(data, random)
    try:
        count = rawIsSafe(data)
    except etree.XMLSyntaxError as error:
        raise AssertionError(f"libxml2 can't read what we pass on: {error}") from error
    return condition, count
