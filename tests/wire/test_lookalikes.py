"""Tests of L{xmppd.wire.lookalikes}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire.confusable import resembles
from xmppd.wire.jid import parse
from xmppd.wire.lookalikes import NameIndex, addressKeys, alikeAddresses, firstAlike, keysOf

NAMES = st.sampled_from(["paypal", "paypa1", "p\u0430ypal", "PAYPAL", "juliet", "ju1iet", "romeo", ""])


class NameIndexTests(SynchronousTestCase):
    """Look-alikes among names in memory."""

    @spec("XEP-0165", "1")
    def test_alike(self) -> None:
        """Others that look like a name are found, but not itself."""
        index = NameIndex()
        for name in ("paypal", "p\u0430ypal", "juliet"):
            index.add(name)
        self.assertEqual(index.alike("paypa1"), ["paypal", "p\u0430ypal"])
        self.assertEqual(index.alike("paypal"), ["p\u0430ypal"])
        self.assertEqual(index.alike("romeo"), [])
        self.assertIn("paypal", index)
        self.assertNotIn("paypa1", index)

    def test_owners(self) -> None:
        """One's own names don't count; the same name may belong to several."""
        index = NameIndex()
        index.add("paypal", "a")
        self.assertEqual(index.alike("paypa1", "a"), [])
        index.add("paypal", "b")
        self.assertEqual(index.alike("paypa1", "a"), ["paypal"])
        index.discard("paypal", "b")
        self.assertEqual(index.alike("paypa1", "a"), [])

    def test_counted(self) -> None:
        """What was added twice has to be taken away twice; what isn't there is ignored."""
        index = NameIndex()
        for _ in range(2):
            index.add("paypal", "a")
        self.assertEqual(len(index), 1)
        for left in (["paypal"], [], []):
            index.discard("paypal", "a")
            self.assertEqual(index.alike("paypa1"), left)
        self.assertEqual(len(index), 0)

    def test_clear(self) -> None:
        """Nothing is left of anything."""
        index = NameIndex()
        index.add("paypal", "a")
        index.clear()
        self.assertEqual((len(index), index.alike("paypa1")), (0, []))
        index.discard("paypal", "a")

    def test_long(self) -> None:
        """A text that is longer than any name is taken for its beginning."""
        self.assertEqual(keysOf("x" * 5000), keysOf("x" * 128))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), NAMES, st.sampled_from("ab"))), NAMES)
    def test_model(self, steps: list[tuple[bool, str, str]], wanted: str) -> None:
        """It answers as if it looked at every name, whatever came and went."""
        index, model = NameIndex(), []
        for adding, name, owner in steps:
            if adding:
                index.add(name, owner)
                model.append((name, owner))
            else:
                index.discard(name, owner)
                if (name, owner) in model:
                    model.remove((name, owner))
        expected = {name for name, owner in model if owner != "a" and name != wanted and resembles(name, wanted)}
        self.assertEqual(index.alike(wanted, "a"), sorted(expected))
        self.assertEqual(len(index), len(set(model)))


class AddressTests(SynchronousTestCase):
    """Bare JIDs look alike if both of their parts do."""

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_cherokee(self) -> None:
        """The example of the document."""
        real = parse("stpeter@jabber.org")
        fake = parse("ᏚᎢᎵᎬᎢᎬᏒ@ᎫᎪᏴᏴᎬᏒ.org")
        self.assertEqual(alikeAddresses(fake, [real, parse("peter@saint-andre.com")]), ["stpeter@jabber.org"])
        self.assertEqual(alikeAddresses(real, [fake]), [fake.bare])

    def test_parts(self) -> None:
        """One part that looks alike is not enough; resources don't matter; the same address is no look-alike."""
        others = [parse(text) for text in ("paypal@example.org/home", "paypal@example.net", "juliet@example.org")]
        self.assertEqual(alikeAddresses(parse("paypa1@example.org/x"), others), ["paypal@example.org"])
        self.assertEqual(alikeAddresses(parse("paypal@examp1e.net"), others), ["paypal@example.net"])
        self.assertEqual(alikeAddresses(parse("paypal@example.org"), others), [])
        self.assertEqual(alikeAddresses(parse("examp1e.org"), [*others, parse("example.org")]), ["example.org"])

    def test_few(self) -> None:
        """An address has few keys."""
        self.assertLessEqual(len(addressKeys(parse("ᏚᎢᎵᎬᎢᎬᏒ@ᎫᎪᏴᏴᎬᏒ.org"))), 25)


class FirstTests(SynchronousTestCase):
    """The first of a few names."""

    def test_first(self) -> None:
        """It may be the same name."""
        self.assertEqual(firstAlike("paypa1", ["juliet", "paypal", "PAYPAL"]), "paypal")
        self.assertEqual(firstAlike("juliet", ["juliet"]), "juliet")
        self.assertIsNone(firstAlike("romeo", ["juliet"]))
