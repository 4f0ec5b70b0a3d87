"""
What differs between SQLite and PostgreSQL: connecting, keeping others out, and a few turns of phrase in SQL.

Statements are written in SQLAlchemy's expression language, compiled to text once, when the store is made, and then
given to the driver's own cursor: the driver keeps them prepared, and no time goes into objects that nobody needs.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import IO, Any

from sqlalchemy import (
    ARRAY,
    URL,
    Compiled,
    Engine,
    Executable,
    FromClause,
    NullPool,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import ArgumentError

from xmppd.ixmppd import StoreUnavailable
from xmppd.store.sql.migrate import migrate
from xmppd.store.sql.threads import Connection, Source

ADVISORY_LOCK = 0x786D707064
"""The key of the PostgreSQL advisory lock that a daemon holds while it uses a database."""


class Backend:
    """
    One database. Everything but the constructor is called in the stores' threads, or only compiles text.
    """

    begin: str
    beginReading: str
    error: type[Exception]
    namedStyle: Any
    positionalStyle: Any

    def __init__(self, url: URL) -> None:
        self._url = url
        kind: Any = url.get_dialect()
        self.dialect: Dialect = kind(dbapi=kind.import_dbapi(), paramstyle=self.namedStyle)
        self._positional: Dialect = kind(paramstyle=self.positionalStyle)

    # --- SQL as text

    def text(self, statement: Executable) -> str:
        """
        The SQL of a statement, with parameters by name.

        @raise ValueError: a value hides in it which would become one more parameter.
        """
        compiled: Compiled = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        hidden = [name for name, value in (compiled.params or {}).items() if value is not None]
        if hidden:
            raise ValueError(f"{compiled}: write the values of {hidden} as literal columns")
        return str(compiled)

    def insert(self, table: Table) -> Any:
        """The dialect's own C{INSERT}, which knows about conflicts."""
        raise NotImplementedError

    def upsert(self, table: Table) -> str:
        """Add a row, or replace the one with the same primary key. Parameters by the columns' names."""
        insert = self.insert(table)
        key = list(table.primary_key)
        changed = {each.name: insert.excluded[each.name] for each in table.columns if each not in key}
        return self.text(insert.on_conflict_do_update(index_elements=key, set_=changed))

    def insertMany(self, table: Table, rows: int) -> str:
        """Add several rows by one statement. Parameters by position, in the order of the table's columns."""
        text = str(table.insert().compile(dialect=self._positional))
        head, values, group = text.partition("VALUES ")
        return head + values + ", ".join([group] * rows)

    def rows(self, name: str, columns: Mapping[str, Any]) -> FromClause:
        """A table of the rows in the parameter C{name}, whose value L{rowsOf} made; columns by name and type."""
        raise NotImplementedError

    def rowsOf(self, name: str, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        """The parameters for L{rows}."""
        raise NotImplementedError

    # --- connections

    def acquire(self) -> None:
        """
        Keep other daemons out, and migrate.

        @raise StoreUnavailable: another one is there, or the database can't be used.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Let others in."""

    def connectWriter(self) -> Connection:
        """A connection for writing."""
        raise NotImplementedError

    def connectReader(self) -> Connection:
        """A connection for reading."""
        raise NotImplementedError

    def unavailable(self, error: BaseException) -> bool:
        """Whether an error means that the database can't, rather than that one statement can't."""
        raise NotImplementedError

    def source(self, writing: bool, rolledBack: Callable[[], object] = lambda: None) -> Source:
        """What a thread needs."""
        return Source(
            self.connectWriter if writing else self.connectReader,
            self.begin if writing else self.beginReading,
            self.error,
            self.unavailable,
            rolledBack,
        )

    def _driverConnection(self, **more: Any) -> Any:
        arguments, named = self.dialect.create_connect_args(self._url)
        return self.dialect.connect(*arguments, **{**named, **more})

    def _migrate(self, connection: Any) -> None:
        """Migrate over a driver's connection, then close it."""
        engine: Engine = create_engine(self._url, creator=lambda: connection, poolclass=NullPool)
        event.listen(engine, "begin", lambda made: made.exec_driver_sql(self.begin))
        event.listen(engine, "commit", lambda made: connection.execute("COMMIT"))
        event.listen(engine, "rollback", lambda made: connection.execute("ROLLBACK"))
        with engine.begin() as made:
            migrate(made)


class SQLiteBackend(Backend):
    """
    A file. Write-ahead log, C{synchronous=FULL}: a commit is on the disk when it returns.

    A lock on C{FILE.lock} keeps other daemons out. SQLite's own locks wouldn't: they admit several processes in turn.
    """

    begin = "BEGIN IMMEDIATE"
    beginReading = "BEGIN"
    error = sqlite3.Error
    namedStyle = "named"
    positionalStyle = "qmark"

    # Results that blame the statement: SQLITE_ERROR, TOOBIG, CONSTRAINT, MISMATCH, MISUSE, RANGE.
    _STATEMENT = frozenset({1, 18, 19, 20, 21, 25})

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        if not url.database or url.database == ":memory:" or url.query:
            raise ValueError("an SQLite database is given as sqlite:///PATH; use MemoryStore for one in memory")
        self._path = url.database
        self._lock: IO[bytes] | None = None

    def insert(self, table: Table) -> Any:
        """SQLite's C{INSERT}."""
        return sqlite.insert(table)

    def rows(self, name: str, columns: Mapping[str, Any]) -> FromClause:
        """A JSON array of arrays, taken apart by C{json_each}."""
        each = func.json_each(bindparam(name)).table_valued("value")
        cells = [
            func.json_extract(each.c.value, literal_column(f"'$[{n}]'")).label(column)
            for n, column in enumerate(columns)
        ]
        return select(*cells).subquery()

    def rowsOf(self, name: str, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        """One parameter: a JSON array of arrays."""
        return {name: json.dumps(list(rows))}

    def acquire(self) -> None:
        """Lock, make the file with mode 0600 if there is none, migrate."""
        try:
            self._lock = self._locked()
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            os.chmod(self._path, 0o600)
        except OSError as error:
            self.release()
            raise StoreUnavailable(f"can't use the database {self._path}: {error.strerror}") from error
        try:
            self._prepare()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Unlock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def connectWriter(self) -> Connection:
        """A connection that commits to the disk."""
        connection: Connection = self._driverConnection(
            isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in (
            "busy_timeout=5000",
            "synchronous=FULL",
            "foreign_keys=ON",
            "journal_size_limit=67108864",
            # Pages that are written again and again, as those of archives are, reach the file once in so many pages.
            "wal_autocheckpoint=4000",
            "cache_size=-16384",
            # What is deleted is overwritten in pages that are written anyway; see "What is risked" in docs/guests.rst.
            "secure_delete=FAST",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def connectReader(self) -> Connection:
        """A connection that can't write."""
        connection = self.connectWriter()
        connection.execute("PRAGMA query_only=ON")
        return connection

    def unavailable(self, error: BaseException) -> bool:
        """Judged by SQLite's result code; errors without one come from the Python module and blame the statement."""
        code = getattr(error, "sqlite_errorcode", None)
        return isinstance(error, sqlite3.Error) and code is not None and code & 0xFF not in self._STATEMENT

    def _locked(self) -> IO[bytes]:
        lock = open(os.open(self._path + ".lock", os.O_CREAT | os.O_RDWR, 0o600), "wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise StoreUnavailable(
                f"the database {self._path} is in use by another xmppd; stop that one, or configure another data folder"
            ) from error
        return lock

    def _prepare(self) -> None:
        connection: Any = self.connectWriter()
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            self._migrate(connection)
        finally:
            connection.close()


class PostgreSQLBackend(Backend):
    """
    A PostgreSQL database, by psycopg.

    The writer's connection holds an advisory lock that keeps other daemons out; a new connection takes it again.
    """

    begin = "BEGIN"
    beginReading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    namedStyle = "pyformat"
    positionalStyle = "format"

    # A server that vanished without a word is noticed after about 20 seconds, in place of hours.
    _PATIENCE = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        try:
            import psycopg
        except ImportError as error:
            raise ValueError("PostgreSQL needs the package psycopg; install xmppd[postgresql]") from error
        self._psycopg = psycopg
        self.error = psycopg.Error

    def insert(self, table: Table) -> Any:
        """PostgreSQL's C{INSERT}."""
        return postgresql.insert(table)

    def rows(self, name: str, columns: Mapping[str, Any]) -> FromClause:
        """An array per column, taken apart by C{unnest}."""
        arrays = [bindparam(f"{name}{n}", type_=ARRAY(kind)) for n, kind in enumerate(columns.values())]
        return func.unnest(*arrays).table_valued(*columns).render_derived()

    def rowsOf(self, name: str, rows: Collection[Sequence[Any]]) -> dict[str, Any]:
        """A parameter per column: a list."""
        return {f"{name}{n}": list(column) for n, column in enumerate(zip(*rows, strict=True))}

    def acquire(self) -> None:
        """Check that others are out and that every text can be stored, then migrate."""
        try:
            connection: Any = self.connectWriter()
        except self._psycopg.OperationalError as error:
            raise StoreUnavailable(
                f"can't use the PostgreSQL database: {' '.join(str(error).split())}; is it running, and may this "
                "user connect to it?"
            ) from error
        try:
            encoding = connection.execute("SHOW server_encoding").fetchone()[0]
            if encoding != "UTF8":
                raise StoreUnavailable(
                    f"the database has the encoding {encoding}; make one with: createdb --encoding=UTF8 "
                    "--template=template0 NAME"
                )
            self._migrate(connection)
        finally:
            connection.close()

    def connectWriter(self) -> Connection:
        """A connection that holds the lock and waits for the disk."""
        connection: Any = self.connectReader()
        try:
            connection.execute("SET synchronous_commit = on")
            # The server may need a moment to notice that the last holder is dead.
            connection.execute("SET lock_timeout = '5s'")
            connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        except self._psycopg.errors.LockNotAvailable as error:
            connection.close()
            raise StoreUnavailable(
                "the PostgreSQL database is in use by another xmppd; stop that one, or configure another database"
            ) from error
        except BaseException:
            connection.close()
            raise
        result: Connection = connection
        return result

    def connectReader(self) -> Connection:
        """A plain connection."""
        patience = {key: value for key, value in self._PATIENCE.items() if key not in self._url.query}
        connection: Connection = self._driverConnection(autocommit=True, client_encoding="UTF8", **patience)
        # Every statement has an index that is read in order until there is enough. While statistics lag behind, the
        # planner would rather collect all rows of an archive and sort them, for each page.
        connection.execute("SET enable_bitmapscan = off")
        return connection

    def unavailable(self, error: BaseException) -> bool:
        """Lost connections, full disks, shutdowns; not "program limit exceeded" (class 54), which blames the data."""
        if not isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError):
            return False
        return not (error.sqlstate or "").startswith("54")


def backendFor(url: str) -> Backend:
    """
    The back end for a URL: C{sqlite:///PATH} or C{postgresql+psycopg://…}.

    @raise ValueError: the URL is none of these. The text doesn't show its password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("not the URL of a database; use sqlite:///PATH or postgresql://…") from error
    kinds: Sequence[tuple[str, type[Backend]]] = (("sqlite", SQLiteBackend), ("postgresql", PostgreSQLBackend))
    for name, kind in kinds:
        if parsed.get_backend_name() == name:
            if name == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            return kind(parsed)
    raise ValueError(f"no such database: {parsed.render_as_string()}; use sqlite:///PATH or postgresql://…")
