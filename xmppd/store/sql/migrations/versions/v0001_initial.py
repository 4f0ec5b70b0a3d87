"""
Accounts, rosters, the spool, sessions, facts.

A migration is history and doesn't follow the schema module when that changes; hence the tables are spelled out again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _column(name: str, kind: Any, null: bool = False) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=null, autoincrement=False)


def upgrade() -> None:
    """Make the first tables."""
    _makeAccounts()
    _makeRosters()
    _makeSpool()
    _makeFacts()


def _makeAccounts() -> None:
    op.create_table(
        "accounts",
        _column("jid", _TEXT),
        _column("domain", _TEXT),
        _column("created", sa.Double()),
        _column("disabled", sa.Boolean()),
        _column("last_activity", sa.Double(), null=True),
        _column("last_status", _TEXT),
        sa.PrimaryKeyConstraint("jid"),
    )
    op.create_index("accounts_domain", "accounts", ["domain", "jid"])
    op.create_table(
        "account_keys",
        _column("account", _TEXT),
        _column("hash", _TEXT),
        _column("salt", sa.LargeBinary()),
        _column("iterations", _NUMBER),
        _column("stored_key", sa.LargeBinary()),
        _column("server_key", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("account", "hash"),
        sa.ForeignKeyConstraint(["account"], ["accounts.jid"]),
    )


def _makeRosters() -> None:
    op.create_table(
        "rosters",
        _column("account", _TEXT),
        _column("version", _NUMBER),
        _column("forgotten", _NUMBER),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "roster_items",
        _column("account", _TEXT),
        _column("digest", sa.LargeBinary()),
        _column("jid", _TEXT),
        _column("name", _TEXT),
        _column("subscription", _TEXT),
        _column("ask", sa.Boolean()),
        _column("approved", sa.Boolean()),
        _column("groups", _TEXT),
        _column("pending_in", sa.LargeBinary(), null=True),
        _column("listed", sa.Boolean()),
        _column("version", _NUMBER),
        sa.PrimaryKeyConstraint("account", "digest"),
    )
    op.create_index("roster_items_version", "roster_items", ["account", "version"])
    op.create_table(
        "roster_removals",
        _column("account", _TEXT),
        _column("digest", sa.LargeBinary()),
        _column("jid", _TEXT),
        _column("version", _NUMBER),
        sa.PrimaryKeyConstraint("account", "digest"),
    )
    op.create_index("roster_removals_version", "roster_removals", ["account", "version"])


def _makeSpool() -> None:
    op.create_table(
        "spool",
        _column("id", _NUMBER),
        _column("account", _TEXT),
        _column("holder", _TEXT, null=True),
        _column("sequence", _NUMBER),
        _column("stamp", sa.Double()),
        _column("stanza", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("spool_account", "spool", ["account", "holder", "id"])
    held = sa.text("holder IS NOT NULL")
    op.create_index("spool_holder", "spool", ["holder"], sqlite_where=held, postgresql_where=held)
    op.create_table(
        "sessions",
        _column("token", _TEXT),
        _column("account", _TEXT),
        _column("jid", _TEXT),
        _column("inbound", _NUMBER),
        _column("outbound", _NUMBER),
        _column("expires", sa.Double()),
        _column("state", _TEXT),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_index("sessions_account", "sessions", ["account"])


def _makeFacts() -> None:
    op.create_table(
        "facts",
        _column("owner", _TEXT),
        _column("kind", _TEXT),
        _column("digest", sa.LargeBinary()),
        _column("key", _TEXT),
        _column("size", _NUMBER),
        _column("value", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("owner", "kind", "digest"),
    )
    op.create_table(
        "counters",
        _column("name", _TEXT),
        _column("value", _NUMBER),
        sa.PrimaryKeyConstraint("name"),
    )
