"""
The tables of Unicode and CLDR.
"""

from __future__ import annotations

import subprocess
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire import ucd

LATE = "\U000113c2\U000113c9\U00016d67\U00016d63\U00016121\U0001611f\U0001e6f5\u0323\u0301a"


class TableTests(SynchronousTestCase):
    """What the files hold."""

    def test_versions(self) -> None:
        """The constants say what the files say, and each file says where it is from."""
        for path in ucd.DATA.glob("*.txt"):
            head = path.read_text(encoding="utf-8").splitlines()[0]
            if path.stem not in ("README", "LICENSE-Unicode"):
                wanted = f"# CLDR {ucd.CLDR}:" if path.stem == "languages" else f"# Unicode {ucd.UNICODE}:"
                self.assertTrue(head.startswith(wanted), path)

    def test_size(self) -> None:
        """All of it stays small."""
        self.assertLess(sum(path.stat().st_size for path in ucd.DATA.iterdir()), 300_000)

    def test_kinds(self) -> None:
        """Some characters are as the standard has them."""
        cyrillic, joiner, kanji = ucd.kind("а"), ucd.kind("\u200d"), ucd.kind("漢")
        self.assertEqual((cyrillic.script, cyrillic.bidi, cyrillic.allowed), ("Cyrl", "L", True))
        self.assertEqual((joiner.ignorable, joiner.allowed, joiner.bidi), (True, False, "BN"))
        self.assertEqual(ucd.codes(kanji.scripts), {"Hani"})
        self.assertEqual(kanji.scripts.bit_count(), 4)  # with Jpan, Hanb and Kore
        self.assertEqual(ucd.kind("7").scripts, -1)
        self.assertEqual(ucd.codes(ucd.kind("ー").scripts), {"Hira", "Kana"})
        self.assertEqual((ucd.kind("\u094d").virama, ucd.kind("\u3000").space, ucd.kind("💻").pictographic), (True,) * 3)

    def test_ends(self) -> None:
        """The first and the last code point have kinds, and so has what isn't assigned, and a surrogate."""
        self.assertEqual(ucd.kind("\0").script, "Zyyy")
        self.assertEqual(ucd.kind("\U0010ffff").types, {"Not_Character"})
        self.assertEqual((ucd.kind("\u0378").script, ucd.kind("\ud800").script), ("Zzzz", "Zzzz"))

    def test_recommended(self) -> None:
        """The recommended scripts are those of UAX #31 table 5, without Common and Inherited; Bopomofo has left them."""
        self.assertEqual(ucd.codes(ucd.characters().recommended), set(
            "Arab Armn Beng Cyrl Deva Ethi Geor Grek Gujr Guru Hang Hani Hebr Hira Kana Khmr Knda Laoo Latn Mlym Mymr "
            "Orya Sinh Taml Telu Thaa Thai Tibt".split()
        ))

    def test_bidi(self) -> None:
        """The classes agree with Python's for what Python knows, but for a few that Unicode changed since."""
        known = [each for each in map(chr, range(0x30000)) if unicodedata.bidirectional(each)]
        changed = [each for each in known if ucd.kind(each).bidi != unicodedata.bidirectional(each)]
        self.assertLess(len(changed), 20)

    def test_languages(self) -> None:
        """Every script that a language is written in is known to the tables, or no character has it yet."""
        known = set(ucd.characters().names)
        unknown = {code for scripts in ucd.languages().values() for code in scripts} - known
        self.assertEqual(unknown - {"Afak", "Blis", "Jurc", "Nkgb", "Shui", "Sunu", "Roro", "Visp"}, set())

    def test_lazy(self) -> None:
        """Neither the import nor plain ASCII names read the tables."""
        code = (
            "from xmppd.wire import confusable as c, ucd\n"
            "c.keys('romeo'), c.skeleton('paypa1'), c.level('romeo'), c.inspect('Romeo M. '), c.outside('romeo', ('ru',))\n"
            "assert not ucd.characters.cache_info().currsize + ucd.prototypes.cache_info().currsize\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class DecompositionTests(SynchronousTestCase):
    """L{ucd.decompose}."""

    @given(st.text(max_size=20))
    def test_known(self, text: str) -> None:
        """What Python knows is decomposed as Python does."""
        if all(unicodedata.category(each) not in ("Cn", "Cs") for each in text):
            if unicodedata.unidata_version.startswith("14"):
                self.assertEqual(ucd.decompose(text), unicodedata.normalize("NFD", text))

    def test_late(self) -> None:
        """Characters younger than Python's tables are decomposed, in steps, and their marks put in order."""
        self.assertEqual(ucd.decompose("\U00016d6a"), "\U00016d63\U00016d67\U00016d67")
        self.assertEqual(ucd.decompose("a\U0001e6f5\u0323"), "a\u0323\U0001e6f5")
        self.assertEqual(ucd.decompose("\U00016128"), "\U0001611e\U0001611e\U00016120")

    @given(st.text(LATE + "\U00016d6a\U00016128\U0001138e", max_size=12))
    def test_idempotent(self, text: str) -> None:
        """A decomposition stays as it is."""
        once = ucd.decompose(text)
        self.assertEqual(ucd.decompose(once), once)
