"""Tests of L{xmppd.wire.framing}: frames in, events out."""

from __future__ import annotations

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import ns
from xmppd.wire.element import LANG
from xmppd.wire.errors import StreamCondition
from xmppd.wire.framing import FrameParser, inStream, messagesIn, standalone, textFrame
from xmppd.wire.stanza import Stanza, fromBytes
from xmppd.wire.xmlstream import END, ParserLimits, StreamHeader

OPEN = f"<open xmlns='{ns.FRAMING}' to='example.org' version='1.0'/>".encode()


class FrameTests(SynchronousTestCase):
    """One frame after the other."""

    def setUp(self) -> None:
        self.parser = FrameParser()
        self.assertEqual([event.kind for event in self.parser.feed(OPEN)], ["header"])

    def stanza(self, frame: bytes) -> Stanza:
        """The stanza a frame is."""
        (event,) = self.parser.feed(frame)
        assert isinstance(event, Stanza)
        return event

    def refused(self, frame: bytes, condition: StreamCondition, parser: FrameParser | None = None) -> None:
        """A frame that ends the stream."""
        parser = parser or self.parser
        self.assertEqual(parser.feed(frame), [], frame)
        assert parser.error is not None, frame
        self.assertEqual(parser.error.condition, condition, frame)
        self.assertEqual(parser.feed(b"<message/>"), [])

    @spec("RFC 7395", "3.3.1", "3.4")
    def test_header(self) -> None:
        """The header has the attributes of a stream's."""
        frame = f"<open xmlns='{ns.FRAMING}' to='a' from='b@a' version='1.0' xml:lang='de'></open>"
        (header,) = FrameParser().feed(frame.encode())
        assert isinstance(header, StreamHeader)
        self.assertEqual((header.to, header.sender, header.version), ("a", "b@a", (1, 0)))
        self.assertEqual((header.language, header.content, header.attrs[LANG]), ("de", ns.CLIENT, "de"))

    @spec("RFC 7395", "3.3.2")
    def test_wrongHeaders(self) -> None:
        """A header in another namespace, or that of TCP, is told from something else."""
        for frame in (
            b"<open to='a' version='1.0'/>",
            b"<open xmlns='urn:x' to='a'/>",
            f"<stream:stream xmlns:stream='{ns.STREAMS}' to='a'/>".encode(),
            f"<stream:stream xmlns:stream='{ns.STREAMS}' to='a'>".encode(),
        ):
            self.refused(frame, StreamCondition.INVALID_NAMESPACE, FrameParser())
        full = f"<open xmlns='{ns.FRAMING}'><a/></open>".encode()
        self.refused(full, StreamCondition.BAD_FORMAT, FrameParser())
        long = OPEN.replace(b"version", b"x='" + 2000 * b"y" + b"' version")
        self.refused(long, StreamCondition.POLICY_VIOLATION, FrameParser(ParserLimits(headBytes=1024)))

    @spec("RFC 7395", "3.6")
    def test_end(self) -> None:
        """The end, with or without a header before it."""
        close = f"<close xmlns='{ns.FRAMING}'/>".encode()
        self.assertEqual(self.parser.feed(close), [END])
        self.assertEqual(FrameParser().feed(close), [END])

    def test_second(self) -> None:
        """A second header is an event like the first: the stream knows what to make of it."""
        (event,) = self.parser.feed(OPEN)
        self.assertIsInstance(event, StreamHeader)

    @spec("RFC 7395", "3.3.3")
    def test_stanzas(self) -> None:
        """Stanzas pass as they came, and mean the same in any client stream."""
        raw = b"<message xmlns='jabber:client' to='a@b'><body>x</body></message>"
        stanza = self.stanza(raw)
        self.assertEqual((stanza.kind, stanza.raw, stanza.to), ("message", raw, "a@b"))
        self.assertEqual(stanza.childNames, ["jabber:client body"])
        self.assertEqual(self.stanza(b"<message/>").kind, "message")
        self.assertEqual(self.stanza(b"<c:iq xmlns:c='jabber:client' id='1'/>").raw, b"<iq id='1'/>")
        self.assertEqual(self.stanza(b"<a xmlns='urn:x'/> \n").name, "urn:x a")
        self.assertEqual(self.stanza(b"<message xmlns='urn:x'/>").kind, "")

    @spec("RFC 7395", "3.3.3")
    def test_declaration(self) -> None:
        """An XML declaration isn't recommended, and does no harm if it is a good one."""
        self.assertEqual(self.stanza(b"<?xml version='1.0'?><message/>").raw, b"<message/>")
        self.assertEqual(self.stanza(b'<?xml version="1.0" encoding="utf-8" ?>\n<iq/>').raw, b"<iq/>")
        for frame, condition in (
            (b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>", StreamCondition.UNSUPPORTED_ENCODING),
            (b"<?xml version='1.1'?><a/>", StreamCondition.NOT_WELL_FORMED),
            (b"<?xml version='1.0'?><?xml version='1.0'?><a/>", StreamCondition.RESTRICTED_XML),
            (b"<?xmlx?><a/>", StreamCondition.NOT_WELL_FORMED),
        ):
            self.refused(frame, condition, FrameParser())

    @spec("RFC 7395", "3.3.3", "3.8")
    def test_oneElement(self) -> None:
        """A frame is one element, from its first octet on; nothing is left for the next one."""
        for frame in (
            b"",
            b" ",
            b" <message/>",
            b"x",
            b"\xef\xbb\xbf<message/>",
            b"<message/><message/>",
            b"<message/>x",
            b"<message/><",
            b"<message>",
            b"<message><body>",
            b"<message",
            b"</message>",
            b"</stream:stream>",
            b"<message/></stream:stream>",
            b"<message></message",
            b"<message>\xff</message>",
        ):
            parser = FrameParser()
            parser.feed(OPEN)
            self.assertEqual(parser.feed(frame), [], frame)
            self.assertIsNotNone(parser.error, frame)
        self.refused(b"<message><body>", StreamCondition.NOT_WELL_FORMED)

    @spec("RFC 6120", "11.1")
    def test_restricted(self) -> None:
        """What a stream over TCP may not hold a frame may not hold either."""
        for frame in (
            b"<!DOCTYPE a><a/>",
            b"<!-- a --><a/>",
            b"<message><!-- a --></message>",
            b"<message><?a b?></message>",
            b"<message>&a;</message>",
        ):
            parser = FrameParser()
            parser.feed(OPEN)
            self.refused(frame, StreamCondition.RESTRICTED_XML, parser)

    def test_limits(self) -> None:
        """The limits are those of TCP."""
        limits = ParserLimits(stanzaBytes=1000, depth=5, attributes=8)
        for frame in (
            b"<message>" + b"x" * 1000 + b"</message>",
            b"<a>" * 7 + b"</a>" * 7,
            b"<a " + b" ".join(b"a%d=''" % i for i in range(9)) + b"/>",
        ):
            parser = FrameParser(limits)
            parser.feed(OPEN)
            self.refused(frame, StreamCondition.POLICY_VIOLATION, parser)

    def test_long(self) -> None:
        """However much has passed, the parser stays small and knows its names."""
        parser = FrameParser(ParserLimits(recycleBytes=2000))
        parser.feed(OPEN)
        for number in range(300):
            (stanza,) = parser.feed(b"<message xmlns='jabber:client'><x%d xmlns='urn:x'/></message>" % number)
            assert isinstance(stanza, Stanza)
            self.assertEqual(stanza.childNames, [f"urn:x x{number}"])
            parser.rest()


class WritingTests(SynchronousTestCase):
    """What the server sends."""

    @spec("RFC 7395", "3.3.3")
    def test_standalone(self) -> None:
        """Features and errors get the prefix declared; other elements have what they need."""
        for element in (
            b"<stream:features/>",
            b"<stream:features><a xmlns='u'/></stream:features>",
            f"<stream:error><reset xmlns='{ns.STREAM_ERRORS}'/></stream:error>".encode(),
        ):
            root = etree.fromstring(standalone(element))
            self.assertEqual(etree.QName(root).namespace, ns.STREAMS)
        self.assertEqual(standalone(b"<a xmlns='u'/>"), b"<a xmlns='u'/>")

    @spec("RFC 6455", "5.2")
    def test_textFrame(self) -> None:
        """The shortest form of the length is used."""
        for length, head in (
            (0, b"\x81\x00"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (65535, b"\x81\x7e\xff\xff"),
            (65536, b"\x81\x7f" + (65536).to_bytes(8, "big")),
        ):
            self.assertEqual(textFrame(b"x" * length), head + b"x" * length)

    def test_readAgain(self) -> None:
        """What was written can be read again out of the frames, as it was before."""
        elements = [b"<message to='a'/>", b"<iq>" + b"x" * 200 + b"</iq>", b"<presence>" + b"x" * 70_000 + b"</presence>"]
        frames = b"\x8a\x02ab".join(textFrame(fromBytes(element).declared()) for element in elements) + b"\x89\x00"
        self.assertEqual([inStream(message) for message in messagesIn(frames)], elements)
        self.assertEqual(inStream(b"<a xmlns='u'/>"), b"<a xmlns='u'/>")
