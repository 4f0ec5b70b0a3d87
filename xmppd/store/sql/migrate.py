"""
Bring a database to the schema of this version.

Alembic is imported only when there is something to migrate, since that takes longer than opening the database.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, select
from sqlalchemy import column as columnNamed
from sqlalchemy import table as tableNamed

from xmppd.ixmppd import StoreUnavailable
from xmppd.store.sql.schema import REVISIONS, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
"""Alembic's script folder."""


def revisionOf(connection: Connection) -> str | None:
    """
    The schema revision of a database, or None if it is empty.

    @raise StoreUnavailable: it holds tables by our names that no migration of ours made.
    """
    names = set(inspect(connection).get_table_names())
    if "alembic_version" in names:
        version = tableNamed("alembic_version", columnNamed("version_num"))
        revision: str | None = connection.execute(select(version.c.version_num)).scalar()
        return revision
    foreign = sorted(names & metadata.tables.keys())
    if foreign:
        raise StoreUnavailable(
            f"the database holds a table {foreign[0]!r} that isn't xmppd's; give xmppd a database of its own"
        )
    return None


def migrate(connection: Connection) -> None:
    """
    Upgrade the schema in the transaction of C{connection}. All or nothing.

    @raise StoreUnavailable: the database belongs to a newer version, or isn't ours.
    """
    revision = revisionOf(connection)
    if revision == REVISIONS[-1]:
        return
    if revision is not None and revision not in REVISIONS:
        raise StoreUnavailable(
            f"the database has schema {revision!r}, which this version of xmppd doesn't know (its own is "
            f"{REVISIONS[-1]!r}): it was written by a newer version; run that one, or restore a backup"
        )
    _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])
