"""Tests of L{xmppd.features.xep0484_fast.slots}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.features.xep0484_fast.slots import Slots, Token

NONE = "HT-SHA-256-NONE"


def token(secret: str, mechanism: str = NONE, expires: float = 100.0) -> Token:
    """A token."""
    return Token(mechanism, secret, 0.0, expires)


class SlotsTests(SynchronousTestCase):
    """Section 5.1."""

    @spec("XEP-0484", "5.1", "3.5")
    def test_rotation(self) -> None:
        """Both are good until the new one is used; then it is alone."""
        a, b = token("a"), token("b")
        slots = Slots().given(a)
        slots = slots.used(a).given(b)
        self.assertEqual(slots, Slots(b, a))
        self.assertEqual(slots.used(a), slots)
        self.assertEqual(slots.used(b), Slots(None, b))

    @spec("XEP-0484", "3.5")
    def test_forgotten(self) -> None:
        """One that was given out and not used goes when another is given out."""
        a, b = token("a"), token("b")
        self.assertEqual(Slots(a, None).given(b), Slots(b, None))

    @spec("XEP-0484", "3.4")
    def test_matching(self) -> None:
        """The one that is proved, for its mechanism only; both are tried every time."""
        a, b = token("a"), token("b", "HT-SHA-256-EXPR")
        slots = Slots(a, b)
        asked: list[str] = []

        def proves(wanted: str) -> object:
            return lambda each: asked.append(each.secret) or each.secret == wanted

        self.assertIs(slots.matching(NONE, proves("a")), a)  # type: ignore[arg-type]
        self.assertIsNone(slots.matching(NONE, proves("b")))  # type: ignore[arg-type]
        self.assertIs(slots.matching("HT-SHA-256-EXPR", proves("b")), b)  # type: ignore[arg-type]
        asked.clear()
        Slots(token("x"), token("y")).matching(NONE, proves("x"))  # type: ignore[arg-type]
        self.assertEqual(asked, ["x", "y"])

    def test_until(self) -> None:
        """What was used can be given a shorter life, never a longer one."""
        a = token("a")
        self.assertEqual(Slots(a).used(a, 50.0).current, token("a", expires=50.0))
        self.assertEqual(Slots(None, a).used(a, 500.0).current, a)

    def test_expires(self) -> None:
        """When the last one does."""
        self.assertEqual(Slots().expires, 0.0)
        self.assertEqual(Slots(token("a", expires=5), token("b", expires=9)).expires, 9)
