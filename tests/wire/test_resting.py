"""Tests of L{xmppd.wire.xmlstream.XMLStreamParser.rest}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire.errors import StreamCondition
from xmppd.wire.xmlstream import XMLStreamParser

HEADER = (
    b"<?xml version='1.0'?><s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'"
    b" xmlns:x='urn:x' to='example.org' version='1.0'>"
)
STANZAS = b"<message to='a@b'><body>1</body></message> <x:y/><iq type='get' id='1'><q xmlns='urn:q' a='&gt;>'/></iq>\n"


def told(events: list[object]) -> list[tuple[object, ...]]:
    """What events say, for comparison."""
    return [
        (getattr(event, "kind", None), getattr(event, "name", None), getattr(event, "raw", None)) for event in events
    ]


class RestTests(SynchronousTestCase):
    """A parser that rests between its chunks answers the same as one that doesn't."""

    def parsed(self, data: bytes, cut: int, rest: bool) -> tuple[list[tuple[object, ...]], StreamCondition | None]:
        """Events and error of a stream in chunks."""
        parser = XMLStreamParser()
        events: list[object] = []
        for start in range(0, len(data), cut):
            events += parser.feed(data[start : start + cut])
            if rest:
                parser.rest()
                parser.rest()
        return told(events), None if parser.error is None else StreamCondition(parser.error.condition)

    def test_sameEvents(self) -> None:
        """However the input is cut."""
        data = HEADER + STANZAS * 3 + b"</s:stream>"
        expected = self.parsed(data, len(data), False)
        self.assertEqual(len(expected[0]), 11)
        for cut in (1, 2, 3, 7, len(HEADER), 64):
            self.assertEqual(self.parsed(data, cut, True), expected, f"cut at {cut}")

    def test_sameErrors(self) -> None:
        """A mistake after a rest is found as without."""
        for wrong in (b"</other>", b"<!-- -->", b"text<a/>", b"<message><a></message>", b"<a b='1' b='2'/>"):
            data = HEADER + STANZAS + wrong
            self.assertEqual(self.parsed(data, 1, True)[1], self.parsed(data, len(data), False)[1], wrong)

    def test_memoryIsGivenBack(self) -> None:
        """While it rests the parser holds no expat of its own; it makes one when bytes come."""
        parser, other = XMLStreamParser(), XMLStreamParser()
        parser.feed(HEADER)
        other.feed(HEADER)
        own = parser._expat
        parser.rest()
        other.rest()
        self.assertIs(parser._expat, other._expat)
        self.assertEqual(len(parser.feed(b"<presence/>")), 1)
        self.assertIsNot(parser._expat, own)
        self.assertIsNot(parser._expat, other._expat)

    def test_notInAStanza(self) -> None:
        """In the middle of a stanza, or before the header, it doesn't rest."""
        parser = XMLStreamParser()
        own = parser._expat
        parser.rest()
        self.assertIs(parser._expat, own)
        parser.feed(HEADER + b"<message>")
        parser.rest()
        self.assertIs(parser._expat, own)
        parser.feed(b"</message><pres")
        parser.rest()
        self.assertIs(parser._expat, own)
        self.assertEqual(len(parser.feed(b"ence/>")), 1)
