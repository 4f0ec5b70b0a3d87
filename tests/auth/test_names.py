"""Tests of L{xmppd.auth.names}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FailingStore, Rig
from tests.marks import spec
from xmppd.auth import names
from xmppd.auth.names import UUID, GuestNames
from xmppd.config import HostConfig

NAME = "11111111-1111-4111-8111-111111111111"


@spec("mission", "A2")
class GuestNamesTests(SynchronousTestCase):
    """Whether names of guests may be taken."""

    def test_noneAlike(self) -> None:
        """Where no account has the name of a UUID that is found out, also over many pages."""
        self.patch(names, "PAGE", 3)
        rig = Rig()
        rig.account(*(f"user{n}" for n in range(10)))
        self.assertTrue(GuestNames(rig.host).apart)

    def test_alike(self) -> None:
        """Where one has, the store is to be asked."""
        self.patch(names, "PAGE", 3)
        rig = Rig()
        rig.account(NAME, *(f"user{n}" for n in range(10)))
        self.assertFalse(GuestNames(rig.host).apart)

    def test_registered(self) -> None:
        """An account of such a name that is made later changes that; other accounts don't."""
        rig = Rig()
        found = GuestNames(rig.host)
        rig.account("romeo")
        self.assertTrue(found.apart)
        rig.account(NAME)
        self.assertFalse(found.apart)

    def test_registeredMeanwhile(self) -> None:
        """An account that is made while the others are looked at counts."""
        store = FailingStore()
        store.holding = True
        rig = Rig(store=store)
        found = GuestNames(rig.host)
        self.assertFalse(found.apart)
        rig.host.hooks.registered.notify(f"{NAME}@example.org")
        store.proceed()
        self.assertFalse(found.apart)

    def test_unavailable(self) -> None:
        """A store that doesn't answer leaves it open."""
        store = FailingStore()
        store.failReads = 1
        self.assertFalse(GuestNames(Rig(store=store).host).apart)

    def test_noAccounts(self) -> None:
        """A host for guests alone has no accounts to mistake them for."""
        store = FailingStore()
        store.failReads = True
        rig = Rig(store=store, config=HostConfig("example.org", accounts=False, guests="public"))
        self.assertTrue(GuestNames(rig.host).apart)

    def test_pattern(self) -> None:
        """Only version 4 of the usual variant is meant."""
        self.assertTrue(UUID.match(f"{NAME}@example.org"))
        for other in ("11111111-1111-1111-8111-111111111111", "11111111-1111-4111-c111-111111111111", f"x{NAME}", "1"):
            self.assertIsNone(UUID.match(f"{other}@example.org"), other)
