"""
Names that look like other names (XEP-0165, UTS #39).
"""

from __future__ import annotations

import doctest
from collections import defaultdict
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.names import COUNT, exemplars, ordinary
from xmppd.wire import confusable, jid, ucd
from xmppd.wire.confusable import Confusion, Direction, Level, Oddity

CHEROKEE = "\u13da\u13a2\u13b5\u13ac\u13a2\u13ac\u13d2"
"""The localpart of the document's example."""

CHEROKEE_DOMAIN = "\u13ab\u13aa\u13f4\u13f4\u13ac\u13d2"

ROWS = [(chr(point), prototype) for point, prototype in ucd.prototypes().items() if prototype]
"""The confusables: a character and its prototype."""

NAMES = list(ordinary())

TRICKY = "abIl10Omрсі\u0301\u0323\u200b\u200d\u202e\u202c\u2067\u2069 \u00a0אבش٣ᏚꮪѕᴘＡ漢カ한ß\u2800🅰"


class ExampleTests(SynchronousTestCase):
    """What the document itself shows."""

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_cherokee(self) -> None:
        """The Cherokee C{stpeter@jabber.org} resembles the real one, as typed and as addresses have it: in small letters."""
        for fake, real in ((CHEROKEE, "stpeter"), (CHEROKEE_DOMAIN, "jabber")):
            self.assertTrue(confusable.resembles(fake, real))
            self.assertTrue(confusable.resembles(jid.prepareLocal(fake), real))
            self.assertTrue(confusable.resembles(fake, real.upper()))
        self.assertEqual(confusable.scripts(CHEROKEE), {"Cher"})

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_paypal(self) -> None:
        """C{paypa1} resembles C{paypal}, and so does C{paypaI}."""
        for fake in ("paypa1", "paypaI", "PAYPA1", "PayPaI", "Paypa|"):
            self.assertTrue(confusable.resembles(fake, "paypal"), fake)
        self.assertEqual(confusable.confusion("paypa1", "paypal"), Confusion.SINGLE_SCRIPT)

    @spec("mission", "M2")
    def test_cyrillic(self) -> None:
        """A Cyrillic letter in a Latin name, and a name that is all Cyrillic."""
        self.assertEqual(confusable.confusion("p\u0430ypal", "paypal"), Confusion.MIXED_SCRIPT)
        self.assertEqual(confusable.confusion("сор", "cop"), Confusion.WHOLE_SCRIPT)
        self.assertIn(Oddity.MIXED_SCRIPTS, confusable.inspect("p\u0430ypal").oddities)
        self.assertTrue(confusable.inspect("сор").ordinary)
        self.assertTrue(confusable.resembles("сор", "cop"))

    @spec("mission", "M2")
    def test_invisible(self) -> None:
        """Invisible characters make no difference to how a name is drawn, and are found."""
        for hidden in ("\u200b", "\u00ad", "\u2060", "\ufeff", "\u3164", "\u034f", "\U000e0041", "\ufe0f", "\u200d"):
            name = f"al{hidden}ice"
            self.assertTrue(confusable.resembles(name, "alice"), ascii(hidden))
            self.assertEqual(confusable.inspect(name).invisible, (2,), ascii(hidden))
        for blank in ("\u3164", "\u2800", " ", "\u3000", "\u200b\u200b", ""):
            self.assertIn(Oddity.BLANK, confusable.inspect(blank).oddities, ascii(blank))

    @spec("mission", "M2")
    def test_padded(self) -> None:
        """So does white space around a name, twice, or of another kind."""
        for name in (" alice", "alice ", "\u00a0alice", "alice\u2003", "\u2800alice", "alice\u3000 "):
            self.assertTrue(confusable.resembles(name, "alice"), ascii(name))
            self.assertIn(Oddity.PADDED, confusable.inspect(name).oddities, ascii(name))
        for name in ("romeo  m", "romeo\u00a0m", "romeo\tm", "romeo\u2009m"):
            self.assertTrue(confusable.resembles(name, "romeo m"), ascii(name))
            self.assertIn(Oddity.PADDED, confusable.inspect(name).oddities, ascii(name))
        self.assertFalse(confusable.resembles("rom eo", "romeo"))

    @spec("mission", "M2")
    def test_bidirectional(self) -> None:
        """A name that is spelled backwards and turned looks like one that is spelled forwards."""
        fake = "a\u202ecil\u202ce"
        self.assertTrue(confusable.resembles(fake, "alice"))
        found = confusable.inspect(fake)
        self.assertEqual(found.controls, (1, 5))
        self.assertIn(Oddity.BIDI_CONTROL, found.oddities)
        self.assertIn(Oddity.TURNED, confusable.inspect("alice\u05d0").oddities)
        self.assertTrue(confusable.resembles("\u05d0bob", "bob\u05d0"))  # each in a paragraph of its own direction

    @spec("mission", "M2")
    def test_others(self) -> None:
        """Small capitals, wide and circled letters, a digit for a letter, two letters for one, other spellings."""
        for one, other in (
            ("ᴘᴀʏᴘᴀʟ", "paypal"), ("ｐａｙｐａｌ", "paypal"), ("🅰🅳🅼🅸🅽", "admin"), ("ⓐⓓⓜⓘⓝ", "admin"), ("g00gle", "google"),
            ("rnike", "mike"), ("straße", "strasse"), ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"), ("кот", "kot"), ("ΙΑΝ", "ian"), ("𝐚𝐝𝐦𝐢𝐧", "admin"),
        ):
            self.assertTrue(confusable.resembles(one, other), one)

    def test_different(self) -> None:
        """What isn't alike: one-letter differences, accents, i and l in small letters, other digits."""
        for one, other in (
            ("romeo", "juliet"), ("ian", "lan"), ("anna", "änna"), ("user1", "user2"), ("иван", "ivan"), ("alice", "alicе2"),
        ):
            self.assertFalse(confusable.resembles(one, other), one)


class SkeletonTests(SynchronousTestCase):
    """UTS #39 section 4."""

    @spec("UTS #39", "4")
    def test_rows(self) -> None:
        """Each row of the confusables has its skeleton, but where normalisation takes the character apart before."""
        missed = {one for one, other in ROWS if confusable.internalSkeleton(one) != confusable.internalSkeleton(other)}
        self.assertLess(len(missed), 40)
        self.assertEqual({one for one in missed if ucd.decompose(one) == one and one != "\u321d" and one != "\u321e"} - {
            each for each in missed if any(ucd.decompose(part) != part for part in ucd.prototypes()[ord(each)] or "")
        }, set())

    @spec("UTS #39", "4")
    def test_known(self) -> None:
        """What ICU's own tests expect, of plain and of bidirectional skeletons."""
        for text, wanted in (
            ("1ove", "love"), ("OOPS", "OOPS"), ("00PS", "OOPS"), ("\u2a74", "::="), ("\u247e", "(ll)"), ("\u0391", "A"),
            ("\u13cf", "b"), ("\"", "''"), ("I1l0O", "lllOO"), ("\u0c83", "\u0983"),
            ("\ufdfb", "\u062c\u0644 \u062c\u0644l\u0644o"),
        ):
            self.assertEqual(confusable.internalSkeleton(text), wanted)
        self.assertEqual(confusable.skeleton("A1<\u05e9\u05c2"), "Al<\u05e9\u0307")
        self.assertEqual(confusable.skeleton("\u0391\u05e9\u05ba>1"), "Al<\u05e9\u0307")
        self.assertEqual(confusable.skeleton("A1<\u05e9\u05c2", Direction.RTL), "\u05e9\u0307>Al")
        self.assertEqual(confusable.skeleton("\u0391\u05e9\u05ba>1", Direction.RTL), "l<\u05e9\u0307A")

    @spec("UTS #39", "4")
    def test_ascii(self) -> None:
        """The fast path is what the tables say."""
        for point in range(128):
            each = chr(point)
            self.assertEqual(confusable.internalSkeleton(each), ucd.prototypes().get(point, each))
            self.assertEqual(confusable.level(each) is Level.ASCII_ONLY, ucd.kind(each).allowed, each)

    @spec("UTS #39", "4")
    @given(st.text(max_size=30))
    def test_idempotent(self, text: str) -> None:
        """A skeleton is its own skeleton, in Normalisation Form D and without what is ignored."""
        once = confusable.internalSkeleton(text)
        self.assertEqual(confusable.internalSkeleton(once), once)
        self.assertEqual(ucd.decompose(once), once)
        self.assertFalse(any(ucd.kind(each).ignorable for each in once))

    @spec("UTS #39", "4")
    @given(st.text(TRICKY.replace("한", ""), max_size=30))
    def test_normalised(self, text: str) -> None:
        """Canonically equivalent texts have one skeleton (but for Hangul under an override, which turns its parts)."""
        self.assertEqual(confusable.skeleton(text), confusable.skeleton(ucd.decompose(text)))

    @given(st.text(TRICKY, max_size=12), st.sampled_from(ROWS))
    def test_contained(self, text: str, row: tuple[str, str]) -> None:
        """Whatever has one skeleton resembles each other."""
        other = text.replace(row[1], row[0])
        if confusable.skeleton(text) == confusable.skeleton(other):
            self.assertTrue(confusable.resembles(text, other))

    def test_rates(self) -> None:
        """The rate of hits on the confusables that the documentation gives: 99 in a hundred."""
        hits = sum(confusable.resembles(f"x{one}y", f"x{other}y") for one, other in ROWS)
        self.assertGreater(hits / len(ROWS), 0.985)

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """Every way to write a protected name with one confusable character that an address may have is found."""
        sources = defaultdict(list)
        for one, other in ROWS:
            sources[other].append(one)
        missed = []
        for name in ("paypal", "admin", "support", "security", "stpeter"):
            for index, letter in enumerate(name):
                for each in sources[ucd.prototypes().get(ord(letter)) or letter]:
                    try:
                        fake = jid.prepareLocal(name[:index] + each + name[index + 1 :])
                    except jid.JIDMalformed:
                        continue
                    if not confusable.resembles(fake, name):
                        missed.append(fake)
        # A capital that looks like this letter, and doesn't any more in small letters.
        self.assertEqual(set(missed), {"paypai", "paypaɩ", "paypaι", "paypaі", "paypaⲓ"})


class KeyTests(SynchronousTestCase):
    """L{confusable.keys}."""

    @given(st.text(TRICKY, max_size=20))
    def test_few(self, text: str) -> None:
        """A name has one to five keys, and resembles itself in any case."""
        self.assertIn(len(confusable.keys(text)), range(1, 6))
        self.assertTrue(confusable.resembles(text, text))
        if text.isascii():
            self.assertTrue(confusable.resembles(text, text.upper()))

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_symmetric(self, one: str, other: str) -> None:
        """Resemblance goes both ways."""
        self.assertEqual(confusable.resembles(one, other), confusable.resembles(other, one))

    @given(st.text(TRICKY, min_size=1, max_size=20))
    def test_prepared(self, text: str) -> None:
        """What an address makes of a name still resembles it."""
        try:
            prepared = jid.prepareLocal(text)
        except jid.JIDMalformed:
            assume(False)
        else:
            self.assertTrue(confusable.resembles(text, prepared))


class LevelTests(SynchronousTestCase):
    """UTS #39 section 5."""

    @spec("UTS #39", "5.2")
    def test_levels(self) -> None:
        """Each level has its names."""
        for text, level in (
            ("romeo", Level.ASCII_ONLY), ("", Level.ASCII_ONLY), ("Roméo", Level.SINGLE_SCRIPT), ("иван", Level.SINGLE_SCRIPT),
            ("漢字カナひらがな", Level.SINGLE_SCRIPT), ("한국漢", Level.SINGLE_SCRIPT),
            ("漢字kana", Level.HIGHLY_RESTRICTIVE), ("abc漢カ", Level.HIGHLY_RESTRICTIVE), ("abc한漢", Level.HIGHLY_RESTRICTIVE),
            ("abcไทย", Level.MODERATELY_RESTRICTIVE), ("abcא", Level.MODERATELY_RESTRICTIVE),
            ("abcж", Level.MINIMALLY_RESTRICTIVE), ("abcβ", Level.MINIMALLY_RESTRICTIVE), ("한ひ", Level.MINIMALLY_RESTRICTIVE),
            ("abcᏚ", Level.UNRESTRICTED), ("I♥", Level.UNRESTRICTED), ("a b", Level.UNRESTRICTED), ("a\u200bb", Level.UNRESTRICTED),
        ):
            self.assertEqual(confusable.level(text), level, text)

    @spec("UTS #39", "5.2")
    def test_mixing(self) -> None:
        """Spaces and emoji don't count where only scripts are asked for."""
        self.assertEqual(confusable.inspect("Romeo 💻").mixing, Level.SINGLE_SCRIPT)
        self.assertEqual(confusable.inspect("ㄅㄆ漢").mixing, Level.SINGLE_SCRIPT)
        self.assertEqual(confusable.inspect("abcᏚ").mixing, Level.MINIMALLY_RESTRICTIVE)

    @spec("UTS #39", "5.1")
    def test_scripts(self) -> None:
        """The scripts of a name; a character of several counts for the one that the others are of."""
        self.assertEqual(confusable.scripts("romeo7"), {"Latn"})
        self.assertEqual(confusable.scripts("77"), frozenset())
        self.assertEqual(confusable.scripts("カー"), {"Kana"})
        self.assertEqual(confusable.scripts("ー"), {"Kana", "Hira"})
        self.assertEqual(confusable.scripts("pаypal"), {"Latn", "Cyrl"})

    @spec("UTS #39", "4.1")
    def test_counterparts(self) -> None:
        """Names that could be written in another script."""
        self.assertIn("Cyrl", confusable.counterparts("paypal"))
        self.assertIn("Latn", confusable.counterparts("сор"))
        self.assertNotIn("Cyrl", confusable.counterparts("fritz"))
        self.assertEqual(confusable.counterparts("pаypal"), frozenset())
        self.assertEqual(confusable.counterparts("77"), frozenset())
        self.assertEqual(confusable.counterparts("漢字"), frozenset())

    @spec("UTS #39", "5.3")
    def test_numbers(self) -> None:
        """Digits of two systems are odd, of one aren't."""
        self.assertEqual(confusable.inspect("a1\u0967").digits, {"0", "\u0966"})
        self.assertIn(Oddity.MIXED_NUMBERS, confusable.inspect("a1\u0967").oddities)
        self.assertTrue(confusable.inspect("कमल\u0967\u0968").ordinary)

    @spec("UTS #39", "5.4")
    def test_marks(self) -> None:
        """A mark twice is odd, and so are five; four aren't."""
        self.assertEqual(confusable.inspect("i\u0307\u0307").marks, (2,))
        self.assertEqual(confusable.inspect("a\u0300\u0301\u0302\u0303\u0304").marks, (5,))
        self.assertEqual(confusable.inspect("a\u0300\u0301\u0302\u0303").marks, ())


class OrdinaryTests(SynchronousTestCase):
    """Ten thousand ordinary names in 28 scripts raise no alarm."""

    def test_names(self) -> None:
        """There are so many, in so many scripts, and they differ."""
        self.assertEqual(len(NAMES), COUNT)
        self.assertGreater(len({name for _, name in NAMES}), COUNT * 0.99)
        self.assertGreaterEqual(len({code for _, name in NAMES for code in confusable.scripts(name)}), 28)

    @spec("mission", "M2")
    def test_ordinary(self) -> None:
        """None is odd."""
        odd = [(language, name, found.oddities) for language, name in NAMES
               if not (found := confusable.inspect(name)).ordinary]
        self.assertEqual(odd, [])

    @spec("mission", "M2")
    def test_levels(self) -> None:
        """None mixes scripts; those of letters that are allowed in identifiers have the level of a single script."""
        for _, name in NAMES:
            found = confusable.inspect(name)
            self.assertLessEqual(found.mixing, Level.SINGLE_SCRIPT)
            allowed = all(ucd.kind(each).allowed for each in name)
            self.assertEqual(found.level <= Level.SINGLE_SCRIPT, allowed)
            self.assertEqual(found.level is Level.ASCII_ONLY, allowed and name.isascii())

    @spec("mission", "M2")
    def test_different(self) -> None:
        """No two resemble each other, but for two pairs that UTS #39 finds alike: with thorn and p, with a dotless i."""
        owners = defaultdict(set)
        for name in {name.lower() for _, name in NAMES}:
            for key in confusable.keys(name):
                owners[key].add(name)
        self.assertEqual([names for names in owners.values() if len({confusable.skeleton(name) for name in names}) > 1], [])
        self.assertLessEqual(len({frozenset(names) for names in owners.values() if len(names) > 1}), 2)

    @spec("XEP-0165", "2.1")
    @spec("mission", "M1")
    def test_inside(self) -> None:
        """None is outside of the scripts of its language."""
        self.assertEqual([name for language, name in NAMES if confusable.outside(name, [language])], [])

    @spec("mission", "M2")
    def test_written(self) -> None:
        """Names that need characters which aren't drawn, emoji, and names of several words."""
        for name in (
            "نام\u200cها", "श\u094d\u200dर", "ශ\u0dca\u200dරී", "👩\u200d💻 dev", "👩🏽\u200d🚀", "❤\ufe0f", "1\ufe0f\u20e3", "葛\U000e0100城",
            "Romeo Montague", "O'Neil-Smith", "李小龙 Bruce", "東京タワー2号", "Nguyễn Văn A", "山田\u3000太郎", "ハリー\u3000ポッター", "ᠮᠣᠩᠭᠣᠯ\u180b",
        ):
            self.assertEqual(confusable.inspect(name).oddities, frozenset(), name)
        self.assertTrue(confusable.resembles("山田\u3000太郎", "山田 太郎"))

    @spec("mission", "M2")
    def test_tags(self) -> None:
        """The flags of three countries are written with tags; no other text can be hidden so."""
        flag = "\U0001f3f4" + "".join(chr(0xE0000 + ord(each)) for each in "gbeng") + "\U000e007f"
        self.assertTrue(confusable.inspect(f"Max {flag}").ordinary)
        for name in (flag + "\U000e0041", flag[:-1], flag[1:], flag.replace("\U000e0062", "\U000e0063"), "x" + flag[1:]):
            self.assertIn(Oddity.INVISIBLE, confusable.inspect(name).oddities, ascii(name))
        for name in ("\u3000山田", "山田\u3000", "山\u3000\u3000田", "romeo\u3000m", "山\u3000m"):
            self.assertIn(Oddity.PADDED, confusable.inspect(name).oddities, ascii(name))


class LanguageTests(SynchronousTestCase):
    """L{confusable.outside} and L{confusable.scriptsOf}."""

    @spec("XEP-0165", "2.1")
    @spec("mission", "M1")
    def test_outside(self) -> None:
        """A name is outside if it has a script in which none of the languages is written."""
        self.assertEqual(confusable.outside("иван", ["en", "de"]), {"Cyrl"})
        self.assertEqual(confusable.outside("иван", ["en", "ru"]), frozenset())
        self.assertEqual(confusable.outside("пpивет", ["ru"]), frozenset())
        self.assertEqual(confusable.outside("Zoë", ["ja"]), {"Latn"})
        self.assertEqual(confusable.outside("カナ漢字", ["zh-TW"]), {"Kana"})
        self.assertEqual(confusable.outside(CHEROKEE, ["en"]), {"Cher"})
        self.assertEqual(confusable.outside(CHEROKEE, ["chr"]), frozenset())
        self.assertEqual(confusable.outside("77♥", ["en"]), frozenset())

    @spec("mission", "M1")
    def test_ascii(self) -> None:
        """ASCII is nobody's outside."""
        self.assertEqual(confusable.outside("romeo", ["ru", "ja", "ar"]), frozenset())

    @spec("mission", "M1")
    def test_unknown(self) -> None:
        """Of languages that nobody knows nothing can be said; they don't spoil those that are known."""
        self.assertEqual(confusable.outside("иван", []), frozenset())
        self.assertEqual(confusable.outside("иван", ["qqq", "", "-", "x" * 1000]), frozenset())
        self.assertEqual(confusable.outside("иван", ["qqq", "de"]), {"Cyrl"})

    def test_tags(self) -> None:
        """Tags with scripts and regions, in any spelling."""
        for tag, scripts in (
            ("de", {"Latn"}), ("sr", {"Latn", "Cyrl"}), ("sr-Latn", {"Latn"}), ("SR_latn_RS", {"Latn"}), ("zh", {"Hani"}),
            ("zh-TW", {"Hani", "Bopo"}), ("zh-Hant-HK", {"Hani", "Bopo"}), ("ja", {"Hani", "Hira", "Kana"}),
            ("ko-KR", {"Hani", "Hang"}), ("pa-PK", {"Guru", "Arab"}), ("az-IR", {"Latn", "Arab"}), ("xx", set()), ("en-Xxxx", set()),
        ):
            self.assertEqual(confusable.scriptsOf(tag), scripts, tag)


class DescriptionTests(SynchronousTestCase):
    """L{confusable.describe}."""

    def test_characters(self) -> None:
        """Each character with its number, name, script and what it is drawn like."""
        letter, hidden, digit, plain = confusable.describe("\u0430\u200b1x")
        self.assertEqual((letter.code, letter.name), ("U+0430", "CYRILLIC SMALL LETTER A"))
        self.assertEqual((letter.script, letter.like, letter.allowed), ("Cyrillic", "a", True))
        self.assertEqual((hidden.like, hidden.allowed, hidden.types), ("", False, {"Default_Ignorable"}))
        self.assertEqual((digit.script, digit.like, plain.like), ("Common", "l", None))

    def test_nameless(self) -> None:
        """What has no name still has one to show."""
        names = [each.name for each in confusable.describe("\x07\u0378\U00016d63\ue000")]
        self.assertEqual(names[:2], ["<control-0007>", "<code point 0378>"])
        self.assertIn("16D63", names[2].replace("KIRAT RAI VOWEL SIGN AA", "16D63"))
        self.assertIn("E000", names[3])


class LimitTests(SynchronousTestCase):
    """Long names, and the caches."""

    CALLS = (
        confusable.skeleton, confusable.keys, confusable.level, confusable.inspect, confusable.scripts, confusable.counterparts,
        confusable.describe, lambda text: confusable.resembles(text, "x"), lambda text: confusable.confusion("x", text),
        lambda text: confusable.outside(text, ["de"]), lambda text: confusable.skeleton(text, Direction.RTL),
    )

    def test_tooLong(self) -> None:
        """What is longer than an address may be is refused by all, in any script, and what is as long by none."""
        for each in ("a", "я", "א", "\u0301", "\u202e", "\ufdfa"):
            for call in self.CALLS:
                call(each * confusable.LONGEST)
                self.assertRaises(confusable.TooLong, call, each * (confusable.LONGEST + 1))

    def test_remembered(self) -> None:
        """A short name is computed once, a long one isn't remembered."""
        short, long = "я" * confusable.CACHED_LENGTH, "я" * (confusable.CACHED_LENGTH + 1)
        self.assertIs(confusable.inspect(short), confusable.inspect(short))
        self.assertIsNot(confusable.inspect(long), confusable.inspect(long))

    @given(st.text(max_size=20))
    def test_anything(self, text: str) -> None:
        """Whatever a peer sends, every function has an answer."""
        for call in self.CALLS:
            call(text)

    def test_exemplars(self) -> None:
        """The tests' own letters are there."""
        self.assertGreater(len(exemplars()), 55)


class DocumentationTests(SynchronousTestCase):
    """C{docs/names.rst}."""

    def test_examples(self) -> None:
        """What the page shows is what happens."""
        page = Path(__file__).parents[2] / "docs" / "names.rst"
        found = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
        self.assertEqual(found.failed, 0)
        self.assertGreater(found.attempted, 20)
