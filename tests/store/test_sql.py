"""
The SQL stores keep the contracts, in SQLite and in PostgreSQL, with real threads.
"""

from __future__ import annotations

from twisted.internet import reactor
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
from tests.store.cluster import emptyDatabase, whySkip
from xmppd.store.sql.store import SQLStore


class _SQLite:
    def makeStore(self) -> SQLStore:
        """A new file."""
        return SQLStore(f"sqlite:///{self.mktemp()}", reactor.callFromThread)  # type: ignore[attr-defined]


class _PostgreSQL:
    skip = whySkip()

    def makeStore(self) -> SQLStore:
        """An empty database."""
        return SQLStore(emptyDatabase(), reactor.callFromThread)  # type: ignore[attr-defined]


class SQLiteStoreTests(_SQLite, StoreContract, TestCase):
    """All of it."""


class SQLiteAccountsTests(_SQLite, AccountStoreContract, TestCase):
    """Accounts."""


class SQLiteRostersTests(_SQLite, RosterStoreContract, TestCase):
    """Rosters."""


class SQLiteSpoolTests(_SQLite, SpoolStoreContract, TestCase):
    """Messages and sessions."""


class SQLiteFactsTests(_SQLite, FactStoreContract, TestCase):
    """Facts."""


class SQLiteArchivesTests(_SQLite, ArchiveStoreContract, TestCase):
    """Archives."""


class SQLiteNamesTests(_SQLite, NameStoreContract, TestCase):
    """Names."""


class SQLiteNodesTests(_SQLite, NodeStoreContract, TestCase):
    """Nodes."""


class PostgreSQLStoreTests(_PostgreSQL, StoreContract, TestCase):
    """All of it."""


class PostgreSQLAccountsTests(_PostgreSQL, AccountStoreContract, TestCase):
    """Accounts."""


class PostgreSQLRostersTests(_PostgreSQL, RosterStoreContract, TestCase):
    """Rosters."""


class PostgreSQLSpoolTests(_PostgreSQL, SpoolStoreContract, TestCase):
    """Messages and sessions."""


class PostgreSQLFactsTests(_PostgreSQL, FactStoreContract, TestCase):
    """Facts."""


class PostgreSQLArchivesTests(_PostgreSQL, ArchiveStoreContract, TestCase):
    """Archives."""


class PostgreSQLNamesTests(_PostgreSQL, NameStoreContract, TestCase):
    """Names."""


class PostgreSQLNodesTests(_PostgreSQL, NodeStoreContract, TestCase):
    """Nodes."""
