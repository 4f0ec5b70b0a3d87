"""
The double that fails keeps the contracts as long as it isn't told to fail.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.contracts import (
    ROMEO,
    AccountStoreContract,
    ArchiveStoreContract,
    FactStoreContract,
    NameStoreContract,
    NodeStoreContract,
    RosterStoreContract,
    SpoolStoreContract,
    StoreContract,
    aMessage,
)
from tests.doubles import FailingStore
from xmppd.ixmppd import StoreUnavailable


class _Failing:
    def makeStore(self) -> FailingStore:
        """One around a store in memory."""
        return FailingStore()


class FailingStoreContractTests(_Failing, StoreContract, TestCase):
    """All of it."""


class FailingAccountsTests(_Failing, AccountStoreContract, TestCase):
    """Accounts."""


class FailingRostersTests(_Failing, RosterStoreContract, TestCase):
    """Rosters."""


class FailingSpoolTests(_Failing, SpoolStoreContract, TestCase):
    """Messages and sessions."""


class FailingFactsTests(_Failing, FactStoreContract, TestCase):
    """Facts."""


class FailingArchivesTests(_Failing, ArchiveStoreContract, TestCase):
    """Archives."""


class FailingNamesTests(_Failing, NameStoreContract, TestCase):
    """Names."""


class FailingNodesTests(_Failing, NodeStoreContract, TestCase):
    """Nodes."""


class FailingStoreTests(TestCase):
    """L{FailingStore} fails when told."""

    def test_failsSoMany(self):
        """Writes and reads fail as often as asked, and nothing is written."""
        store = FailingStore()
        store.failWrites, store.failReads = 2, 1
        for _ in range(2):
            self.failureResultOf(store.spool.add([aMessage()]), StoreUnavailable)
        self.failureResultOf(store.spool.count(ROMEO), StoreUnavailable)
        self.assertEqual(self.successResultOf(store.spool.count(ROMEO)), 0)
        self.assertEqual(self.successResultOf(store.spool.add([aMessage()])), (1,))

    def test_failsUntilTold(self):
        """C{True} fails until it is taken back."""
        store = FailingStore()
        store.failWrites = True
        for _ in range(3):
            self.failureResultOf(store.facts.put(ROMEO, "a", "b", b""), StoreUnavailable)
        store.failWrites = False
        self.successResultOf(store.facts.put(ROMEO, "a", "b", b""))

    def test_holds(self):
        """Answers can be held back and given in order."""
        store = FailingStore()
        store.holding = True
        one, two = store.spool.add([aMessage()]), store.spool.add([aMessage()])
        self.assertNoResult(one)
        self.assertNoResult(two)
        store.proceed()
        self.assertEqual(self.successResultOf(one), (1,))
        self.assertEqual(self.successResultOf(two), (2,))
        self.successResultOf(store.spool.count(ROMEO))
