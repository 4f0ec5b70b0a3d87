"""
Stores keep their contracts when they are seen through the ledger, also while guests are here.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.contracts import (
    AccountStoreContract,
    ArchiveStoreContract,
    FactStoreContract,
    NameStoreContract,
    NodeStoreContract,
    RosterStoreContract,
    SpoolStoreContract,
    StoreContract,
)
from xmppd.route.ledger import Ledger
from xmppd.store.memory import MemoryStore


class _Ledgered:
    def makeStore(self) -> Ledger:
        """One that somebody is a guest of, and somebody was."""
        ledger = Ledger(MemoryStore(), Clock())
        for bare in ("here@example.org", "gone@example.org"):
            ledger.arrived(bare, cast(Any, None))
            ledger.settled(bare)
        ledger.departed("gone@example.org")
        return ledger


class LedgeredStoreTests(_Ledgered, StoreContract, TestCase):
    """All of it."""


class LedgeredAccountsTests(_Ledgered, AccountStoreContract, TestCase):
    """Accounts."""


class LedgeredRostersTests(_Ledgered, RosterStoreContract, TestCase):
    """Rosters."""


class LedgeredSpoolTests(_Ledgered, SpoolStoreContract, TestCase):
    """Messages and sessions."""


class LedgeredFactsTests(_Ledgered, FactStoreContract, TestCase):
    """Facts."""


class LedgeredArchivesTests(_Ledgered, ArchiveStoreContract, TestCase):
    """Archives."""


class LedgeredNamesTests(_Ledgered, NameStoreContract, TestCase):
    """Names."""


class LedgeredNodesTests(_Ledgered, NodeStoreContract, TestCase):
    """Nodes."""
