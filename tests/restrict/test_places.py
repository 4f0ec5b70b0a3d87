"""Tests of L{xmppd.restrict.places}."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.restrict.places import LONGEST, REMEMBERED, Kind, Places


class PlacesTests(SynchronousTestCase):
    """What is remembered of addresses."""

    def setUp(self) -> None:
        host: Any = SimpleNamespace(router=SimpleNamespace(destinations={}))
        self.places = Places(host)

    def test_remembered(self) -> None:
        """An address is worked out once."""
        place = self.places.of("romeo@example.net")
        self.assertIs(self.places.get("romeo@example.net"), place)
        self.assertIs(place.kind, Kind.REMOTE)

    @spec("mission", "A9")
    def test_long(self) -> None:
        """Of long addresses, and of what is far too long to be one, nothing is kept."""
        for address, kind in (("x" * LONGEST + "@example.net", Kind.REMOTE), ("@" * 100_000, Kind.NOWHERE)):
            self.assertIs(self.places.of(address).kind, kind)
            self.assertIsNone(self.places.get(address))

    def test_many(self) -> None:
        """Nor of more than so many others."""
        for n in range(REMEMBERED + 1):
            self.places.of(f"@{n}")
        self.assertIsNone(self.places.get("@0"))
        self.assertIsNotNone(self.places.get(f"@{REMEMBERED}"))
