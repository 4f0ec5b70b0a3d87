"""
Tests of L{xmppd.wire.stanza}. That what changes stanzas keeps their meaning is tested with made-up ones in
L{tests.wire.test_xmlstream} too.
"""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.documents import received
from xmppd.wire import ns, stanza
from xmppd.wire.element import LANG, Element, parse
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import BODY, ERROR, NAME_LENGTHS, Stanza, build, content, fromBytes, join, portable, starts

FULL = "romeo@example.com/o'&<"


class MakingTests(SynchronousTestCase):
    """Stanzas of our own, and out of a store."""

    def test_fromBytes(self) -> None:
        """Name, attributes and children are read from the bytes."""
        raw = b"<iq id='1' type='get' xml:lang='de'><ping xmlns='urn:xmpp:ping'/></iq>"
        stanza = fromBytes(raw)
        self.assertEqual(
            (stanza.kind, stanza.name, stanza.childNames, stanza.raw),
            ("iq", "jabber:client iq", ["urn:xmpp:ping ping"], raw),
        )
        self.assertEqual(
            (stanza.id, stanza.type, stanza.to, stanza.sender, stanza.attrs[LANG]), ("1", "get", None, None, "de")
        )

    def test_notFromBytes(self) -> None:
        """Only what was a stanza's bytes before is taken: nothing around it, no prefix, no other element."""
        for bad in (
            b"",
            b"<message>",
            b"<x/>",
            b"<message xmlns='jabber:server'/>",
            b"<c:message xmlns:c='jabber:client'/>",
            b"<message:message xmlns:message='jabber:client'/>",
            b"<message/><message/>",
            b"x<message/>",
            b" <message/>",
            b"<message><!-- x --></message>",
        ):
            self.assertRaises(ValueError, fromBytes, bad)

    def test_build(self) -> None:
        """Our own stanzas escape what they are given."""
        stanza = build("message", {"to": FULL}, Element("body", ns.CLIENT, {}, ("<&",)), Element("x", "urn:x"))
        self.assertEqual(
            stanza.raw,
            b"<message to='romeo@example.com/o&apos;&amp;&lt;'><body>&lt;&amp;</body><x xmlns='urn:x'/></message>",
        )
        self.assertEqual(list(stanza.childNames), [BODY, "urn:x x"])
        self.assertEqual(fromBytes(stanza.raw).attrs, stanza.attrs)
        self.assertEqual(join("iq", {}, b""), b"<iq/>")

    def test_repr(self) -> None:
        """What may end up in a log holds no content and no line breaks."""
        shown = repr(fromBytes(b"<message id='a&#10;b' secret='x'><body>secret</body></message>"))
        self.assertNotIn("secret", shown)
        self.assertNotIn("\n", shown)


class ReadingTests(SynchronousTestCase):
    """Looking inside."""

    def test_inner(self) -> None:
        """The bytes between the tags, however they are written."""
        for raw, inner in (
            (b"<message/>", b""),
            (b"<message a='/>' />", b""),
            (b"<message></message>", b""),
            (b"<message a='>'>x</message  >", b"x"),
            (b"<message><![CDATA[</message>]]></message\n>", b"<![CDATA[</message>]]>"),
            (b"<message><a/></message>", b"<a/>"),
        ):
            self.assertEqual(fromBytes(raw).inner, inner)

    def test_find(self) -> None:
        """The first child of a name, as a tree; nothing is parsed if there is none."""
        stanza = fromBytes(b"<message><body>a</body>x<body>b</body><y xmlns='u'/></message>")
        found = stanza.find(BODY)
        assert found is not None
        self.assertEqual(found.text, "a")
        self.assertIs(stanza.elements(), stanza.elements())
        self.assertEqual(len(stanza.elements()), 3)
        self.assertIsNone(Stanza("message", "", {}, [], b"not parsed").find(BODY))

    def test_content(self) -> None:
        """Trees and texts, also where prefixes are bound on the start tag."""
        stanza = fromBytes(b"<message xmlns:p='u'>a<p:x/></message>")
        self.assertEqual(content(stanza), ("a", Element("x", "u")))


@spec("RFC 6120", "8.1.2.1")
class StampTests(SynchronousTestCase):
    """The true sender."""

    def test_inserted(self) -> None:
        """The sender is put in behind the name, for each kind."""
        for kind in NAME_LENGTHS:
            for rest in ("/>", " />", "\n to='x'/>", f"></{kind}>", f">x</{kind} >"):
                stanza = fromBytes(f"<{kind}{rest}".encode())
                stanza.stamp(FULL, starts(FULL))
                self.assertEqual(stanza.raw, f"<{kind} from='romeo@example.com/o&apos;&amp;&lt;'{rest}".encode())
                self.assertEqual((stanza.sender, received(stanza.raw)[1]["from"]), (FULL, FULL))

    def test_overwritten(self) -> None:
        """Another sender is replaced, however it is written; nothing else changes."""
        for tag in (b"from='x'", b'from="a\'>b"', b"\n from = 'romeo@example.com'", b"from='' xmlns:p='u' p:from='y'"):
            stanza = fromBytes(b"<message a='from=' " + tag + b" to='z'><body>from='x'</body></message>")
            before = dict(stanza.attrs)
            stanza.stamp(FULL, starts(FULL))
            self.assertEqual(stanza.attrs, {**before, "from": FULL})
            self.assertEqual(received(stanza.raw)[1].get("{u}from"), stanza.attrs.get("u from"))
            self.assertEqual(stanza.inner, b"<body>from='x'</body>")
            self.assertEqual(fromBytes(stanza.raw).attrs, stanza.attrs)

    def test_same(self) -> None:
        """The right sender stays as it is."""
        raw = b"<message from='a@b/c'/>"
        stanza = fromBytes(raw)
        stanza.stamp("a@b/c", starts("a@b/c"))
        self.assertEqual(stanza.raw, raw)

    @spec("RFC 6120", "8.1.5")
    def test_language(self) -> None:
        """The language of the stream is added where the stanza has none, and never changed."""
        stanza = fromBytes(b"<message to='x'><body/></message>")
        stanza.speak("de")
        self.assertEqual((stanza.raw, stanza.attrs[LANG]), (b"<message xml:lang='de' to='x'><body/></message>", "de"))
        stanza.speak("fr")
        self.assertEqual(stanza.attrs[LANG], "de")


class ChangeTests(SynchronousTestCase):
    """Copies with something changed."""

    def test_addressed(self) -> None:
        """Attributes are put in, changed and taken out; the original stays; declarations stay."""
        raw = b"<message  id=\"1\" xmlns:to='u' to:to='y' to = 'x'><to:a/></message>"
        stanza = fromBytes(raw)
        changed = stanza.addressed({"to": "a&b", "id": None, "type": "chat"})
        self.assertEqual(changed.raw, b"<message to='a&amp;b' type='chat' xmlns:to='u' to:to='y'><to:a/></message>")
        self.assertEqual(changed.attrs, {"to": "a&b", "type": "chat", "u to": "y"})
        self.assertEqual((stanza.raw, stanza.attrs["to"], changed.childNames), (raw, "x", ["u a"]))
        self.assertEqual(fromBytes(b"<message/>").addressed({"to": "x"}).raw, b"<message to='x'/>")
        self.assertEqual(stanza.addressed({LANG: "de"}).attrs[LANG], "de")
        self.assertRaises(ValueError, stanza.addressed, {"u to": "z"})

    def test_extended(self) -> None:
        """Content is added at the end, whatever kind of end that is; the copy has attributes of its own."""
        for raw, expected in (
            (b"<message/>", b"<message><y/></message>"),
            (b"<message a='/>' />", b"<message a='/>' ><y/></message>"),
            (b"<message></message >", b"<message><y/></message >"),
            (b"<message xmlns='jabber:client'>x</message>", b"<message xmlns='jabber:client'>x<y/></message>"),
            (b"<message><![CDATA[</message>]]></message>", b"<message><![CDATA[</message>]]><y/></message>"),
        ):
            stanza = fromBytes(raw)
            longer = stanza.extended(b"<y/>", ("jabber:client y",))
            self.assertEqual((longer.raw, longer.childNames), (expected, ["jabber:client y"]))
            longer.stamp("a@b/c", starts("a@b/c"))
            self.assertIsNone(stanza.sender)
        other = Stanza("", "urn:x p:x", {}, [], b"<p:x xmlns:p='urn:x'/>").extended(b"<y/>", ("jabber:client y",))
        self.assertEqual(other.raw, b"<p:x xmlns:p='urn:x'><y/></p:x>")

    def test_without(self) -> None:
        """Children are cut out, however they are written; all else stays as it was."""
        raw = b"<message xmlns:p='u'> <p:x a='>'/>t<p:x><p:x/></p:x ><x xmlns='u'>]]&gt;</x><body >b</body></message>"
        stanza = fromBytes(raw)
        self.assertEqual(stanza.childNames, ["u x", "u x", "u x", BODY])
        shorter = stanza.without(frozenset({"u x", "u y"}))
        self.assertEqual(
            (shorter.raw, shorter.childNames), (b"<message xmlns:p='u'> t<body >b</body></message>", [BODY])
        )
        self.assertIs(stanza.without(frozenset({"u y"})), stanza)
        self.assertEqual(shorter.without(frozenset({BODY})).childNames, [])

    @spec("RFC 6120", "4.8.3")
    def test_forNamespace(self) -> None:
        """Bytes that mean the same in another stream are passed on; others are written again."""
        for raw, expected in (
            (b"<message  ><body>x</body></message>", b"<message  ><body>x</body></message>"),
            (b"<message xmlns='jabber:client'><body/></message>", b"<message><body/></message>"),
            (b"<message xmlns='jabber&#x3A;client'><body/></message>", b"<message><body/></message>"),
            (b"<message><body xmlns='jabber:server'/></message>", b"<message><body xmlns='jabber:client'/></message>"),
            (
                b"<message><body xmlns='jabber&#58;server'/></message>",
                b"<message><body xmlns='jabber:client'/></message>",
            ),
            (
                b"<message xmlns:f='u'><f:x><message/></f:x></message>",
                b"<message><x xmlns='u'><message xmlns='jabber:client'/></x></message>",
            ),
            (
                b"<message><stream:x><message/></stream:x></message>",
                f"<message><x xmlns='{ns.STREAMS}'><message xmlns='jabber:client'/></x></message>".encode(),
            ),
        ):
            stanza = fromBytes(raw)
            self.assertEqual(stanza.forNamespace(ns.SERVER), expected)
            self.assertEqual(stanza.forNamespace(ns.CLIENT), raw)
        self.assertTrue(portable(b"<message><x xmlns='u'/></message>", ns.SERVER))

    def test_portable(self) -> None:
        """What can be told at a glance is what a thorough look would tell."""
        pieces = (
            *(b"jabber:client", b"jabber:server", b"xmlns:x='u'", b"xmlns='jabber&#58;client'", b"xmlns='u:n'"),
            *(b"<stream:x/>", b"<xml:x/>", b"<db:x/>", b"<p:x/>", b" xml:lang='de'", b"is: or: http://b: ", b"&amp;"),
        )
        raws = [b"<message><body>" + one + b"y" + two + b"</body></message>" for one in pieces for two in pieces]
        for space in (ns.CLIENT, ns.SERVER, ns.COMPONENT_ACCEPT):
            for prefixes in ((), (b"db:",), (b"db:", b"p:")):
                quick = [portable(raw, space, prefixes) for raw in raws]
                with mock.patch.object(stanza, "_DOUBTFUL", {}):
                    slow = [portable(raw, space, prefixes) for raw in raws]
                self.assertEqual(quick, slow)
                self.assertEqual(len(set(quick)), 1 if space == ns.CLIENT and not prefixes else 2)

    @spec("RFC 7395", "3.3.3")
    def test_declared(self) -> None:
        """Framings without a stream header get every namespace on the start tag, and none twice."""
        for raw, expected in (
            (b"<message/>", b"<message xmlns='jabber:client'/>"),
            (b"<message to='x'/>", b"<message xmlns='jabber:client' to='x'/>"),
            (b"<message xmlns = 'jabber:client'/>", b"<message xmlns = 'jabber:client'/>"),
            (b"<message id=\" xmlns='x'\"/>", b"<message xmlns='jabber:client' id=\" xmlns='x'\"/>"),
            (b"<iq a='>' \n xmlns=\"jabber:client\"/>", b"<iq a='>' \n xmlns=\"jabber:client\"/>"),
            (
                b"<iq xmlns:p='u' a=\" xmlns='jabber:client'\"/>",
                b"<iq xmlns='jabber:client' xmlns:p='u' a=\" xmlns='jabber:client'\"/>",
            ),
            (
                b"<message><stream:x/></message>",
                f"<message xmlns='jabber:client' xmlns:stream='{ns.STREAMS}'><stream:x/></message>".encode(),
            ),
            (
                b"<message xmlns:stream='u'><stream:x/></message>",
                b"<message xmlns='jabber:client' xmlns:stream='u'><stream:x/></message>",
            ),
        ):
            self.assertEqual(fromBytes(raw).declared(), expected)
        self.assertEqual(Stanza("", "u x", {}, [], b"<x xmlns='u'/>").declared(), b"<x xmlns='u'/>")


@spec("RFC 6120", "8.2.3", "8.3.1")
class ReplyTests(SynchronousTestCase):
    """Answers."""

    request = fromBytes(b"<iq id='a&apos;b' type='get' from='a@b/c' to='d@e'><x xmlns='u'/></iq>")

    def test_error(self) -> None:
        """An error is of the same kind and id, from whom the stanza was for, to its sender."""
        for kind in NAME_LENGTHS:
            stanza = fromBytes(f"<{kind} id='1' from='a@b/c' to='d@e'/>".encode())
            answer = stanza.error(StanzaError(StanzaCondition.FORBIDDEN))
            self.assertEqual(answer.attrs, {"type": "error", "id": "1", "from": "d@e", "to": "a@b/c"})
            read = fromBytes(answer.raw)
            self.assertEqual((read.kind, read.attrs, read.childNames), (kind, answer.attrs, [ERROR]))
            self.assertEqual(list(answer.childNames), [ERROR])

    def test_sender(self) -> None:
        """Somebody else may answer; what the request lacks, the answer lacks."""
        self.assertEqual(self.request.error(StanzaError(StanzaCondition.GONE), "e").sender, "e")
        self.assertEqual(fromBytes(b"<iq/>").result().attrs, {"type": "result"})

    def test_result(self) -> None:
        """A result may have a payload, as a tree or as bytes; its name is known in both cases."""
        payload = Element("y", "u", {}, ("<",))
        for given in (payload, payload.toBytes()):
            answer = self.request.result(given)
            self.assertEqual(
                answer.raw, b"<iq type='result' id='a&apos;b' from='d@e' to='a@b/c'><y xmlns='u'>&lt;</y></iq>"
            )
            self.assertEqual(list(answer.childNames), ["u y"])
            self.assertEqual(answer.find("u y"), payload)
        self.assertEqual(self.request.result().raw, b"<iq type='result' id='a&apos;b' from='d@e' to='a@b/c'/>")
        self.assertEqual(parse(self.request.result().raw).get("id"), "a'b")
