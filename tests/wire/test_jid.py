"""
Tests for L{xmppd.wire.jid}: the rules of RFC 7622 one by one, its tables of examples, and properties of all strings.
"""

from __future__ import annotations

import copy
import pickle
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st
from precis_i18n import get_profile
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import jid, ns
from xmppd.wire.errors import ErrorType, PeerError, StanzaCondition
from xmppd.wire.jid import (
    JIDMalformed,
    escapeLocal,
    fromParts,
    parse,
    prepareDomain,
    prepareLocal,
    prepareResource,
    unescapeLocal,
)

steady = settings(max_examples=300, deadline=None, database=None, derandomize=True)

anyText = st.text(st.characters(), max_size=60)
"""Any string at all, also with lone surrogates and unassigned code points."""

plainText = st.text(st.characters(min_codepoint=0, max_codepoint=0x7F), max_size=40)

telling = "aZ9-.@/:[]%\" '\\&<>_\t\x00\x7f\xad\xdf\u03a3\u03c2\u0301\u0338\u200c\u200d\u2163\u3002\uff20\uff0f\uff21\u05d0\u0661\u0130\u212b\u00a0\u3000\ud800\U0001f40e"
"""Characters that take part in some rule."""

tellingText = st.text(st.sampled_from(telling), max_size=30)

addresses = st.one_of(
    anyText,
    plainText,
    tellingText,
    st.builds("{}@{}/{}".format, tellingText, tellingText, tellingText),
    st.builds("{}@{}.example/{}".format, anyText, st.text(max_size=8), anyText),
    st.builds("a@xn--{}.example".format, st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=20)),
)


class AddressTestCase(SynchronousTestCase):
    """What the tests below share."""

    def assertMalformed(self, text: str) -> str:
        """C{text} is no address; answers with the reason given."""
        error = self.assertRaises(JIDMalformed, parse, text)
        self.assertEqual(error.condition, StanzaCondition.JID_MALFORMED)
        assert error.text is not None
        return error.text

    def assertParts(self, text: str, local: str | None, domain: str, resource: str | None) -> None:
        """C{text} is an address with these prepared parts."""
        address = parse(text)
        self.assertEqual((address.local, address.domain, address.resource), (local, domain, resource))


@spec("RFC 7622", "3.5")
class ExampleTests(AddressTestCase):
    """The two tables of RFC 7622 section 3.5, by their numbers."""

    legal = [
        (1, "juliet@example.com", "juliet", "example.com", None),
        (2, "juliet@example.com/foo", "juliet", "example.com", "foo"),
        (3, "juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
        (4, "juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"),
        (5, "foo\\20bar@example.com", "foo\\20bar", "example.com", None),
        (6, "fussball@example.com", "fussball", "example.com", None),
        (7, "fu\u00dfball@example.com", "fu\u00dfball", "example.com", None),
        (8, "\u03c0@example.com", "\u03c0", "example.com", None),
        (9, "\u03a3@example.com/foo", "\u03c3", "example.com", "foo"),
        (10, "\u03c3@example.com/foo", "\u03c3", "example.com", "foo"),
        (11, "\u03c2@example.com/foo", "\u03c2", "example.com", "foo"),
        (12, "king@example.com/\u265a", "king", "example.com", "\u265a"),
        (13, "example.com", None, "example.com", None),
        (14, "example.com/foobar", None, "example.com", "foobar"),
        (15, "a.example.com/b@example.net", None, "a.example.com", "b@example.net"),
    ]

    illegal = [
        (16, '"juliet"@example.com'),
        (17, "foo bar@example.com"),
        (18, "juliet@example.com/ foo"),
        (19, "@example.com/"),
        (20, "henry\u2163@example.com"),
        (21, "\u265a@example.com"),
        (22, "juliet@"),
        (23, "/foobar"),
    ]

    def test_legal(self) -> None:
        """Each sample of a legal address is parsed into its parts."""
        for number, text, local, domain, resource in self.legal:
            with self.subTest(number=number):
                self.assertParts(text, local, domain, resource)

    def test_illegal(self) -> None:
        """Each sample of a string that is no address is refused."""
        for number, text in self.illegal:
            with self.subTest(number=number):
                self.assertMalformed(text)

    def test_equivalence(self) -> None:
        """Capital and small sigma are one localpart; final sigma is another, and sharp s is not C{ss}."""
        self.assertEqual(parse("\u03a3@example.com/foo"), parse("\u03c3@example.com/foo"))
        self.assertNotEqual(parse("\u03a3@example.com/foo"), parse("\u03c2@example.com/foo"))
        self.assertNotEqual(parse("fu\u00dfball@example.com"), parse("fussball@example.com"))

    def test_capitalSigmaAtTheEndOfAWord(self) -> None:
        """The case mapping takes no notice of where in a word a sigma stands."""
        self.assertEqual(prepareLocal("\u0391\u03a3"), "\u03b1\u03c3")


class SplittingTests(AddressTestCase):
    """Where one part ends and the next begins."""

    @spec("RFC 7622", "3.1", "3.2")
    def test_firstSlashThenFirstAt(self) -> None:
        """The resourcepart begins at the first slash, whatever follows; the localpart ends at the first at sign."""
        self.assertParts("a@b/c/d@e", "a", "b", "c/d@e")
        self.assertParts("b//", None, "b", "/")
        self.assertMalformed("a@b@c")
        self.assertMalformed("a@b@c/d")

    @spec("RFC 7622", "3.1")
    def test_separatorsAreFoundBeforeMapping(self) -> None:
        """What mapping would turn into a separator doesn't separate, and no mapped part holds one."""
        self.assertMalformed("a\uff20example.com")
        self.assertMalformed("a\uff20b@example.com")
        self.assertMalformed("example.com\uff0fb")
        self.assertMalformed("a\uff0fb@example.com")
        self.assertParts("a@b/\uff0f\uff20", "a", "b", "\uff0f\uff20")

    @spec("RFC 7622", "3.2", "3.3", "3.4")
    def test_emptyParts(self) -> None:
        """No part that is there is empty."""
        for text in ("", "@", "/", "@/", "@h", "h/", "/r", "a@", "a@/r", "@h/r", "a@h/", ".", "a@.", "a@./r"):
            with self.subTest(text=text):
                self.assertIn("empty", self.assertMalformed(text))

    def test_fromParts(self) -> None:
        """Raw parts are prepared one by one; None is a part that isn't there, an empty string is an error."""
        self.assertEqual(str(fromParts("Juliet", "Example.COM", "Balcony")), "juliet@example.com/Balcony")
        self.assertEqual(str(fromParts(None, "Example.COM", None)), "example.com")
        for parts in (("", "h", None), ("a", "", None), ("a", "h", ""), ("a@b", "h", None), ("a", "h/r", None)):
            with self.subTest(parts=parts):
                self.assertRaises(JIDMalformed, fromParts, *parts)


@spec("RFC 7622", "3.3")
class LocalpartTests(AddressTestCase):
    """The localpart: UsernameCaseMapped and eight more exclusions."""

    @spec("RFC 7622", "3.3.1")
    def test_excluded(self) -> None:
        """The eight excluded characters and all spaces are refused, in ASCII company and not."""
        for character in "\"&'/:<>@ \u00a0\u3000":
            with self.subTest(character=character):
                self.assertRaises(JIDMalformed, prepareLocal, f"a{character}b")
                self.assertRaises(JIDMalformed, prepareLocal, f"\u03c0{character}b")

    @spec("RFC 7622", "3.3.1")
    def test_excludedAfterWidthMapping(self) -> None:
        """Full-width forms of the excluded characters are excluded too."""
        for character in "\"&'/:<>@":
            with self.subTest(character=character):
                self.assertRaises(JIDMalformed, prepareLocal, f"a{chr(ord(character) + 0xFEE0)}b")

    def test_otherPunctuation(self) -> None:
        """All other printable ASCII is a localpart."""
        allowed = "!#$%()*+,-.0123456789;=?[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
        self.assertEqual(prepareLocal(allowed), allowed)

    @spec("RFC 8265", "3.3.1")
    def test_mapping(self) -> None:
        """Width and case are mapped, the result is composed."""
        self.assertEqual(prepareLocal("\uff2auliet"), "juliet")
        self.assertEqual(prepareLocal("JULIET"), "juliet")
        self.assertEqual(prepareLocal("\u00c9"), "\u00e9")
        self.assertEqual(prepareLocal("E\u0301"), "\u00e9")

    @spec("RFC 8265", "3.3.1")
    def test_bidiRule(self) -> None:
        """A right-to-left name obeys the Bidi Rule."""
        self.assertEqual(prepareLocal("\u05d0\u05d1"), "\u05d0\u05d1")
        self.assertRaises(JIDMalformed, prepareLocal, "\u05d0a")

    def test_illegalCodePoints(self) -> None:
        """Controls, unassigned and private code points, noncharacters, surrogates and ignorables are refused."""
        for code in (0, 9, 10, 0x1F, 0x7F, 0x85, 0xAD, 0x200B, 0x202E, 0x378, 0xE000, 0xFDD0, 0xFFFF, 0xD800, 0x10FFFF):
            with self.subTest(code=hex(code)):
                self.assertRaises(JIDMalformed, prepareLocal, f"a{chr(code)}")
                self.assertMalformed(f"a{chr(code)}@example.com")


@spec("RFC 7622", "3.4")
class ResourcepartTests(AddressTestCase):
    """The resourcepart: OpaqueString without spaces at its ends."""

    def test_keptAsItIs(self) -> None:
        """Neither case nor width is mapped, and symbols are welcome."""
        for text in ("Balcony", "~!@#$%^&*()", "\uff21", "\u2163", "\U0001f40e", "a  b", "/", "\u05d0a"):
            with self.subTest(text=text):
                self.assertEqual(prepareResource(text), text)

    @spec("RFC 8265", "4.2.2")
    def test_mapping(self) -> None:
        """All spaces become the one of ASCII and the result is composed."""
        self.assertEqual(prepareResource("a\u00a0b\u3000c"), "a b c")
        self.assertEqual(prepareResource("e\u0301"), "\u00e9")

    def test_spacesAtTheEnds(self) -> None:
        """A resourcepart neither begins nor ends with a space of any kind."""
        for text in (" a", "a ", " ", "\u00a0a", "a\u3000", "\u03c0 ", " \u03c0"):
            with self.subTest(text=text):
                self.assertIn("space", self.assertRaises(JIDMalformed, prepareResource, text).text)

    def test_illegalCodePoints(self) -> None:
        """Controls, unassigned and private code points, noncharacters and surrogates are refused."""
        for code in (0, 9, 10, 0x1F, 0x7F, 0x85, 0x202E, 0x378, 0xE000, 0xFDD0, 0xFFFF, 0xD800, 0xDFFF, 0x10FFFF):
            with self.subTest(code=hex(code)):
                self.assertRaises(JIDMalformed, prepareResource, f"a{chr(code)}b")
                self.assertMalformed(f"example.com/a{chr(code)}b")


@spec("RFC 7622", "3.2")
class DomainpartTests(AddressTestCase):
    """The domainpart: names, internationalised names, literal addresses."""

    def assertRefused(self, *domains: str) -> None:
        """None of C{domains} is a domainpart."""
        for domain in domains:
            with self.subTest(domain=domain):
                self.assertRaises(JIDMalformed, prepareDomain, domain)
                self.assertMalformed(f"a@{domain}")

    def test_names(self) -> None:
        """Host names, qualified or not, in lower case."""
        self.assertEqual(prepareDomain("Example.COM"), "example.com")
        for name in ("localhost", "a", "im.example.com", "1a.b-c.2d", "3com.example", "x1.a1", "a-1.b-2"):
            with self.subTest(name=name):
                self.assertEqual(prepareDomain(name), name)

    def test_finalDot(self) -> None:
        """One final dot is stripped before anything else."""
        self.assertEqual(parse("a@example.com./r"), parse("a@example.com/r"))
        self.assertEqual(prepareDomain("b\u00fccher.example."), "b\u00fccher.example")
        self.assertEqual(prepareDomain("127.0.0.1."), "127.0.0.1")
        self.assertRefused("example.com..", ".", "..", ".example.com", "a..b", "example.\u3002")

    @spec("RFC 7622", "3.2.1")
    def test_onlyHostNameCharacters(self) -> None:
        """Labels are NR-LDH labels or U-labels."""
        self.assertRefused("a_b.example", "-a.example", "a-.example", "a b", "a\tb", "a,b", "ab--cd.example", "a\x00")
        self.assertRefused("\u265a.example", "\U0001f40e.example", "a\u2100b", "\u0301a.example", "example.com:5222")

    @spec("RFC 7622", "3.2.1")
    def test_aLabelsBecomeULabels(self) -> None:
        """A-labels and U-labels of one name are one domain."""
        self.assertEqual(prepareDomain("xn--bcher-kva.example"), "b\u00fccher.example")
        self.assertEqual(prepareDomain("XN--BCHER-KVA.EXAMPLE"), "b\u00fccher.example")
        self.assertEqual(parse("a@xn--bcher-kva.example"), parse("a@B\u00dcCHER.example"))

    @spec("RFC 7622", "3.2.1")
    def test_falseALabels(self) -> None:
        """What only looks like an A-label is refused."""
        self.assertRefused("xn--", "xn--a", "xn---bbk", "xn--abc-", "xn--99999999", "xn--Bcher-KVA\u00fc")

    @spec("RFC 7622", "3.2.2")
    def test_mapping(self) -> None:
        """Case and width are mapped, ideographic dots separate, the result is composed."""
        self.assertEqual(prepareDomain("\uff25xample\u3002com"), "example.com")
        self.assertEqual(prepareDomain("bu\u0308cher.example"), "b\u00fccher.example")
        self.assertEqual(prepareDomain("b\u00ad\u00fccher.example"), "b\u00fccher.example")

    @spec("RFC 7622", "5")
    def test_idna2008(self) -> None:
        """Sharp s, final sigma and joiners in their context stay what they are."""
        for name in ("stra\u00dfe.example", "\u03c3\u03c2.example", "\u0915\u094d\u200d\u0937.example"):
            with self.subTest(name=name):
                self.assertEqual(prepareDomain(name), name)
        self.assertRefused("a\u200db.example")

    def test_bidiRule(self) -> None:
        """In a name with a right-to-left label all labels obey the Bidi Rule."""
        self.assertEqual(prepareDomain("\u05d0\u05d1.example"), "\u05d0\u05d1.example")
        self.assertRefused("\u05d0a.example", "1a.\u05d0\u05d1")

    def test_ipv4(self) -> None:
        """Four numbers are an address, and nothing else that ends in a number is a name."""
        self.assertParts("a@127.0.0.1/r", "a", "127.0.0.1", "r")
        self.assertEqual(prepareDomain("\uff11\uff12\uff17.0.0.1"), "127.0.0.1")
        self.assertRefused("1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1", "example.1")

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets and has one spelling."""
        self.assertParts("a@[::1]/r", "a", "[::1]", "r")
        self.assertEqual(prepareDomain("[2001:DB8:0:0::01]"), "[2001:db8::1]")
        self.assertEqual(prepareDomain("[::FFFF:192.0.2.1]"), "[::ffff:192.0.2.1]")
        self.assertEqual(prepareDomain("[::ffff:c000:201]"), "[::ffff:192.0.2.1]")
        self.assertRefused("::1", "[::1", "::1]", "[]", "[::g]", "[127.0.0.1]", "[fe80::1%25eth0]", "[fe80::1%eth0]")
        self.assertRefused("[v1.fe80]", "[::1]a", "[[::1]]", "[::1 ]")


@spec("RFC 7622", "3.1")
class LengthTests(AddressTestCase):
    """The limits are in octets, and are looked at first."""

    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])

    def test_longest(self) -> None:
        """1023 octets in localpart and resourcepart and 253 in a name are accepted."""
        text = f"{'a' * 1023}@{self.longest}/{'b' * 1023}"
        self.assertEqual(str(parse(text)), text)
        text = f"{chr(0x3C0) * 511}@{self.longest}/{chr(0x3C0) * 511}"
        self.assertEqual(str(parse(text)), text)

    def test_tooLong(self) -> None:
        """One octet more is too much, in whatever script."""
        for text in (
            f"{'a' * 1024}@h",
            f"h/{'a' * 1024}",
            f"{chr(0x3C0) * 512}@h",
            f"h/{chr(0x3C0) * 512}",
            f"{self.longest}d",
            f"{'a' * 64}.example",
            f"{'a.' * 127}a",
            f"{chr(0xFC) * 60}.example",
            "h" * 1100,
            "a" * 4000,
        ):
            with self.subTest(text=text[:8]):
                self.assertIn("long", self.assertMalformed(text))

    @spec("RFC 7622", "3.3", "3.4")
    def test_tooLongAfterNormalization(self) -> None:
        """What grows beyond the limit by normalisation is refused, too."""
        growing = "\u0958" * 340  # 3 octets that decompose into 6, for good
        self.assertIn("long", self.assertRaises(JIDMalformed, prepareResource, growing).text)
        self.assertIn("long", self.assertRaises(JIDMalformed, prepareLocal, growing).text)

    @spec("RFC 7622", "3.2")
    def test_limitsOfTheDNS(self) -> None:
        """The limits for names count the ASCII form."""
        self.assertEqual(prepareDomain("\u00fc" * 50), "\u00fc" * 50)
        self.assertRaises(JIDMalformed, prepareDomain, ".".join(["\u4e00\u4e8c"] * 40))

    def test_nothingLongIsNormalized(self) -> None:
        """Neither the mappings nor the PRECIS profiles ever see text above the limits."""
        marks = "\u0301\u0316" * 1500
        seen: list[str] = []
        normalize = jid._username.base.ucd._ucd.normalize

        def note(form: str, text: str) -> str:
            seen.append(text)
            return normalize(form, text)

        with mock.patch("unicodedata.normalize", note):
            for text in (marks, f"{marks}@h", f"a@{marks}", f"h/{marks}", f"{marks[:600]}@{marks[:600]}/{marks[:600]}"):
                self.assertMalformed(text)
            for prepare in (prepareLocal, prepareDomain, prepareResource):
                self.assertRaises(JIDMalformed, prepare, marks)
            self.assertEqual(seen, [])
            prepareResource(marks[:510])
            self.assertNotEqual(seen, [])
        self.assertTrue(all(len(text.encode()) <= jid.MAX_PART for text in seen))

    def test_nothingHugeIsEncoded(self) -> None:
        """A text with more code points than octets allowed is refused by its length alone."""

        class Unread(str):
            """A string that can't be encoded, split or taken to pieces unseen."""

            def encode(self, *args: object, **kwargs: object) -> bytes:
                raise AssertionError("encoded")

            def partition(self, *args: object) -> tuple[str, str, str]:
                raise AssertionError("split")

        self.assertMalformed(Unread("\u0301" * 3072))


class ErrorTests(AddressTestCase):
    """L{JIDMalformed} tells the peer what is wrong."""

    @spec("RFC 6120", "8.3.3.8")
    def test_condition(self) -> None:
        """It is a stanza error with the condition and the type that RFC 6120 names."""
        error = self.assertRaises(JIDMalformed, parse, "@h")
        self.assertIsInstance(error, PeerError)
        self.assertEqual(error.type, ErrorType.MODIFY)
        self.assertIn(f"<jid-malformed xmlns='{ns.STANZA_ERRORS}'/>".encode(), error.toBytes())

    def test_where(self) -> None:
        """It names the part, the code point and its position, and doesn't repeat what the peer sent."""
        self.assertIn("localpart holds U+265A at position 5", self.assertMalformed("king\u265a@example.com"))
        self.assertIn("localpart holds U+003A at position 2", self.assertMalformed("\u03c0:b@example.com"))
        self.assertIn("resourcepart holds U+0007 at position 3", self.assertMalformed("example.com/ab\x07"))
        self.assertIn("address holds U+D800 at position 2", self.assertMalformed("a\ud800@h"))
        self.assertIn("domainpart", self.assertMalformed("a@b_c"))
        self.assertIn("U+265A", self.assertMalformed("a@\u265a.example"))
        self.assertIn("bidi", self.assertMalformed("\u05d0a@h"))

    @steady
    @given(addresses)
    def test_plainText(self, text: str) -> None:
        """The reason is printable ASCII of bounded length, whatever was sent."""
        try:
            parse(text)
        except JIDMalformed as error:
            assert error.text is not None
            self.assertTrue(error.text.isascii() and error.text.isprintable(), error.text)
            self.assertLess(len(error.text), 200)


class ValueTests(AddressTestCase):
    """A L{JID} is a value."""

    def test_strings(self) -> None:
        """The full and the bare string are at hand."""
        address = parse("Juliet@Example.com/Balcony")
        self.assertEqual(address.full, "juliet@example.com/Balcony")
        self.assertEqual(str(address), address.full)
        self.assertEqual(address.bare, "juliet@example.com")
        self.assertEqual(repr(address), "JID('juliet@example.com/Balcony')")
        self.assertEqual(parse("example.com/r").bare, "example.com")

    def test_kinds(self) -> None:
        """Bare, full and domain addresses tell themselves apart."""
        for text, kinds in (
            ("a@h", (True, False, False)),
            ("a@h/r", (False, True, False)),
            ("h", (True, False, True)),
            ("h/r", (False, True, False)),
        ):
            with self.subTest(text=text):
                address = parse(text)
                self.assertEqual((address.isBare, address.isFull, address.isDomain), kinds)

    def test_derived(self) -> None:
        """Bare address, domain, and the same with another resource, which is prepared."""
        address = parse("a@h/r")
        self.assertEqual(str(address.toBare()), "a@h")
        self.assertEqual(str(address.toDomain()), "h")
        self.assertEqual(str(address.withResource("A\u3000b")), "a@h/A b")
        self.assertEqual(str(parse("h").withResource("r")), "h/r")
        self.assertRaises(JIDMalformed, address.withResource, "")
        bare = parse("a@h")
        self.assertIs(bare.toBare(), bare)
        domain = parse("h")
        self.assertIs(domain.toDomain(), domain)

    def test_equalityAndOrder(self) -> None:
        """Equality, hash and order are those of the full strings; a string is not an address."""
        self.assertEqual(parse("A@h"), parse("a@H"))
        self.assertEqual(hash(parse("A@h")), hash(parse("a@H")))
        self.assertNotEqual(parse("a@h/r"), parse("a@h/R"))
        self.assertNotEqual(parse("a@h"), "a@h")
        texts = ["b@h", "a@h/r", "h", "a@h"]
        self.assertEqual([str(address) for address in sorted(map(parse, texts))], sorted(texts))
        self.assertTrue(parse("a@h") <= parse("a@h") < parse("b@h"))
        self.assertRaises(TypeError, lambda: parse("a@h") < "b@h")

    def test_immutable(self) -> None:
        """Nothing can be set, added or deleted."""
        address = parse("a@h/r")
        for name in ("local", "domain", "resource", "full", "bare", "other"):
            with self.subTest(name=name):
                self.assertRaises(AttributeError, setattr, address, name, "x")
                self.assertRaises(AttributeError, delattr, address, name)
        self.assertFalse(hasattr(address, "__dict__"))

    def test_copies(self) -> None:
        """Copies and pickles are equal."""
        address = parse("a@h/r")
        self.assertEqual(copy.deepcopy(address), address)
        self.assertEqual(pickle.loads(pickle.dumps(address)), address)


class CacheTests(AddressTestCase):
    """What L{parse} remembers."""

    def setUp(self) -> None:
        jid._remembered.cache_clear()
        self.addCleanup(jid._remembered.cache_clear)

    def test_remembers(self) -> None:
        """The same text gives the same object, and is parsed once."""
        self.assertIs(parse("Juliet@example.com"), parse("Juliet@example.com"))
        self.assertEqual(jid._remembered.cache_info().hits, 1)

    def test_bounded(self) -> None:
        """The cache holds a fixed number of short addresses, and no failures."""
        self.assertEqual(jid._remembered.cache_info().maxsize, jid.CACHE_SIZE)
        self.assertMalformed("@h")
        parse("h/" + "r" * jid.CACHED_LENGTH)
        self.assertEqual(jid._remembered.cache_info().currsize, 0)


class PropertyTests(AddressTestCase):
    """What holds for every string."""

    @steady
    @given(addresses)
    @example("\ud800@h")
    @example("a@\ud800/r")
    @example("a@xn--\ud800")
    @example("a@xn--9999999999")
    @example("a@[::1\u0661]")
    def test_nothingButJIDMalformed(self, text: str) -> None:
        """Any text is an address that parses to itself, or malformed."""
        try:
            address = parse(text)
        except JIDMalformed:
            return
        self.assertEqual(parse(str(address)), address)
        again = fromParts(address.local, address.domain, address.resource)
        self.assertEqual(again.full, address.full)
        self.assertEqual(parse(address.bare), address.toBare())
        self.assertLessEqual(len(address.full.encode()), jid.MAX_TOTAL)

    @steady
    @given(st.one_of(anyText, tellingText, plainText))
    def test_preparationIsIdempotent(self, text: str) -> None:
        """What was prepared is prepared; nothing but L{JIDMalformed} is raised."""
        for prepare in (prepareLocal, prepareDomain, prepareResource):
            try:
                prepared = prepare(text)
            except JIDMalformed:
                continue
            self.assertEqual(prepare(prepared), prepared)

    @steady
    @given(st.one_of(plainText, st.from_regex(jid._plainAddress.__self__, fullmatch=True)))
    def test_fastAgreesWithSlow(self, text: str) -> None:
        """The expression for plain ASCII accepts nothing but what the profiles make the same of."""
        match = jid._plainAddress(text)
        if match is None:
            return
        slow = [
            enforce(part) if part is not None else None
            for enforce, part in zip(
                (jid._enforceLocal, jid._enforceDomain, jid._enforceResource), jid._split(text), strict=True
            )
        ]
        address = jid._parse(text)
        self.assertEqual([address.local, address.domain, address.resource], slow)

    @steady
    @given(plainText)
    def test_shortcutsAgreeWithSlow(self, text: str) -> None:
        """For ASCII each preparation and its slow path agree, in what they accept and in what they make of it."""
        for prepare, enforce in (
            (prepareLocal, jid._enforceLocal),
            (prepareDomain, jid._enforceDomain),
            (prepareResource, jid._enforceResource),
        ):
            results = []
            for function in (prepare, enforce):
                try:
                    results.append(function(text))
                except JIDMalformed:
                    results.append("malformed")
            self.assertEqual(results[0], results[1])

    def test_everyPrintableASCIICharacterIsFast(self) -> None:
        """What the slow path accepts of short ASCII needs no slow path, but for literals, A-labels and final dots."""
        for code in range(0x80):
            text = f"a{chr(code)}b"
            for plain, enforce in ((jid._plainLocal, jid._enforceLocal), (jid._plainResource, jid._enforceResource)):
                try:
                    enforce(text)
                except JIDMalformed:
                    self.assertIsNone(plain(text), text)
                else:
                    self.assertIsNotNone(plain(text), text)

    @steady
    @given(st.one_of(anyText, tellingText))
    def test_localpartsConformToTheProfile(self, text: str) -> None:
        """What we call a localpart, UsernameCaseMapped leaves alone."""
        try:
            local = prepareLocal(text)
        except JIDMalformed:
            return
        self.assertEqual(get_profile("UsernameCaseMapped").enforce(local), local)


class EscapingTests(AddressTestCase):
    """XEP-0106."""

    table = [
        ("space cadet", "space\\20cadet"),
        ('call me "ishmael"', "call\\20me\\20\\22ishmael\\22"),
        ("at&t guy", "at\\26t\\20guy"),
        ("d'artagnan", "d\\27artagnan"),
        ("/.fanboy", "\\2f.fanboy"),
        ("::foo::", "\\3a\\3afoo\\3a\\3a"),
        ("<foo>", "\\3cfoo\\3e"),
        ("user@host", "user\\40host"),
        ("c:\\net", "c\\3a\\net"),
        ("c:\\\\net", "c\\3a\\\\net"),
        ("c:\\cool stuff", "c\\3a\\cool\\20stuff"),
        ("c:\\5commas", "c\\3a\\5c5commas"),
        ("here's_a_wild_&_/cr%zy/_address", "here\\27s_a_wild_\\26_\\2fcr%zy\\2f_address"),
        ("\\3and\\2is\\5cool", "\\5c3and\\2is\\5c5cool"),
        ("somenick!user\"&'/:<>\\3address", "somenick!user\\22\\26\\27\\2f\\3a\\3c\\3e\\5c3address"),
    ]

    @spec("XEP-0106", "3.2", "3.3", "4.2", "5.1")
    def test_examples(self) -> None:
        """The examples of the specification, there and back."""
        for shown, escaped in self.table:
            with self.subTest(shown=shown):
                self.assertEqual(escapeLocal(shown), escaped)
                self.assertEqual(unescapeLocal(escaped), shown)
                self.assertEqual(prepareLocal(escaped), escaped)

    @spec("XEP-0106", "4.1", "4.3")
    def test_otherSequencesStay(self) -> None:
        """Partial sequences and those of other characters are left alone in both directions."""
        for text in ("\\2plus\\2is\\4", "foo\\bar", "foob\\41r", "\\2F", "\\", "a\\5"):
            with self.subTest(text=text):
                self.assertEqual(escapeLocal(text), text)
                self.assertEqual(unescapeLocal(text), text)

    @spec("XEP-0106", "3.2", "4.1")
    def test_spacesAtTheEnds(self) -> None:
        """An escaped localpart neither begins nor ends with an escaped space."""
        for text in (" a", "a ", " "):
            with self.subTest(text=text):
                self.assertRaises(JIDMalformed, escapeLocal, text)

    @spec("XEP-0106", "4.1")
    @steady
    @given(st.text(st.sampled_from("\\ 0123456789abcdef\"&'/:<>@"), max_size=20))
    def test_thereAndBack(self, text: str) -> None:
        """What was escaped is a localpart and unescapes to itself."""
        if not text or text != text.strip(" "):
            return
        escaped = escapeLocal(text)
        self.assertEqual(prepareLocal(escaped), escaped)
        self.assertEqual(unescapeLocal(escaped), text)
