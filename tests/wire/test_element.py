"""
Tests of L{xmppd.wire.element}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.documents import Documents, infoset, received
from xmppd.wire import ns
from xmppd.wire.element import (
    DEPTH,
    LANG,
    Element,
    escapeAttribute,
    escapeText,
    parse,
    parseContent,
    split,
    startTag,
    writable,
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30).map(writable)


class EscapingTests(SynchronousTestCase):
    """Texts that a parser reads back as they were."""

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(TEXTS, TEXTS)
    def test_readBack(self, text: str, value: str) -> None:
        """Character data and attribute values are read back exactly, by two parsers."""
        document = f"<r><x a='{escapeAttribute(value)}'>{escapeText(text)}</x></r>".encode()
        self.assertEqual(infoset(document), ("x", {"a": value}, [text] if text else []))
        element = Element("x", ns.CLIENT, {"a": value}, (text,) if text else ())
        self.assertEqual(parse(element.toBytes()), element)

    def test_unchanged(self) -> None:
        """What needs no escaping is the same object."""
        text = "hello \" there'"
        self.assertIs(escapeText(text), text)
        self.assertEqual(escapeAttribute("\t\n\r&<>'\""), '&#9;&#10;&#13;&amp;&lt;&gt;&apos;"')

    @spec("RFC 6120", "11.4")
    def test_writable(self) -> None:
        """What XML can't hold is replaced."""
        self.assertEqual(
            writable("a\x00\x0b\ud800\ufffe\uffff\t\n\r\U0010ffff"), "a" + "\ufffd" * 5 + "\t\n\r\U0010ffff"
        )


class NameTests(SynchronousTestCase):
    """Names as one string."""

    def test_split(self) -> None:
        """The local name is what follows the last space, so that no namespace can take part in it."""
        self.assertEqual(split("jabber:client body"), ("jabber:client", "body"))
        self.assertEqual(split("body"), ("", "body"))
        self.assertEqual(split("jabber:client body x"), ("jabber:client body", "x"))

    def test_qname(self) -> None:
        """The name of an element is what the parser calls it."""
        self.assertEqual(Element("x", "urn:x").qname, "urn:x x")
        self.assertEqual(Element("x", "").qname, "x")


class TreeTests(SynchronousTestCase):
    """Looking into trees."""

    tree = parse(b"<q xmlns='u' a='1' xml:lang='de'>t<i n='1'>one</i>u<i n='2'/><i xmlns='v' n='3'>three</i></q>")

    def test_attributes(self) -> None:
        """Attributes by key."""
        self.assertEqual((self.tree.get("a"), self.tree.get("b"), self.tree.get("b", "x")), ("1", None, "x"))
        self.assertEqual(self.tree.get(LANG), "de")

    def test_elements(self) -> None:
        """Children by name, by default in the same namespace."""
        self.assertEqual([each.get("n") for each in self.tree.elements()], ["1", "2", "3"])
        self.assertEqual([each.get("n") for each in self.tree.elements("i")], ["1", "2"])
        self.assertEqual([each.get("n") for each in self.tree.elements("i", "v")], ["3"])
        self.assertEqual((self.tree.find("i", "v") or self.tree).text, "three")
        self.assertIsNone(self.tree.find("j"))

    def test_text(self) -> None:
        """The text directly inside, and of a child."""
        self.assertEqual(self.tree.text, "tu")
        self.assertEqual((self.tree.textOf("i"), self.tree.textOf("j")), ("one", None))


class WritingTests(SynchronousTestCase):
    """Trees as bytes."""

    def test_namespaces(self) -> None:
        """A namespace is declared where it changes."""
        tree = Element("a", ns.CLIENT, {}, (Element("b", "u", {}, (Element("c", "u"), Element("d", ""))),))
        self.assertEqual(tree.toBytes(), b"<a><b xmlns='u'><c/><d xmlns=''/></b></a>")
        self.assertEqual(tree.toBytes("u"), b"<a xmlns='jabber:client'><b xmlns='u'><c/><d xmlns=''/></b></a>")

    def test_attributeNamespaces(self) -> None:
        """Attributes in namespaces get prefixes, but for those of XML."""
        self.assertEqual(
            startTag("a", {LANG: "de", "u x": "1", "b": "2"}), "<a xml:lang='de' xmlns:a1='u' a1:x='1' b='2'"
        )

    def test_xmlNamespace(self) -> None:
        """The namespace of XML can't be the default one: its elements have the prefix that is always there."""
        tree = Element("x", ns.XML, {}, (Element("body", ns.CLIENT),))
        self.assertEqual(tree.toBytes(), b"<xml:x><body/></xml:x>")
        self.assertEqual(parse(tree.toBytes()), tree)

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def test_roundTrip(self, seed: int) -> None:
        """A tree says what the bytes said that it was made of, to libxml2 too."""
        raw = Documents(Random(seed)).element({"": ns.CLIENT, "stream": ns.STREAMS}, 0).encode()
        tree = parse(raw)
        self.assertEqual(parse(tree.toBytes()), tree)
        self.assertEqual(received(tree.toBytes()), received(raw))


class ParsingTests(SynchronousTestCase):
    """Bytes as trees."""

    def test_content(self) -> None:
        """Elements and joined texts, in order."""
        found = parseContent(b"a&amp;\nb<![CDATA[<c>]]><x/>d")
        self.assertEqual(found, ("a&\nb<c>", Element("x", ns.CLIENT), "d"))
        self.assertEqual(parseContent(b""), ())

    def test_context(self) -> None:
        """Names mean what they meant where the bytes stood."""
        self.assertEqual(parse(b"<stream:x/>").ns, ns.STREAMS)
        self.assertEqual(parse(b"<p:x><y/></p:x>", "u", (("p", "v"),)), Element("x", "v", {}, (Element("y", "u"),)))

    def test_oneElement(self) -> None:
        """Exactly one element, with nothing but white space around it."""
        self.assertEqual(parse(b" \n<x/>\t"), Element("x", ns.CLIENT))
        for bad in (b"", b"text", b"<x/><y/>", b"x<x/>", b"<x/>y"):
            self.assertRaises(ValueError, parse, bad)

    @spec("RFC 6120", "11.1")
    def test_refused(self) -> None:
        """What is not well-formed, or leaves the element it is said to be the content of, or isn't allowed in XMPP."""
        for bad in (
            b"<x>",
            b"</x>",
            b"<x",
            b"&",
            b"&nope;",
            b"]]>",
            b"\xff",
            b"</context>",
            b"</context><context>",
            b"</context><x/>",
            b"<![CDATA[",
            b"<p:x/>",
            b"<!-- x -->",
            b"<x><!-- x --></x>",
            b"<?x y?>",
            b"<!DOCTYPE x>",
        ):
            self.assertRaises(ValueError, parseContent, bad)

    def test_depth(self) -> None:
        """Trees are no deeper than can be walked."""
        deep = parse(b"<a>" * DEPTH + b"</a>" * DEPTH)
        self.assertEqual(parse(deep.toBytes()), deep)
        repr(deep)
        for depth in (DEPTH + 1, 10000):
            self.assertRaises(ValueError, parse, b"<a>" * depth + b"</a>" * depth)
