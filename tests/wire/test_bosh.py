"""Tests of L{xmppd.wire.bosh}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import ns
from xmppd.wire.bosh import DEPENDENT, PAYLOADS, RESTART, BadBody, Body, readBody, writeBody
from xmppd.wire.element import LANG, parse
from xmppd.wire.xmlstream import ParserLimits

LIMITS = ParserLimits()
XMLNS = f"xmlns='{ns.HTTP_BIND}'".encode()


def read(data: bytes, limits: ParserLimits = LIMITS) -> Body:
    """A body."""
    return readBody(data, limits)


class ReadTests(SynchronousTestCase):
    """What clients send."""

    @spec("XEP-0124", "6")
    def test_attributes(self) -> None:
        """Attributes with and without namespaces."""
        body = read(
            b"<body rid='1' xml:lang='de' x:restart='true' a:b='c' xmlns:a='u' xmlns:x='%b' %b/>\n"
            % (ns.XBOSH.encode(), XMLNS)
        )
        self.assertEqual(body.attrs, {"rid": "1", LANG: "de", RESTART: "true", "u b": "c"})
        self.assertTrue(body.isTrue(RESTART))
        self.assertFalse(body.isTrue("rid2"))
        self.assertEqual(body.payloads, ())
        self.assertEqual(read(b"<b:body xmlns:b='%b'></b:body>" % ns.HTTP_BIND.encode()).attrs, {})
        self.assertEqual(read(b"<?xml version='1.0' encoding='utf-8'?><body %b/>" % XMLNS).attrs, {})

    @spec("XEP-0206", "2")
    def test_payloads(self) -> None:
        """Payloads mean the same by themselves as they did in the body."""
        for payload, expected in (
            (b"<message xmlns='jabber:client' to='a'><body>x&amp;</body></message>", None),
            (b"<message to='a'><body>x</body></message>", b"<message to='a'><body>x</body></message>"),
            (
                b"<iq><query xmlns='jabber:iq:roster'><item/></query></iq>",
                b"<iq><query xmlns='jabber:iq:roster'><item/></query></iq>",
            ),
            (
                b"<message><body xmlns='jabber:client'/><a xmlns='u'><body %b/></a></message>" % XMLNS,
                b"<message><body xmlns='http://jabber.org/protocol/httpbind'/><a xmlns='u'><body %b/></a></message>" % XMLNS,
            ),
            (b"<iq xmlns='jabber:client'><a %b/></iq>" % XMLNS, None),
            (b"<a xmlns='u'>x</a>", None),
            (b"<a xmlns=''/>", b"<a xmlns=''/>"),
            (b"<c:message xmlns:c='jabber:client'/>", b"<message/>"),
        ):
            (found,) = read(b"<body %b>%b</body>" % (XMLNS, payload)).payloads
            self.assertEqual(found, payload if expected is None else expected)
        both = b"<body xmlns:p='u' %b> <p:a><p:b/></p:a>\n<presence/> </body>" % XMLNS
        self.assertEqual(read(both).payloads, (b"<a xmlns='u'><b/></a>", b"<presence/>"))

    def test_prefixes(self) -> None:
        """What uses a prefix of the body gets it declared; what only looks so doesn't change its meaning."""
        for payload, expected in (
            (b"<iq xmlns='jabber:client'><p:a/></iq>", b"<iq><a xmlns='u'/></iq>"),
            (b"<iq xmlns='jabber:client' id='p:x'/>", b"<iq id='p:x'/>"),
            (b"<iq xmlns='jabber:client'><stream:a/></iq>", b"<iq xmlns='jabber:client'><stream:a/></iq>"),
        ):
            start = b"<body xmlns:p='u' xmlns:stream='%b' %b>" % (ns.STREAMS.encode(), XMLNS)
            self.assertEqual(read(start + payload + b"</body>").payloads, (expected,))
        other = b"<b:body xmlns:b='%b' xmlns='jabber:client'><iq/></b:body>" % ns.HTTP_BIND.encode()
        self.assertEqual(read(other).payloads, (b"<iq/>",))

    @spec("XEP-0124", "6")
    def test_bad(self) -> None:
        """What is no body, or holds what none may."""
        for data in (
            b"",
            b" ",
            b"x",
            b"<body/>",
            b"<body xmlns='u'/>",
            b"<x %b/>" % XMLNS,
            b"<body %b>" % XMLNS,
            b"<body %b><a>" % XMLNS,
            b"<body %b><a></body>" % XMLNS,
            b"<body %b>text</body>" % XMLNS,
            b"<body %b><a/>text</body>" % XMLNS,
            b"<body %b/>x" % XMLNS,
            b"<body %b/><body %b/>" % (XMLNS, XMLNS),
            b"<body %b><!-- x --></body>" % XMLNS,
            b"<body %b><a><?x?></a></body>" % XMLNS,
            b"<!DOCTYPE body><body %b/>" % XMLNS,
            b"<body %b><a>&x;</a></body>" % XMLNS,
            b"<body %b><p:a/></body>" % XMLNS,
            b"<body %b><a>\xff</a></body>" % XMLNS,
            b"<?xml version='1.0' encoding='utf-16'?><body %b/>" % XMLNS,
            b"<stream:stream xmlns:stream='%b' xmlns='jabber:client'>" % ns.STREAMS.encode(),
        ):
            self.assertRaises(BadBody, read, data)

    def test_limits(self) -> None:
        """The limits are those of streams, and one for how many payloads there are."""
        self.assertEqual(len(read(b"<body %b>%b</body>" % (XMLNS, b"<a/>" * PAYLOADS)).payloads), PAYLOADS)
        elements = b"<a/>" * (DEPENDENT + 1)
        self.assertRaises(BadBody, read, b"<body %b><iq>%b</iq></body>" % (XMLNS, elements))
        read(b"<body %b><iq xmlns='jabber:client'>%b</iq></body>" % (XMLNS, elements))
        limits = ParserLimits(stanzaBytes=1000, headBytes=1000, depth=5)
        for data in (
            b"<body %b>%b</body>" % (XMLNS, b"<a/>" * (PAYLOADS + 1)),
            b"<body %b a='%b'/>" % (XMLNS, b"x" * 1000),
            b"<body %b><a>%b</a></body>" % (XMLNS, b"x" * 1000),
            b"<body %b>%b%b</body>" % (XMLNS, b"<a>" * 7, b"</a>" * 7),
        ):
            self.assertRaises(BadBody, read, data, limits)

    @given(st.binary(max_size=200))
    def test_noise(self, noise: bytes) -> None:
        """Noise is a body or none."""
        for data in (noise, b"<body %b>%b</body>" % (XMLNS, noise), b"<body %b %b/>" % (XMLNS, noise)):
            try:
                body = read(data)
            except BadBody:
                continue
            for payload in body.payloads:
                parse(payload)


class WriteTests(SynchronousTestCase):
    """What clients get."""

    def test_empty(self) -> None:
        """Nothing."""
        self.assertEqual(writeBody({}), b"<body %b/>" % XMLNS)

    @spec("XEP-0206", "2")
    def test_full(self) -> None:
        """Prefixes are bound where they are used."""
        data = writeBody({"sid": "a'b", "xmpp:version": "1.0"}, [b"<stream:features/>", b"<a xmlns='u'/>"])
        root = etree.fromstring(data)
        self.assertEqual(root.attrib, {"sid": "a'b", f"{{{ns.XBOSH}}}version": "1.0"})
        self.assertEqual([child.tag for child in root], [f"{{{ns.STREAMS}}}features", "{u}a"])
