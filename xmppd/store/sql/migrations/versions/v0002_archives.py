"""
Archives, nodes of publish-subscribe, and who has facts of a kind.

A migration is history and doesn't follow the schema module when that changes; hence the tables are spelled out again.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _column(name: str, kind: Any) -> "sa.Column[Any]":
    return sa.Column(name, kind, nullable=False, autoincrement=False)


def upgrade() -> None:
    """Add tables and an index; nothing that is there is changed."""
    op.create_index("facts_kind", "facts", ["kind", "owner"])
    _makeArchive()
    _makeNodes()
    _makeMembers()


def _makeArchive() -> None:
    op.create_table(
        "archive",
        _column("owner", _TEXT),
        _column("id", _TEXT),
        _column("stamp", sa.Double()),
        _column("peer", _TEXT),
        _column("peer_digest", sa.LargeBinary()),
        _column("resource", _TEXT),
        _column("resource_digest", sa.LargeBinary()),
        _column("sender", _TEXT),
        _column("stanza", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("owner", "id"),
    )
    op.create_index("archive_peer", "archive", ["owner", "peer_digest", "id", "resource_digest"])
    op.create_index("archive_stamp", "archive", ["stamp"])


def _makeNodes() -> None:
    op.create_table(
        "nodes",
        _column("owner", _TEXT),
        _column("node", _TEXT),
        _column("config", _TEXT),
        _column("creator", _TEXT),
        _column("created", sa.Double()),
        _column("size", _NUMBER),
        sa.PrimaryKeyConstraint("owner", "node"),
    )
    op.create_index("nodes_creator", "nodes", ["creator"])
    op.create_table(
        "node_items",
        _column("owner", _TEXT),
        _column("node", _TEXT),
        _column("digest", sa.LargeBinary()),
        _column("id", _TEXT),
        _column("position", _NUMBER),
        _column("publisher", _TEXT),
        _column("stamp", sa.Double()),
        _column("size", _NUMBER),
        _column("payload", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("owner", "node", "digest"),
    )
    op.create_index("node_items_position", "node_items", ["owner", "node", "position", "size"])


def _makeMembers() -> None:
    op.create_table(
        "node_affiliations",
        _column("owner", _TEXT),
        _column("node", _TEXT),
        _column("entity_digest", sa.LargeBinary()),
        _column("entity", _TEXT),
        _column("affiliation", _TEXT),
        sa.PrimaryKeyConstraint("owner", "node", "entity_digest"),
    )
    op.create_index("node_affiliations_entity", "node_affiliations", ["entity_digest", "owner"])
    op.create_table(
        "node_subscriptions",
        _column("owner", _TEXT),
        _column("node", _TEXT),
        _column("digest", sa.LargeBinary()),
        _column("entity_digest", sa.LargeBinary()),
        _column("jid", _TEXT),
        _column("subid", _TEXT),
        _column("state", _TEXT),
        _column("options", _TEXT),
        sa.PrimaryKeyConstraint("owner", "node", "digest"),
    )
    op.create_index("node_subscriptions_entity", "node_subscriptions", ["entity_digest", "owner"])
