"""
The tables: migrations, who may open a database, and that nobody is left over.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.contracts import JULIET, ROMEO, ROOM, SERVICE, aMessage, anItem, aNode, archived, aSession, someKeys
from tests.doubles import Rig
from tests.store.cluster import emptyDatabase, whySkip
from xmppd.ixmppd import ABOUT, AccountRecord, NodeSubscription, RosterItem, StoreUnavailable
from xmppd.naming import EDITIONS
from xmppd.store.sql import migrate as migration
from xmppd.store.sql.backend import backendFor
from xmppd.store.sql.migrate import MIGRATIONS
from xmppd.store.sql.schema import REVISIONS, UNOWNED, metadata, ownedTables, subjectTables
from xmppd.store.sql.store import SQLStore


def openedStore(url: str) -> SQLStore:
    """A store with the real reactor."""
    return SQLStore(url, reactor.callFromThread)  # type: ignore[attr-defined]


class SchemaTests(SynchronousTestCase):
    """The schema module and the migrations agree."""

    def test_revisions(self):
        """The revisions are those of the migrations, oldest first."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        scripts = ScriptDirectory.from_config(config)
        revisions = tuple(script.revision for script in scripts.walk_revisions())[::-1]
        self.assertEqual(revisions, REVISIONS)

    def test_everyTableHasAnOwner(self):
        """Every table has exactly one column that says whose a row is, or is known to be nobody's."""
        owned = [table.name for table, _ in ownedTables()]
        self.assertEqual(len(set(owned)), len(owned))
        self.assertEqual(set(owned) ^ UNOWNED, set(metadata.tables))

    def test_everyOwnerIsMarked(self):
        """A column by the name of an owner is the marked one, and a table of nobody has no such column."""
        marked = dict((table.name, column.name) for table, column in ownedTables())
        for table in metadata.tables.values():
            for name in ("account", "owner"):
                if name in table.columns:
                    self.assertEqual(marked.get(table.name), name)

    def test_everySubjectIsMarked(self):
        """A column by the name of whom a row is about is a marked one."""
        marked = [(table.name, column.name) for table, column in subjectTables()]
        named = [(name, "entity_digest") for name, table in metadata.tables.items() if "entity_digest" in table.columns]
        self.assertEqual(sorted(marked), sorted(named))

    def test_hiddenParameters(self):
        """A statement in which a value hides can't be compiled."""
        table = metadata.tables["facts"]
        statement = table.delete().where(table.c.owner == "somebody")
        self.assertRaises(ValueError, backendFor("sqlite:///x").text, statement)


class URLTests(SynchronousTestCase):
    """Which databases can be named."""

    def test_refused(self):
        """A database in memory and one of another make are refused when the store is made."""
        for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=ro", "mysql://h/x", "nonsense"):
            self.assertRaises(ValueError, openedStore, url)

    def test_noPasswordShown(self):
        """The complaint about a URL doesn't show its password."""
        error = self.assertRaises(ValueError, openedStore, "mysql://user:sesame@h/x")
        self.assertNotIn("sesame", str(error))


class _Migrated:
    """What holds for both databases once they are open."""

    def makeURL(self) -> str:
        """An empty database."""
        raise NotImplementedError

    def execute(self, statement: str) -> None:
        """Run a statement beside the store."""
        raise NotImplementedError

    async def setUp(self) -> None:
        self.url = self.makeURL()
        self.store = openedStore(self.url)
        await self.store.open()
        self.addCleanup(self.store.close)

    async def refused(self) -> str:
        """Opening once more fails; answers why."""
        store = openedStore(self.url)
        try:
            await store.open()
        except StoreUnavailable as error:
            return str(error)
        finally:
            await store.close()
        self.fail("StoreUnavailable expected")

    def test_migrationsMakeTheSchema(self):
        """What the migrations made is what the schema module describes."""
        url = make_url(self.url)
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        with engine.connect() as connection:
            self.assertEqual(compare_metadata(MigrationContext.configure(connection), metadata), [])
        engine.dispose()

    async def test_upgrade(self):
        """A database of each older revision is upgraded when it is opened, and holds what it held."""
        for revision in range(1, len(REVISIONS)):
            await self.store.close()
            self.url = self.makeURL()
            self.patch(migration, "REVISIONS", REVISIONS[:revision])
            self.store = openedStore(self.url)
            await self.store.open()
            self.assertIn(
                f"('{REVISIONS[revision - 1]}',)", repr(self.select("SELECT version_num FROM alembic_version"))
            )
            if revision < 5:
                self.patch(self.store.nameIndex, "put", lambda *arguments: None)
            for jid in (ROMEO, JULIET):
                await self.fillFirst(jid)
            await self.store.close()
            self.patch(migration, "REVISIONS", REVISIONS)
            self.store = openedStore(self.url)
            self.addCleanup(self.store.close)
            await self.store.open()
            await self.holdsFirst(JULIET)
            await self.findsNames(revision < 5)
            self.test_migrationsMakeTheSchema()
            self.assertEqual(await self.store.facts.owners("kind", "example.org"), (JULIET, ROMEO))
            for jid in (ROMEO, JULIET):
                await self.fillSecond(jid)
            await self.store.accounts.remove(ROMEO)
            self.assertEqual([row for row in self.rows() if ROMEO in repr(row)], [])
            await self.holdsFirst(JULIET)

    async def fillFirst(self, jid: str) -> None:
        """Use every table of the first revision for an account."""
        await self.store.accounts.create(jid, [someKeys()], 1.0)
        await self.store.rosters.putMany(jid, [RosterItem("a@example.net"), RosterItem("b@example.net")])
        await self.store.rosters.delete(jid, "a@example.net")
        await self.store.spool.add([aMessage(jid), aMessage(jid, holder="token of " + jid)])
        await self.store.spool.saveSession(aSession("token of " + jid, jid + "/r"))
        await self.store.facts.put(jid, "kind", "key", b"value")

    async def holdsFirst(self, jid: str) -> None:
        """All of that is there."""
        self.assertEqual(await self.store.accounts.keys(jid, "sha256"), (AccountRecord(jid, 1.0), someKeys()))
        roster = await self.store.rosters.get(jid)
        self.assertEqual((roster.version, roster.items), (3, (RosterItem("b@example.net", version=2),)))
        self.assertEqual((await self.store.rosters.since(jid, 2)).removed, ("a@example.net",))
        self.assertEqual(await self.store.spool.count(jid), 1)
        self.assertEqual(len(await self.store.spool.held("token of " + jid)), 1)
        self.assertIn(aSession("token of " + jid, jid + "/r"), await self.store.spool.sessions())
        self.assertEqual(await self.store.facts.all(jid, "kind"), {"key": b"value"})

    async def findsNames(self, older: bool) -> None:
        """Accounts of before there was an index of look-alikes are in it when the host has started (XEP-0165)."""
        found = await self.store.nameIndex.alike("account", "example.org", "rorneo")
        self.assertEqual([each.owner for each in found], [] if older else [ROMEO])
        names: Any = Rig(store=self.store).host.names
        await names.refresh()
        found = await self.store.nameIndex.alike("account", "example.org", "rorneo")
        self.assertEqual([each.owner for each in found], [ROMEO])
        await self.store.facts.delete("example.org", EDITIONS, "account")

    async def fillSecond(self, jid: str) -> None:
        """Use every table that the second revision added."""
        await self.store.archives.add([archived(1, jid, "other@example.net")])
        await self.store.archives.add([archived(10 + len(jid), ROOM, ROOM + "/nick", sender=jid)])
        for kind in ABOUT:
            await self.store.facts.put(ROOM, kind, jid, b"")
        await self.store.pubsub.create(aNode("node", jid, creator=jid))
        await self.store.pubsub.publish(jid, "node", [anItem("1", publisher=jid)], 1)
        if await self.store.pubsub.get(SERVICE, "node") is None:
            await self.store.pubsub.create(aNode("node", creator=ROMEO))
        for owner in (jid, SERVICE):
            await self.store.pubsub.setAffiliations(owner, "node", {jid: "owner"})
            for full in (jid, jid + "/r"):
                await self.store.pubsub.setSubscription(owner, "node", NodeSubscription(full, "1", "subscribed"))

    async def test_upgradedRooms(self):
        """What rooms had archived before is still there, and shows nobody's address but to moderators."""
        await self.store.close()
        self.url = self.makeURL()
        self.patch(migration, "REVISIONS", REVISIONS[:3])
        self.store = openedStore(self.url)
        await self.store.open()
        await self.store.close()
        self.execute(
            "INSERT INTO archive (owner, id, stamp, peer, peer_digest, resource, resource_digest, sender, stanza)"
            f" VALUES ('{ROOM}', '{archived(1).id}', 1.0, '', '', '', '', '{ROMEO}', '')"
        )
        self.patch(migration, "REVISIONS", REVISIONS)
        self.store = openedStore(self.url)
        self.addCleanup(self.store.close)
        await self.store.open()
        ends = await self.store.archives.ends(ROOM)
        self.assertEqual((ends[0].sender, ends[0].disclosed), (ROMEO, False))

    async def test_opensAgain(self):
        """A store that was closed can be opened, by another object and by the same, and holds what it held."""
        await self.store.facts.put(ROMEO, "kind", "key", b"1")
        await self.store.close()
        other = openedStore(self.url)
        await other.open()
        self.assertEqual(await other.facts.get(ROMEO, "kind", "key"), b"1")
        await other.close()
        await self.store.open()
        self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), b"1")

    async def test_secondDaemon(self):
        """While one has the database open, another one can't, and is told why."""
        self.assertIn("in use by another xmppd", await self.refused())
        await self.store.facts.put(ROMEO, "kind", "key", b"1")

    async def test_newerSchema(self):
        """A database of a newer version is left alone."""
        await self.store.close()
        self.execute("UPDATE alembic_version SET version_num = '9999'")
        self.assertIn("newer version", await self.refused())
        self.execute(f"UPDATE alembic_version SET version_num = '{REVISIONS[-1]}'")
        await self.store.open()

    async def test_foreignTables(self):
        """A database of another program is left alone."""
        await self.store.close()
        self.execute("DROP TABLE alembic_version")
        self.assertIn("isn't xmppd's", await self.refused())

    async def test_opensOnce(self):
        """Opening what is open is a mistake, and does it no harm."""
        await self.assertFailure(self.store.open(), RuntimeError)
        await self.store.facts.put(ROMEO, "kind", "key", b"1")

    async def test_closed(self):
        """A closed store does nothing."""
        await self.store.close()
        for deferred in (self.store.facts.put(ROMEO, "a", "b", b""), self.store.accounts.get(ROMEO)):
            try:
                await deferred
            except StoreUnavailable:
                continue
            self.fail("StoreUnavailable expected")

    async def test_closeWritesWhatWaits(self):
        """What was accepted before closing is written."""
        answers = [self.store.spool.add([aMessage()]) for _ in range(2000)]
        closed = self.store.close()
        for answer in answers:
            await answer
        await closed
        await self.store.open()
        self.assertEqual(await self.store.spool.count(ROMEO), 2000)

    async def test_nothingRemains(self):
        """After an account was removed, its JID stands in no column of any table, and every table had been used."""
        for forget in (self.store.accounts.remove, self.store.forget):
            await self.nothingRemains(forget)
            await self.store.forget(JULIET)
            await self.store.forget(SERVICE)
            await self.store.forget(ROOM)

    async def nothingRemains(self, forget: Callable[[str], Deferred[None]]) -> None:
        """Fill, and let Romeo be forgotten."""
        for jid in (ROMEO, JULIET):
            await self.fillFirst(jid)
            await self.fillSecond(jid)
        self.assertEqual({name for name, row in self.rows() if ROMEO in repr(row)}, set(metadata.tables) - UNOWNED)
        await forget(ROMEO)
        self.assertEqual([(name, row) for name, row in self.rows() if ROMEO in repr(row)], [])
        self.assertEqual({name for name, row in self.rows() if JULIET in repr(row)}, set(metadata.tables) - UNOWNED)

    def rows(self) -> list[tuple[str, Any]]:
        """Every row of every table, with the table's name."""
        return [(name, row) for name in metadata.tables for row in self.select(f"SELECT * FROM {name}")]

    def select(self, statement: str) -> list[Any]:
        """The rows that a statement answers."""
        connection: Any = self.store._backend.connectReader()
        try:
            rows: list[Any] = connection.execute(statement).fetchall()
            return rows
        finally:
            connection.close()


class SQLiteSchemaTests(_Migrated, TestCase):
    """SQLite."""

    def makeURL(self) -> str:
        """A new file."""
        self.path = Path(self.mktemp())
        return f"sqlite:///{self.path}"

    def execute(self, statement: str) -> None:
        """By Python's module."""
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(statement)
        connection.close()

    async def test_modes(self):
        """Nobody else may read any of the files."""
        await self.store.facts.put(ROMEO, "kind", "key", b"1")
        files = list(self.path.parent.glob(self.path.name + "*"))
        self.assertEqual(len(files), 4)
        for path in files:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    async def test_modeIsTightened(self):
        """A file that others could read can't be read by them any more."""
        await self.store.close()
        os.chmod(self.path, 0o644)
        await self.store.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    async def test_noFolder(self):
        """A folder that isn't there is named."""
        self.url = f"sqlite:///{self.path}.d/x"
        self.assertIn("No such file or directory", await self.refused())

    async def test_noDatabase(self):
        """A file that is no database is left alone, and unlocked."""
        await self.store.close()
        self.path.write_bytes(b"Neither a borrower nor a lender be; " * 100)
        for _ in range(2):
            self.assertIn("not a database", await self.refused())

    async def test_durable(self):
        """Commits wait for the disk, and the log is written ahead."""
        connection: Any = self.store._backend.connectWriter()
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone(), (2,))
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    async def test_indexes(self):
        """No statement that runs often reads a whole table."""
        connection: Any = self.store._backend.connectReader()
        self.addCleanup(connection.close)
        store = self.store
        for statement in (
            store.accounts._sqlKeys,
            store.accounts._sqlList,
            store.accounts._sqlCount,
            store.rosters._sqlAll,
            store.rosters._sqlNewer,
            store.rosters._sqlRemoved,
            store.rosters._sqlRemovals,
            store.spool._sqlOffline,
            store.spool._sqlCount,
            store.spool._sqlHeld,
            store.spool._sqlRelease,
            store.spool._sqlRename,
            store.spool._sqlRemove,
            store.spool._sqlHold,
            store.spool._sqlInbound,
            store.facts._sqlGet,
            store.facts._sqlAll,
            store.facts._sqlKinds,
            store.facts._sqlOwners,
            *store._forgetting._sqlForget,
            *store._forgetting._sqlForgetAbout,
            store._forgetting._sqlForgetFacts,
            store.archives._sqlDisown,
            store.archives._sqlNextOwner,
            *store.archives._sqlPage.values(),
            *store.archives._sqlCounts.values(),
            store.archives._sqlNamed,
            store.archives._sqlCount,
            store.archives._sqlReplace,
            store.archives._sqlRemove,
            store.archives._sqlPrune,
            store.archives._sqlPruneOne,
            store.pubsub._sqlGet,
            store.pubsub._sqlNodes,
            store.pubsub._sqlUncreate,
            store.pubsub._sqlItems,
            store.pubsub._sqlItem,
            store.pubsub._sqlLast,
            store.pubsub._sqlBeyond,
            store.pubsub._sqlShrink,
            store.pubsub._sqlCountItems,
            store.pubsub._sqlItemsSize,
            store.pubsub._sqlAffiliations,
            store.pubsub._sqlAffiliationsOf,
            store.pubsub._sqlSubscriptions,
            store.pubsub._sqlSubscriptionsOf,
            *store.pubsub._sqlForgetEntity,
        ):
            names = dict.fromkeys(
                ("account", "hashName", "host", "after", "most", "owner", "recipient", "queue", "heir"), ""
            )
            names |= dict.fromkeys(("whose", "what", "which", "who", "subject", "pattern", "octets"), "")
            names |= dict.fromkeys(("peerDigest", "resource", "resourceDigest", "lower", "upper", "before"), "")
            names |= {
                "skip": 0,
                "wanted": '[["x"]]',
                "gone": "[[1]]",
                "queued": "[[1, 1]]",
                "taken": "[[1, 1]]",
            }
            plan = connection.execute("EXPLAIN QUERY PLAN " + statement, names).fetchall()
            details = [row[3] for row in plan if not re.search(r"json_each|SCAN (\(subquery|anon)", row[3])]
            self.assertFalse([each for each in details if each.startswith("SCAN")], statement)

    async def test_pagesNeedNoSorting(self):
        """A page of an archive is read from an index in its order, and counting reads an index alone."""
        connection: Any = self.store._backend.connectReader()
        self.addCleanup(connection.close)
        archives = self.store.archives
        names: dict[str, Any] = dict.fromkeys("whose lower upper peerDigest resource resourceDigest".split(), "")
        names |= {"most": 1, "skip": 0, "wanted": '[["x"]]'}

        def planOf(statement: str) -> str:
            return repr(connection.execute("EXPLAIN QUERY PLAN " + statement, names).fetchall())

        for (shape, _), statement in archives._sqlPage.items():
            if shape[2]:
                self.assertRegex(planOf(statement), r"owner=\? AND (peer_digest=\? AND )?id=\?")
            else:
                self.assertNotIn("TEMP B-TREE", planOf(statement))
        for shape, statement in archives._sqlCounts.items():
            if not shape[2]:
                self.assertIn("COVERING INDEX", planOf(statement))


class UnreachableTests(TestCase):
    """A PostgreSQL that isn't there."""

    skip = whySkip()

    async def test_unreachable(self):
        """The failure says what to look at, and no password."""
        store = openedStore(f"postgresql://user:sesame@/x?host={os.path.abspath(self.mktemp())}")
        error = await self.assertFailure(store.open(), StoreUnavailable)
        self.assertIn("is it running", str(error))
        self.assertNotIn("sesame", str(error))


class PostgreSQLSchemaTests(_Migrated, TestCase):
    """PostgreSQL."""

    skip = whySkip()

    def makeURL(self) -> str:
        """An empty database."""
        return emptyDatabase()

    def execute(self, statement: str) -> None:
        """By psycopg."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)
