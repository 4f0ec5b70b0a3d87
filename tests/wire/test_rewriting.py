"""Tests for L{xmppd.wire.rewriting}, and for what a stanza may cost that has to be written again."""

from __future__ import annotations

import gc
import time
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.documents import HEADERS, Documents
from xmppd.wire import ns
from xmppd.wire.element import STREAM_CONTEXT, parse
from xmppd.wire.errors import StreamError
from xmppd.wire.rewriting import moved, rewritten
from xmppd.wire.stanza import renamed
from xmppd.wire.xmlstream import DEPENDENT, ParserLimits, XMLStreamParser

MOST = 1 << 20

TURN_SECONDS = 0.05
"""What one stanza, or all that comes with one read, may take to be read."""

READ = 65536
"""Octets that come with one read, at most."""


def byTree(raw: bytes, default: str, prefixes: tuple[tuple[str, str], ...], old: str) -> bytes:
    """The same the long way."""
    tree = parse(raw, default, tuple({**dict(STREAM_CONTEXT), **dict(prefixes)}.items()))
    return (tree if old == ns.CLIENT else renamed(tree, old, ns.CLIENT)).toBytes()


class RewrittenTests(SynchronousTestCase):
    """L{rewritten}."""

    @settings(max_examples=400, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32), st.integers(0, len(HEADERS) - 1))
    def test_likeTheTree(self, seed: int, choice: int) -> None:
        """The bytes are those that a tree would be written as."""
        documents = Documents(Random(seed))
        _, bound = documents.header(choice)
        raw = documents.stanza(bound)
        prefixes = tuple({**dict(STREAM_CONTEXT), **{each: uri for each, uri in bound.items() if each}}.items())
        name, _, _ = parse(raw, bound.get("", ""), prefixes).qname.partition(" ")
        old = name if name in (ns.SERVER, ns.COMPONENT_ACCEPT) else ns.CLIENT
        expected = byTree(raw, bound.get("", ""), prefixes, old)
        self.assertEqual(rewritten(raw, bound.get("", ""), prefixes, old, ns.CLIENT, MOST), expected)

    def test_moved(self) -> None:
        """Names in the content namespace change places with those in that of clients, all others stay."""
        for content in (ns.SERVER, ns.COMPONENT_ACCEPT):
            names = [f"{content} body", f"{content} x", f"{ns.CLIENT} body", f"{content}s body", "jabber:iq:last query"]
            names += ["x", "urn:u body"]
            new = [f"{ns.CLIENT} body", f"{ns.CLIENT} x", f"{content} body", *names[3:]]
            self.assertEqual(moved(names, content), new)

    def test_bound(self) -> None:
        """What gets longer than it may is given up, in the middle of it or at its end."""
        for raw in (b"<x>" + b"<p:a/>" * 9 + b"</x>", b"<x>" + b"&gt;" * 8 + b"</x>", "<x>ééééé</x>".encode()):
            context = (ns.CLIENT, (("p", "urn:p"),), ns.CLIENT, ns.CLIENT)
            length = len(rewritten(raw, *context, MOST))
            self.assertEqual(len(rewritten(raw, *context, length)), length)
            for most in (0, 1, length // 2, length - 1):
                self.assertRaises(StreamError, rewritten, raw, *context, most)

    def test_wrong(self) -> None:
        """What no parser can have let through."""
        for raw in (b"<x>", b"<x></y>", b"<x><!-- --></x>", b"<a>" * 300 + b"</a>" * 300):
            self.assertRaises(
                (ValueError, StreamError), rewritten, raw, ns.CLIENT, (), ns.CLIENT, ns.CLIENT, MOST
            )


def stream(content: str, prefix: str = "") -> bytes:
    """A header."""
    bound = f" xmlns:q='{prefix}'" if prefix else ""
    return f"<stream:stream to='e' version='1.0' xmlns='{content}' xmlns:stream='{ns.STREAMS}'{bound}>".encode()


def filled(unit: bytes, octets: int = 262_000, most: int = 1 << 20, start: bytes = b"<message><x>") -> bytes:
    """A message full of something."""
    return start + unit * min(octets // len(unit), most) + b"</x></message>"


@spec("RFC 6120", "13.12")
class CostTests(SynchronousTestCase):
    """The most inconvenient stanzas that the default limits let through."""

    def cost(self, header: bytes, data: bytes) -> float:
        """Seconds of processor time; the least of three, since the machine is shared."""
        least = 9.0
        collecting = gc.isenabled()
        for _ in range(3):
            parser = XMLStreamParser(ParserLimits(), frozenset({ns.CLIENT, ns.SERVER}))
            parser.feed(header)
            gc.disable()
            begun = time.thread_time()
            parser.feed(data)
            least = min(least, time.thread_time() - begun)
            if collecting:
                gc.enable()
        return least

    def test_stanzas(self) -> None:
        """Elements, attributes, texts, long namespaces, in stanzas that have to be written again and in others."""
        long = "urn:" + "x" * 490
        attributes = b"".join(b" a%d=''" % number for number in range(60))
        prefixed = b"".join(b" q:a%d=''" % number for number in range(60))
        few = b"".join(b" q:a%d=''" % number for number in range(8))
        foreign = b"<message><x xmlns='jabber:client'>"
        plain, server, bound, far = stream(ns.CLIENT), stream(ns.SERVER), stream(ns.CLIENT, "u"), stream(ns.CLIENT, long)
        for header, data in (
            (plain, filled(b"<a/>", most=20_000)),
            (bound, filled(b"<q:a/>", most=20_000)),
            (bound, filled(b"<q:a/>", most=DEPENDENT - 1)),
            (bound, filled(b"<q:a b=''>&lt;</q:a>", most=DEPENDENT - 1, octets=180_000)),
            (bound, filled(b"<q:a" + attributes + b"/>")),
            (bound, filled(b"<q:a" + attributes.replace(b"''", b"'&lt;&lt;'") + b"/>")),
            (bound, filled(b"\n", start=b"<message><x><q:a/>")),
            (bound, filled(b"&lt;", start=b"<message><x><q:a/>")),
            (server, filled(b"<a/>", most=20_000, start=foreign)),
            (server, filled(b"<a/>", most=DEPENDENT - 1, start=foreign)),
            (server, filled(b"<a>" * 60 + b"</a>" * 60, most=DEPENDENT // 60, start=foreign)),
            (far, filled(b"<q:a/>")),
            (far, filled(b"<q:a" + prefixed + b"/>")),
            (plain, filled(b"<q:a" + prefixed + b"/>", start=f"<message xmlns:q='{long}'><x>".encode())),
            (plain, filled(b"<a" + few + b"/>", start=f"<message xmlns:q='{long[:101]}'><x>".encode())),
            (plain, filled(b"<a" + few + b"/>", start=f"<message xmlns:q='{long[:100]}'><x>".encode())),
        ):
            self.assertLess(self.cost(header, data), TURN_SECONDS, data[:60])

    def test_reads(self) -> None:
        """One read full of small stanzas, each of which has to be written again."""
        for header, unit in (
            (stream(ns.CLIENT, "u"), b"<message><q:a/></message>"),
            (stream(ns.SERVER), b"<message xmlns:a='u'/>"),
        ):
            self.assertLess(self.cost(header, unit * (READ // len(unit))), TURN_SECONDS * 2, unit)

    def test_dependent(self) -> None:
        """As many elements as may be, and one more."""
        for count, good in ((DEPENDENT - 1, True), (DEPENDENT, False)):
            parser = XMLStreamParser()
            parser.feed(stream(ns.CLIENT, "u"))
            events = parser.feed(b"<message><x>" + b"<q:a/>" + b"<a/>" * (count - 1) + b"</x></message>")
            self.assertEqual((len(events), parser.error is None), (int(good), good))

    def test_attributesOfLongNamespaces(self) -> None:
        """They count with the elements' names, for a stanza, however many stanzas there are."""
        long = "urn:" + "x" * 490
        for declared in (stream(ns.CLIENT, long), stream(ns.CLIENT)):
            parser = XMLStreamParser()
            parser.feed(declared)
            start = b"<message xmlns:q='%s'>" % long.encode()
            for _ in range(3):
                self.assertEqual(len(parser.feed(start + b"<a q:b=''/>" * 500 + b"</message>")), 1)
            self.assertEqual(len(parser.feed(start + b"<a q:b=''/>" * 2200 + b"</message>")), 0)
            self.assertIsNotNone(parser.error)
