"""
Tests of L{xmppd.wire.xmlstream}.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.documents import CONTENTS, HEADERS
from tests.wire.properties import cutsDontMatter, meaningIsKept, mutated, patienceIsHarmless, rawIsSafe, session
from xmppd.wire import ns
from xmppd.wire.element import LANG
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import PATIENCE, ParserLimits, StreamEnd, StreamHeader, XMLStreamParser

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    b"to='example.com' from='romeo@example.com' version='1.0' xml:lang='en'>"
)
SERVER_HEADER = HEADER.replace(b"jabber:client", b"jabber:server").replace(
    b" to=", b" xmlns:db='jabber:server:dialback' to="
)
END = b"</stream:stream>"

Conditions = StreamCondition


class ReplayMixin:
    """
    Each input is fed whole, one byte at a time, and in random pieces, with expat kept and with expat replaced as often
    as possible; all have to tell the same.
    """

    def told(self, data: bytes, limits: ParserLimits = ParserLimits()) -> tuple[list[tuple[object, ...]], str | None]:
        """The events as tuples, and the condition of the error."""
        return cutsDontMatter(data, Random(len(data)), limits)

    def stanzas(self, data: bytes, limits: ParserLimits = ParserLimits(), header: bytes = HEADER) -> list[Stanza]:
        """The stanzas in a stream without a mistake."""
        self.told(header + data, limits)
        parser = XMLStreamParser(limits, CONTENTS)
        events = parser.feed(header + data)
        self.assertIsNone(parser.error)  # type: ignore[attr-defined]
        return [event for event in events if isinstance(event, Stanza)]

    def header(self, data: bytes, contents: frozenset[str] = CONTENTS) -> StreamHeader:
        """The header of a stream without a mistake."""
        parser = XMLStreamParser(contents=contents)
        event = parser.feed(data)[0]
        self.assertIsNone(parser.error)  # type: ignore[attr-defined]
        assert isinstance(event, StreamHeader)
        return event

    def assertRefused(
        self, data: bytes, condition: StreamCondition, events: int = 1, limits: ParserLimits = ParserLimits()
    ) -> None:
        """A mistake is told by this condition, after that many events."""
        told, found = self.told(data, limits)
        self.assertEqual((found, len(told)), (condition, events))  # type: ignore[attr-defined]


class HeaderTests(ReplayMixin, SynchronousTestCase):
    """The start tag of a stream."""

    @spec("RFC 6120", "4.2", "4.7")
    def test_attributes(self) -> None:
        """The header tells who opens a stream to whom, in which language and version."""
        header = self.header(HEADER)
        self.assertEqual(
            (header.to, header.sender, header.language, header.version),
            ("example.com", "romeo@example.com", "en", (1, 0)),
        )
        self.assertEqual((header.content, header.prefixes), (ns.CLIENT, ()))
        self.told(HEADER)

    @spec("RFC 6120", "4.7.5")
    def test_version(self) -> None:
        """Without a version it is 0.9; numbers count as numbers; what is no version is refused."""
        self.assertEqual(StreamHeader({}, ns.CLIENT).version, (0, 9))
        self.assertEqual(StreamHeader({"version": "01.10"}, ns.CLIENT).version, (1, 10))
        for bad in ("", "1", "1.", "x.y", "1.0.0", "-1.0", "\N{ARABIC-INDIC DIGIT ONE}.0", "1." + "0" * 40):
            error = self.assertRaises(StreamError, lambda bad=bad: StreamHeader({"version": bad}, ns.CLIENT).version)
            self.assertEqual(error.condition, Conditions.UNSUPPORTED_VERSION)

    @spec("RFC 6120", "4.8.2", "4.8.3")
    def test_contentNamespaces(self) -> None:
        """Each content namespace is accepted where it is served, and only there."""
        for content in CONTENTS:
            data = HEADER.replace(b"jabber:client", content.encode())
            self.assertEqual(self.header(data).content, content)
            parser = XMLStreamParser(contents=CONTENTS - {content})
            self.assertEqual(parser.feed(data), [])
            assert parser.error is not None
            self.assertEqual(parser.error.condition, Conditions.INVALID_NAMESPACE)

    @spec("RFC 6120", "4.8.2", "4.8.5")
    def test_prefixFree(self) -> None:
        """The namespace of streams may be the default; stanzas declare the content namespace then, or have a prefix."""
        for data in (
            b"<stream xmlns='http://etherx.jabber.org/streams'><message xmlns='jabber:client'><body>x</body></message>",
            b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'><c:message><c:body>x</c:body></c:message>",
            b"<s:stream xmlns:s='http://etherx.jabber.org/streams'><message xmlns='jabber:client'><body>x</body></message>",
        ):
            parser = XMLStreamParser()
            header, stanza = parser.feed(data)
            assert isinstance(stanza, Stanza) and isinstance(header, StreamHeader)
            self.assertEqual(
                (header.content, stanza.kind, stanza.childNames), (ns.CLIENT, "message", ["jabber:client body"])
            )
            self.told(data)

    @spec("RFC 6120", "4.8.1", "4.9.3.10")
    def test_wrongNamespace(self) -> None:
        """A stream in another namespace, or a root that is no stream, is refused."""
        self.assertRefused(HEADER.replace(b"etherx", b"other"), Conditions.INVALID_NAMESPACE, 0)
        self.assertRefused(b"<html xmlns='http://www.w3.org/1999/xhtml'>", Conditions.BAD_FORMAT, 0)
        self.assertRefused(b"<stream>", Conditions.INVALID_NAMESPACE, 0)
        self.assertRefused(b"<stream:stream xmlns='jabber:client'>", Conditions.NOT_WELL_FORMED, 0)
        self.assertRefused(HEADER.replace(b"jabber:client", b"urn:x"), Conditions.INVALID_NAMESPACE, 0)

    @spec("RFC 6120", "11.6", "4.9.3.22")
    def test_encoding(self) -> None:
        """Only UTF-8 is accepted, whatever it is called."""
        rest = HEADER[21:]
        for good in (b"utf-8", b"UTF-8", b"UTF8"):
            self.header(b"<?xml version='1.0' encoding='" + good + b"'?>" + rest)
        for bad in (b"ISO-8859-1", b"UTF-16", b"us-ascii"):
            self.assertRefused(
                b"<?xml version='1.0' encoding='" + bad + b"'?>" + rest, Conditions.UNSUPPORTED_ENCODING, 0
            )
        self.assertRefused(b"<?xml version='1.1'?>" + rest, Conditions.NOT_WELL_FORMED, 0)
        self.assertRefused(HEADER.decode().encode("utf-16"), Conditions.NOT_WELL_FORMED, 0)

    def test_byteOrderMark(self) -> None:
        """A byte order mark before everything is accepted; white space before an XML declaration is not."""
        self.told(b"\xef\xbb\xbf" + HEADER + b"<message/>")
        self.header(b"\xef\xbb\xbf" + HEADER)
        self.header(b" \n" + HEADER[21:])
        self.assertRefused(b" " + HEADER, Conditions.NOT_WELL_FORMED, 0)

    def test_noXML(self) -> None:
        """Other protocols and noise are refused at the first byte."""
        for data in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"\x00", b"\xff" * 100, b"  x"):
            self.assertRefused(data, Conditions.NOT_WELL_FORMED, 0)

    @spec("RFC 6120", "11.1")
    def test_doctype(self) -> None:
        """A document type is refused before anything in it counts."""
        bomb = b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'x'><!ENTITY c '&b;&b;'>]>" + HEADER[21:]
        self.assertRefused(bomb, Conditions.RESTRICTED_XML, 0)
        self.assertRefused(bomb[21:], Conditions.RESTRICTED_XML, 0)
        self.assertRefused(b"<!D", Conditions.RESTRICTED_XML, 0)

    @spec("RFC 6120", "11.1")
    def test_commentBefore(self) -> None:
        """Comments and processing instructions before the header are refused."""
        self.assertRefused(b"<!-- x -->" + HEADER[21:], Conditions.RESTRICTED_XML, 0)
        self.assertRefused(HEADER[:21] + b"<!-- x -->" + HEADER[21:], Conditions.RESTRICTED_XML, 0)
        self.assertRefused(b"<?x y?>" + HEADER[21:], Conditions.RESTRICTED_XML, 0)

    def test_size(self) -> None:
        """A header, with what stands before it, may be of a certain size."""
        limits = ParserLimits(headBytes=len(HEADER))
        self.assertIsNone(self.told(HEADER, limits)[1])
        self.assertRefused(HEADER[:-1] + b" >", Conditions.POLICY_VIOLATION, 0, limits)
        self.assertRefused(HEADER[:-1] + b" x='" + b">" * 100000, Conditions.POLICY_VIOLATION, 0)
        self.assertRefused(b" " * 20000, Conditions.POLICY_VIOLATION, 0)

    def test_emptyStream(self) -> None:
        """A stream may be one empty tag."""
        self.assertEqual([event[0] for event in self.told(HEADER[:-1] + b"/>")[0]], ["header", "end"])


class StanzaTests(ReplayMixin, SynchronousTestCase):
    """What comes between header and end."""

    @spec("RFC 6120", "8")
    def test_kinds(self) -> None:
        """Message, presence and IQ are told from other elements by name and namespace."""
        data = b"<message/><presence></presence><iq id='1'/><foo/><message xmlns='urn:x'/><auth xmlns='urn:y'>=</auth>"
        found = self.stanzas(data)
        self.assertEqual([stanza.kind for stanza in found], ["message", "presence", "iq", "", "", ""])
        self.assertEqual(found[3].name, "jabber:client foo")
        self.assertEqual(b"".join(stanza.raw for stanza in found), data)

    def test_contents(self) -> None:
        """A stanza knows its attributes, the names of its children, and its bytes."""
        raw = b"<message to='a>b' xml:lang='de' p:x='1' xmlns:p='urn:p'>\n<body>hi</body> <p:y><z/></p:y><x xmlns=''/></message>"
        (stanza,) = self.stanzas(raw)
        self.assertEqual(stanza.attrs, {"to": "a>b", LANG: "de", "urn:p x": "1"})
        self.assertEqual(stanza.childNames, ["jabber:client body", "urn:p y", "x"])
        self.assertEqual(stanza.raw, raw)

    def test_ends(self) -> None:
        """However a stanza ends, its bytes are all there and no more."""
        for raw in (
            b"<message/>",
            b"<message />",
            b"<message a='/>'/>",
            b"<message a='>'></message>",
            b"<message></message  >",
            b"<message>text</message\n>",
            b"<message>></message>",
            b"<message><a/></message>",
            b"<message><![CDATA[</message><x>]]></message>",
            b"<message><body>]]&gt;&lt;&#13;</body></message>",
            "<message><body>é😀</body></message>".encode(),
        ):
            self.assertEqual([stanza.raw for stanza in self.stanzas(raw + b" " + raw + b"\n")], [raw, raw])

    def test_pipelined(self) -> None:
        """Many in one segment come in order."""
        data = b"".join(b"<message id='%d'/>" % number for number in range(50))
        self.assertEqual([stanza.id for stanza in self.stanzas(data)], [str(number) for number in range(50)])

    def test_atOnce(self) -> None:
        """A stanza is told with its last byte, wherever in it the input was cut before."""
        raw = b"<message to='" + b"x>" * 2500 + b"'><body>hi</body></message>"
        for place in range(1, len(raw), 7):
            parser = XMLStreamParser()
            parser.feed(HEADER)
            self.assertEqual(parser.feed(raw[:place]), [])
            self.assertEqual(len(parser.feed(raw[place:])), 1)

    @spec("RFC 6120", "4.6.1")
    def test_keepAlive(self) -> None:
        """White space between stanzas says nothing and is not kept."""
        parser = XMLStreamParser()
        parser.feed(HEADER)
        for _ in range(20000):
            self.assertEqual(parser.feed(b" \r\n\t"), [])
        self.assertEqual(len(parser._pending), 0)
        self.assertEqual(len(parser.feed(b" <message/>")), 1)
        self.assertEqual(len(parser.feed(b" <mess")) + len(parser.feed(b"age/> \n")), 1)

    @spec("RFC 6120", "4.4")
    def test_end(self) -> None:
        """The end of the stream is the last thing told, whatever comes after it."""
        for after in (b"", b"\n", b"garbage", b"<message/>", b"<!-- -->", b"\xff>", b">" * 300000):
            events, condition = self.told(HEADER + b"<message/> " + END + after)
            self.assertEqual(([event[0] for event in events], condition), (["header", "message", "end"], None))
        self.assertIsInstance(XMLStreamParser().feed(HEADER + END)[1], StreamEnd)

    def test_nothingAfterError(self) -> None:
        """After a mistake nothing is told any more."""
        parser = XMLStreamParser()
        self.assertEqual(len(parser.feed(HEADER + b"<message/></x><message/>")), 2)
        error = parser.error
        self.assertEqual(parser.feed(b"<message/>"), [])
        self.assertIs(parser.error, error)

    def test_secondHeader(self) -> None:
        """A second header is refused at once; it would otherwise be an element that never ends."""
        self.assertRefused(HEADER + HEADER[21:], Conditions.UNSUPPORTED_STANZA_TYPE)
        self.assertRefused(HEADER + b"<message/>" + HEADER[21:] + b"<message/>", Conditions.UNSUPPORTED_STANZA_TYPE, 2)

    @spec("RFC 6120", "11.1", "4.9.3.18")
    def test_restricted(self) -> None:
        """Comments, instructions, document types and other entities are refused wherever they stand."""
        for bad in (b"<!-- x -->", b"<?x y?>", b"<!-", b"<!D"):
            self.assertRefused(HEADER + bad, Conditions.RESTRICTED_XML)
            self.assertRefused(HEADER + b"<message/> " + bad, Conditions.RESTRICTED_XML, 2)
        for bad in (b"<!-- x -->", b"<?x y?>", b"&nope;</body>"):
            self.assertRefused(HEADER + b"<message><body>" + bad, Conditions.RESTRICTED_XML)
        self.assertRefused(HEADER + b"<message a='&nope;'/>", Conditions.RESTRICTED_XML)

    @spec("RFC 6120", "11.3", "4.9.3.13")
    def test_malformed(self) -> None:
        """What is no XML is refused."""
        for bad in (
            b"<message><body>No closing tag!</message>",
            b"<message a=1/>",
            b"<message a='1' a='2'/>",
            b"<message a='<'/>",
            b"<p:message/>",
            b"<message xmlns:p=''/>",
            b"<message xmlns:xml='urn:x'/>",
            b"<message xmlns:xmlns='urn:x'/>",
            b"<message xmlns:p='a' xmlns:q='a' p:x='' q:x=''/>",
            b"<message>]]></message>",
            b"<message>\x00</message>",
            b"<message>\xff</message>",
            b"<message>\xed\xa0\x80</message>",
            b"<message>&#0;</message>",
            b"<message>&amp</message>",
            b"</message>",
            b"< message/>",
            b"<message><?xml version='1.0'?></message>",
        ):
            self.assertRefused(HEADER + b"<iq/>" + bad, Conditions.NOT_WELL_FORMED, 2)

    @spec("RFC 6120", "4.9.3.1")
    def test_textBetween(self) -> None:
        """Text between stanzas is refused at its first byte."""
        for bad in (
            b"x",
            b"x<message/>",
            b"&#32;",
            b"&nope;<message/>",
            b"<![CDATA[ ]]><message/>",
            b"\xc2\xa0",
            b"x" + END,
            b"]]>",
            b"x\xff<!-- -->",
        ):
            self.assertRefused(HEADER + b"<iq/> " + bad, Conditions.BAD_FORMAT, 2)

    def test_strangeNamespaces(self) -> None:
        """
        A namespace that is no URI is refused: it could look like another, and other parsers refuse it.
        """
        for bad in ("jabber:client body", "jabber:client&#10;", " jabber:client", "urn:é", "a>b", "1:2", "http://[x"):
            self.assertRefused(HEADER + f"<message><x xmlns='{bad}'/></message>".encode(), Conditions.NOT_WELL_FORMED)
        good = b"<message><x xmlns='vcard-temp'/><y xmlns='eu.siacs.conversations.axolotl'/><z xmlns='http://example.com:8080/a?b#c'/></message>"
        self.assertEqual(len(self.stanzas(good)), 1)


class RawTests(ReplayMixin, SynchronousTestCase):
    """What a receiver's parser sees is what the stanza says (L{Stanza.raw})."""

    def same(self, data: bytes, header: bytes, expected: bytes) -> None:
        """The one stanza has these bytes."""
        (stanza,) = self.stanzas(data, header=header)
        self.assertEqual(stanza.raw, expected)
        rawIsSafe(header + data)

    @spec("RFC 6120", "4.8.5")
    def test_prefixed(self) -> None:
        """A stanza with a prefix loses it, also where the prefix looks like the name."""
        for prefix in (b"c", b"message", b"message2"):
            raw = b"<%(p)s:message to='x' xmlns:%(p)s='jabber:client'><%(p)s:body>x</%(p)s:body></%(p)s:message>" % {
                b"p": prefix
            }
            self.same(raw, HEADER, b"<message to='x'><body>x</body></message>")

    @spec("RFC 6120", "4.8.5")
    def test_headerPrefixes(self) -> None:
        """Prefixes bound by the header are resolved where they are used, and only there."""
        header = HEADER.replace(b" to=", b" xmlns:p='urn:p' to=")
        self.same(b'<message  a="1"><p:x/></message>', header, b"<message a='1'><x xmlns='urn:p'/></message>")
        self.same(b'<message  a="1"><x/></message>', header, b'<message  a="1"><x/></message>')

    def test_server(self) -> None:
        """From another server the bytes stay, if they mean the same in a client stream."""
        self.same(b"<message  ><body>x</body></message>", SERVER_HEADER, b"<message  ><body>x</body></message>")
        (stanza,) = self.stanzas(b"<message><body/></message>", header=SERVER_HEADER)
        self.assertEqual((stanza.name, stanza.childNames), ("jabber:client message", ["jabber:client body"]))

    def test_serverForgery(self) -> None:
        """An element of another content namespace doesn't become part of the stanza on its way, however it is spelt."""
        for spelt in (b"jabber:client", b"jabber&#58;client"):
            self.same(
                b"<message><body xmlns='%s'>x</body></message>" % spelt,
                SERVER_HEADER,
                b"<message><body xmlns='jabber:server'>x</body></message>",
            )
        for spelt in (b"jabber:server", b"jabber:serve&#x72;"):
            self.same(b"<message xmlns='%s'><body/></message>" % spelt, SERVER_HEADER, b"<message><body/></message>")

    def test_forwarded(self) -> None:
        """A stanza forwarded inside keeps its namespace."""
        inner = (
            b"<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></forwarded>"
        )
        self.same(b"<message>" + inner + b"</message>", SERVER_HEADER, b"<message>" + inner + b"</message>")

    def test_xmlNamespace(self) -> None:
        """An element in the namespace of XML itself is written in the only way there is."""
        self.same(b"<message><xml:x/><body/></message>", SERVER_HEADER, b"<message><xml:x/><body/></message>")

    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32), st.integers(0, len(HEADERS) - 1))
    def test_meaning(self, seed: int, header: int) -> None:
        """libxml2 reads the same from the original and from the bytes we pass on."""
        meaningIsKept(Random(seed), header)

    @settings(max_examples=150, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32), st.booleans())
    def test_cutting(self, seed: int, damaged: bool) -> None:
        """Sessions, sound and damaged, are told the same however they are cut."""
        random = Random(seed)
        data = session(random, strange=damaged)
        data = mutated(data, random) if damaged else data
        cutsDontMatter(data, random)
        patienceIsHarmless(data, random)


@spec("RFC 6120", "13.12")
class BoundTests(ReplayMixin, SynchronousTestCase):
    """What a peer may make grow."""

    def test_attributes(self) -> None:
        """10,000 attributes."""
        for count, condition in ((64, None), (65, Conditions.POLICY_VIOLATION), (10000, Conditions.POLICY_VIOLATION)):
            tag = b"<message" + b"".join(b" a%d=''" % number for number in range(count)) + b"/>"
            parser = XMLStreamParser()
            parser.feed(HEADER + tag)
            self.assertEqual(parser.error and parser.error.condition, condition)

    def test_declarations(self) -> None:
        """5,000 namespace declarations, on one element or on many, in a stanza or in the header."""
        many = b"".join(b" xmlns:a%d='u'" % number for number in range(5000))
        each = b"".join(b"<a xmlns='u%d'/>" % number for number in range(5000))
        for data in (b"<message" + many + b"/>", b"<message>" + each + b"</message>"):
            self.assertRefused(HEADER + data, Conditions.POLICY_VIOLATION)
        parser = XMLStreamParser()
        parser.feed(HEADER[:-1] + many + b">")
        assert parser.error is not None
        self.assertEqual(parser.error.condition, Conditions.POLICY_VIOLATION)

    def test_declarationsPerStanza(self) -> None:
        """The limit is for one stanza and not for the stream."""
        stanza = b"<message>" + b"<a xmlns='u'/>" * 200 + b"</message>"
        parser = XMLStreamParser()
        self.assertEqual(len(parser.feed(HEADER + stanza * 20)), 21)

    def test_depth(self) -> None:
        """10,000 elements inside one another; the deepest that is allowed can be made a tree and written again."""
        self.assertRefused(HEADER + b"<a>" * 10000, Conditions.POLICY_VIOLATION)
        raw = b"<message>" + b"<a>" * 63 + b"</a>" * 63 + b"</message>"
        (stanza,) = self.stanzas(raw)
        self.assertEqual(stanza.element(), stanza.element())
        self.assertEqual(len(stanza.element().toBytes()), len(raw) - 3)
        self.assertRefused(
            HEADER + raw.replace(b"</message>", b"").replace(b"<message>", b"<message><a>"), Conditions.POLICY_VIOLATION
        )
        self.assertRaises(ValueError, ParserLimits, depth=201)

    def test_children(self) -> None:
        """30,000 children."""
        parser = XMLStreamParser()
        parser.feed(HEADER + b"<message>" + b"<a/>" * 30000)
        assert parser.error is not None
        self.assertEqual(parser.error.condition, Conditions.POLICY_VIOLATION)
        self.assertRefused(
            HEADER + b"<message>" + b"<a/>" * 11, Conditions.POLICY_VIOLATION, 1, ParserLimits(children=10)
        )

    def test_elements(self) -> None:
        """Elements below the children."""
        limits = ParserLimits(elements=10)
        self.assertEqual(len(self.stanzas(b"<iq><q>" + b"<a/>" * 10 + b"</q></iq>", limits)), 1)
        self.assertRefused(HEADER + b"<iq><q>" + b"<a/>" * 11, Conditions.POLICY_VIOLATION, 1, limits)

    def test_names(self) -> None:
        """
        A long namespace is held once for each element in it: its length is bounded, and so is that of all names.
        """
        self.assertRefused(HEADER + b"<message xmlns='" + b"u" * 600 + b"'/>", Conditions.POLICY_VIOLATION)
        limits = ParserLimits(names=1000)
        self.assertRefused(
            HEADER + b"<message xmlns:p='" + b"u" * 100 + b"'>" + b"<p:a/>" * 10, Conditions.POLICY_VIOLATION, 1, limits
        )

    def test_written(self) -> None:
        """A stanza that has to be serialised again may not get longer than a stanza may be."""
        data = (
            b"<p:message xmlns:p='jabber:client'><x xmlns:q='"
            + b"u" * 500
            + b"'>"
            + b"<q:a/>" * 1000
            + b"</x></p:message>"
        )
        self.assertRefused(HEADER + data, Conditions.POLICY_VIOLATION)

    def test_stanzaSize(self) -> None:
        """A stanza may have exactly so many bytes, in one piece or in many; white space before it doesn't count."""
        raw = b"<message><body>xxxxx</body></message>"
        limits = ParserLimits(stanzaBytes=len(raw))
        self.assertEqual(len(self.stanzas(b" " * 100 + raw + b"\n" * 100 + raw, limits)), 2)
        small = replace(limits, stanzaBytes=len(raw) - 1)
        self.assertRefused(HEADER + b" \n" + raw, Conditions.POLICY_VIOLATION, 1, small)
        self.assertRefused(HEADER + b"<message " + b" " * 100, Conditions.POLICY_VIOLATION, 1, small)
        self.assertRefused(HEADER + b"<message>" + b"x>" * 100, Conditions.POLICY_VIOLATION, 1, small)

    def test_mistakeAtTheLimit(self) -> None:
        """What comes first, the mistake or the limit, is told; however the bytes are cut."""
        for length in range(20, 60):
            self.told(
                HEADER + b"<message>" + b"x>" * 10 + b"<!-- > -->" + b"</a>" + b"x" * 60,
                ParserLimits(stanzaBytes=length),
            )
            self.told(HEADER + b"<message>" + b"x>" * 10 + b"\xff" + b"x" * 60, ParserLimits(stanzaBytes=length))

    def test_inventedNames(self) -> None:
        """Expat, which remembers names, is replaced after some bytes, also if stanzas are never complete at a cut."""
        for chunkLength in (100, 4096, 65536):
            parser = XMLStreamParser()
            parser.feed(HEADER)
            data = b"".join(b"<message><n%d a%d=''/></message>" % (number, number) for number in range(20000))
            seen, count = {id(parser._expat)}, 0
            kept = [parser._expat]
            for at in range(0, len(data), chunkLength):
                count += len(parser.feed(data[at : at + chunkLength]))
                if id(parser._expat) not in seen:
                    seen.add(id(parser._expat))
                    kept.append(parser._expat)
            self.assertEqual(count, 20000)
            self.assertGreaterEqual(len(seen), len(data) // (131072 + max(chunkLength, 200)))

    def test_replacedRarely(self) -> None:
        """A large stanza in small pieces is not fed to new parsers again and again."""
        fed: list[int] = []

        class Counting(XMLStreamParser):
            def _parse(self, data: bytes) -> None:
                fed.append(len(data))
                super()._parse(data)

        parser = Counting()
        parser.feed(HEADER)
        data = b"<message><body>" + b"x>" * 120000 + b"</body></message>"
        count = sum(len(parser.feed(data[at : at + 50])) for at in range(0, len(data), 50))
        self.assertEqual(count, 1)
        self.assertLess(sum(fed), 4 * len(data))

    def test_longTag(self) -> None:
        """Expat isn't shown a long unfinished tag or comment again for each byte, and yet nothing is told late."""
        for begin, middle, end in (
            (b"<message a='", b'>"', b"'/>"),
            (b'<message a="', b">'", b'"></message>'),
            (b"<message a='", b">", b"' b=\"'>\"/>"),
            (b"<message><x a='", b">", b"'/></message>"),
        ):
            fed: list[int] = []

            class Counting(XMLStreamParser):
                def _parse(self, data: bytes, fed: list[int] = fed) -> None:
                    fed.append(len(data))
                    super()._parse(data)

            parser = Counting()
            parser.feed(HEADER)
            data = begin + middle * 5 * PATIENCE + end
            for index in range(len(data) - 1):
                self.assertEqual(parser.feed(data[index : index + 1]), [])
            self.assertLess(len(fed), PATIENCE + 10)
            self.assertEqual(len(parser.feed(data[-1:] + b"<message/>")), 2)

    def test_longComment(self) -> None:
        """A long comment ends with the stream, and only where it ends."""
        data = HEADER + b"<message><!--" + b">" * 3 * PATIENCE
        parser = XMLStreamParser()
        for index in range(len(data)):
            parser.feed(data[index : index + 1])
        self.assertIsNone(parser.error)
        parser.feed(b"-")
        parser.feed(b"-")
        parser.feed(b">")
        assert parser.error is not None
        self.assertEqual(parser.error.condition, Conditions.RESTRICTED_XML)

    def test_longCDATA(self) -> None:
        """A CDATA section that looks like a long tag doesn't delay what comes after it."""
        raw = b"<message><body><![CDATA[<x a='" + b"x" * 2 * PATIENCE + b"]]></body></message>"
        for place in (PATIENCE + 100, 2 * PATIENCE, len(raw) - 15, len(raw) - 17):
            parser = XMLStreamParser()
            parser.feed(HEADER)
            parser.feed(raw[:30])
            parser.feed(raw[30:place])
            self.assertEqual(len(parser.feed(raw[place:])), 1)
        parser = XMLStreamParser()
        parser.feed(HEADER)
        held = raw.replace(b"x" * PATIENCE, b"x>" * (PATIENCE // 2))
        self.assertEqual(sum(len(parser.feed(held[at : at + 1])) for at in range(len(held))), 1)

    def test_longTagMistake(self) -> None:
        """A mistake in a long tag is told when the tag ends, or is too long, and by its own name."""
        for after in (b"'/>", b"x" * 300000):
            data = b"<message a='" + b">" * 2 * PATIENCE + b"\xff>" + after
            for size in (1024, len(data)):
                parser = XMLStreamParser()
                parser.feed(HEADER)
                for at in range(0, len(data), size):
                    parser.feed(data[at : at + size])
                assert parser.error is not None
                self.assertEqual(parser.error.condition, Conditions.NOT_WELL_FORMED)
