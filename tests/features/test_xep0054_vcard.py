"""Tests of L{xmppd.features.xep0054_vcard}."""

from __future__ import annotations

from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.xep0054_vcard import feature
from xmppd.ixmppd import ISession, IStorageRestriction
from xmppd.wire.errors import StanzaCondition, StanzaError

ASK = "<vCard xmlns='vcard-temp'/>"
CARD = "<vCard xmlns='vcard-temp'><FN>Juliet &amp; Co</FN><N><GIVEN>Juliet</GIVEN></N></vCard>"


class VCardTests(AskingCase):
    """Cards are kept and given out."""

    features = (feature,)
    options = {"limits": Limits(vcardBytes=500)}

    @spec("XEP-0054", "3.1", "3.2", "3.3")
    def test_roundTrip(self) -> None:
        """The owner sets it with or without an address, everybody reads it."""
        for to in (None, JULIET):
            self.assertIsNone(self.result(self.juliet, "set", CARD, to))
        self.assertEqual(self.result(self.juliet, "get", ASK).toBytes().decode(), CARD)
        self.assertEqual(self.result(self.romeo, "get", ASK, JULIET).toBytes().decode(), CARD)

    @spec("XEP-0054", "3.1")
    def test_noneOfOnesOwn(self) -> None:
        """Without a card one's own is not found."""
        self.assertEqual(self.error(self.juliet, "get", ASK), "item-not-found")

    @spec("XEP-0054", "3.3")
    def test_noneOfAnother(self) -> None:
        """Another account without a card is answered for like one that doesn't exist."""
        for to in (ROMEO, "nobody@example.org"):
            self.assertEqual(self.error(self.juliet, "get", ASK, to), "service-unavailable")

    @spec("XEP-0054", "3.2")
    def test_setAnothers(self) -> None:
        """Nobody else's card can be set."""
        for to in (ROMEO, "nobody@example.org"):
            self.assertEqual(self.error(self.juliet, "set", CARD, to), "forbidden")
        self.assertEqual(self.error(self.romeo, "get", ASK), "item-not-found")

    def test_limit(self) -> None:
        """A card that is too large changes nothing."""
        self.result(self.juliet, "set", CARD)
        large = CARD.replace("Juliet", "J" * 500)
        self.assertEqual(self.error(self.juliet, "set", large), "policy-violation")
        self.assertEqual(self.result(self.juliet, "get", ASK).toBytes().decode(), CARD)

    def test_restrictions(self) -> None:
        """Who may not store is refused by the restriction."""

        class Refusal:
            def __init__(self, session: ISession) -> None:
                pass

            def refuses(self, kind: str, size: int) -> StanzaError | None:
                return StanzaError(StanzaCondition.NOT_ALLOWED) if kind == "vcard" else None

        self.rig.host.adapters.subscribe(ISession, IStorageRestriction, Refusal)
        self.assertEqual(self.error(self.juliet, "set", CARD), "not-allowed")

    @spec("XEP-0054", "4")
    def test_listed(self) -> None:
        """The feature is listed."""
        self.assertIn("vcard-temp", self.rig.host.namespaces)
