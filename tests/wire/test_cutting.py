"""Tests of L{xmppd.wire.cutting}."""

from __future__ import annotations

from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import ns
from xmppd.wire.cutting import Lookout, cut, holds, mayHold, spans
from xmppd.wire.stanza import fromBytes, portable

EVIL = ns.EVIL + " evil"
MARK = b"<evil xmlns='http://jabber.org/protocol/evil'/>"

HELD = {
    "child": (b"<message><body>x</body>", MARK, b"</message>"),
    "alone": (b"<message>", MARK, b"</message>"),
    "payload": (b"<iq type='result' id='1'><query xmlns='jabber:iq:version'><os>F</os>", MARK, b"</query></iq>"),
    "deep": (b"<message>" + b"<a xmlns='a'>" * 60, MARK, b"</a>" * 60 + b"</message>"),
    "prefix": (b"<message>", b"<e:evil xmlns:e='http://jabber.org/protocol/evil'></e:evil>", b"</message>"),
    "prefix of the stanza": (b"<message xmlns:e='http://jabber.org/protocol/evil'><e:x/>", b"<e:evil/>", b"</message>"),
    "content": (b"<presence>", MARK[:-2] + b"><a>1 &lt; 2</a><b c='/>'/></evil >", b"<show>dnd</show></presence>"),
    "brackets": (b"<message><a b='&gt;>/>'/>", MARK[:-2] + b" c='>' d=\"/>\" />", b"<a b='>'/></message>"),
    "references": (b"<message>", b"<evil xmlns='http://jabber.org/protocol/&#101;vil'/>", b"</message>"),
    "white space": (b"<message>\n ", b"<evil\n\txmlns = \"http://jabber.org/protocol/evil\"\n/>", b"\n</message>\n"[:-1]),
    "inside another": (b"<message>", MARK[:-2] + b"><evil/></evil>", b"</message>"),
    "inherited": (b"<message><x xmlns='http://jabber.org/protocol/evil'>", b"<evil/>", b"</x></message>"),
    "letters": ("<message><body>\u0416\U0001f608</body>".encode(), MARK, "<a b='\u0416'/></message>".encode()),
}

NOT_HELD = {
    "plain": b"<message><body>x</body></message>",
    "text": b"<message><body>http://jabber.org/protocol/evil</body></message>",
    "escaped text": b"<message><body>&lt;evil xmlns='http://jabber.org/protocol/evil'/></body></message>",
    "section": b"<message><body><![CDATA[<evil xmlns='http://jabber.org/protocol/evil'/>]]></body></message>",
    "attribute": b"<message><a b=\"&lt;evil xmlns='http://jabber.org/protocol/evil'/>\"/></message>",
    "another name": b"<message><good xmlns='http://jabber.org/protocol/evil'/></message>",
    "another namespace": b"<message><evil xmlns='http://jabber.org/protocol/evil#2'/></message>",
    "no namespace": b"<message><evil/><body>http://jabber.org/protocol/evil</body></message>",
    "references": b"<message><evil xmlns='http://jabber.org/protocol/&#68;evil'/><body>&amp;</body></message>",
    "empty": b"<message/>",
}


@spec("mission", "E1", "E5")
class CuttingTests(SynchronousTestCase):
    """Elements are found at any depth, and taken out without touching anything else."""

    def test_held(self) -> None:
        """Wherever it is and however it is written."""
        for name, (before, element, after) in HELD.items():
            stanza = fromBytes(before + element + after)
            self.assertTrue(holds(stanza, EVIL), name)
            self.assertEqual(spans(stanza.raw, EVIL), [(len(before), len(before) + len(element))], name)
            self.assertTrue(cut(stanza, EVIL), name)
            self.assertEqual(stanza.raw, before + after, name)
            self.assertEqual(stanza.childNames, fromBytes(before + after).childNames, name)
            self.assertEqual(stanza.element(), fromBytes(before + after).element(), name)
            self.assertFalse(holds(stanza, EVIL), name)

    def test_notHeld(self) -> None:
        """What only looks like it."""
        for name, raw in NOT_HELD.items():
            stanza = fromBytes(raw)
            self.assertFalse(holds(stanza, EVIL), name)
            self.assertFalse(cut(stanza, EVIL), name)
            self.assertEqual(stanza.raw, raw, name)

    def test_several(self) -> None:
        """All of them."""
        parts = [b"<message>", b"<a xmlns='a'>", b"</a><body>x</body>", b"</message>"]
        stanza = fromBytes(MARK.join(parts))
        self.assertTrue(cut(stanza, EVIL))
        self.assertEqual((stanza.raw, len(stanza.childNames)), (b"".join(parts), 2))

    def test_trees(self) -> None:
        """What was parsed before isn't what is there afterwards."""
        stanza = fromBytes(b"<message>" + MARK + b"</message>")
        self.assertEqual(len(stanza.elements()), 1)
        cut(stanza, EVIL)
        self.assertEqual(stanza.elements(), ())

    def test_stanzaItself(self) -> None:
        """Only what is inside of a stanza can be taken out of it."""
        self.assertEqual(spans(b"<message/>", ns.CLIENT + " message"), [])

    def test_notParsed(self) -> None:
        """Bytes that can't declare the namespace aren't even well-formed, and nobody notices."""
        self.assertFalse(mayHold(b"<message><body>&#65;</wrong>", ns.EVIL.encode()))
        self.assertTrue(mayHold(b"<m><a xmlns:b=\"x&#65;\"/></m>", ns.EVIL.encode()))
        self.assertTrue(mayHold(b"<m><a xmlns:b.c-\xc3\xa9 =\n'x&#65;'/></m>", ns.EVIL.encode()))
        self.assertFalse(mayHold(b"<m><a xmlns:b='x' c='&#65;'/></m>", ns.EVIL.encode()))

    def test_nothingReadTwice(self) -> None:
        """Texts that spell declarations again and again cost no more than others of their length."""
        for piece in (b"xmlns", b"xmlns:", b"xmlns:a", b"xmlns ", b"xmlns=", b"xmlns='\""):
            begun = process_time()
            raw = b"<m>" + piece * 40_000 + b"&#</m>"
            mayHold(raw, ns.EVIL.encode())
            portable(raw, ns.SERVER)
            self.assertLess(process_time() - begun, 1.0, piece)

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(st.lists(st.sampled_from([
        b"<a xmlns='a'>", b"<b>", b"<c:d xmlns:c='x'>", b"text", b"&amp;", b"<e f='>'/>", "\U0001f608".encode(), b"<![CDATA[<evil/>]]>",
        MARK, MARK[:-2] + b">x</evil>",
    ]), max_size=12))
    def test_everyOtherByte(self, parts: list[bytes]) -> None:
        """However stanzas are put together, what is left is what was put there beside the element."""
        ends = {b"<a xmlns='a'>": b"</a>", b"<b>": b"</b>", b"<c:d xmlns:c='x'>": b"</c:d>"}
        closing = b"".join(reversed([ends[each] for each in parts if each in ends]))
        evil = (MARK, MARK[:-2] + b">x</evil>")
        stanza = fromBytes(b"<message to='a'>" + b"".join(parts) + closing + b"</message>")
        there = any(each in evil for each in parts)
        self.assertEqual(holds(stanza, EVIL), there)
        self.assertEqual(cut(stanza, EVIL), there)
        rest = b"".join(each for each in parts if each not in evil)
        self.assertEqual(stanza.raw, b"<message to='a'>" + rest + closing + b"</message>")


class LookoutTests(SynchronousTestCase):
    """Byte strings are found in whatever pieces they come, and nothing else is."""

    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(st.text("abc", max_size=40), st.lists(st.integers(1, 9), max_size=20))
    def test_pieces(self, text: str, sizes: list[int]) -> None:
        """As if it had come in one."""
        data, found, sought = text.encode(), False, (b"abcab", b"cc")
        lookout = Lookout(sought)
        for size in [*sizes, 100]:
            piece, data = data[:size], data[size:]
            found = found or lookout.sees(piece)
        self.assertEqual(found, any(each.decode() in text for each in sought))
