"""
The stores in memory keep the contracts.
"""

from __future__ import annotations

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
from xmppd.store.memory import MemoryStore


class _Memory:
    def makeStore(self) -> MemoryStore:
        """A new one."""
        return MemoryStore()


class MemoryStoreTests(_Memory, StoreContract, TestCase):
    """All of it."""


class MemoryAccountsTests(_Memory, AccountStoreContract, TestCase):
    """Accounts."""


class MemoryRostersTests(_Memory, RosterStoreContract, TestCase):
    """Rosters."""


class MemorySpoolTests(_Memory, SpoolStoreContract, TestCase):
    """Messages and sessions."""


class MemoryFactsTests(_Memory, FactStoreContract, TestCase):
    """Facts."""


class MemoryArchivesTests(_Memory, ArchiveStoreContract, TestCase):
    """Archives."""


class MemoryNamesTests(_Memory, NameStoreContract, TestCase):
    """Names."""


class MemoryNodesTests(_Memory, NodeStoreContract, TestCase):
    """Nodes."""
