"""
The tables, as SQLAlchemy describes them.

Rules that hold for all of them:

 - Texts compare by code point, in SQLite by nature and in PostgreSQL by the collation "C", so that the order of keys
   is the same everywhere.
 - A text that a stranger can make long (a contact's JID, a fact's key) is no part of an index, since PostgreSQL's
   index rows end at 2,704 octets; its SHA-256 digest is.
 - A bare JID is short enough for an index.
 - The column that says whom a row belongs to is marked by L{owner}. Forgetting an account deletes from every table
   that has such a column (L{ownedTables}); what belongs to nobody is listed in L{UNOWNED}.
 - A row may also be about somebody it doesn't belong to, as a subscription to another's node is. The column with that
   one's digest is marked by L{subject}, and forgetting deletes those rows too (L{subjectTables}). So it does with facts
   of the kinds in L{ABOUT}, whose key names that one.
 - What somebody said in a room stays in the room's archive when he is forgotten, but C{sender} is emptied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from xmppd.ixmppd import ABOUT

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every schema revision this version knows, oldest first. The last is the one it works with."""

metadata = MetaData()

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, primary: bool = False, null: bool = False) -> Column[str]:
    return Column(name, _TEXT, primary_key=primary, nullable=null)


def _number(name: str, primary: bool = False) -> Column[int]:
    return Column(name, _NUMBER, primary_key=primary, nullable=False, autoincrement=False)


def _bytes(name: str, primary: bool = False, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, primary_key=primary, nullable=null)


def owner(column: Column[str]) -> Column[str]:
    """Mark a column as the one that says, by bare JID, whom a row belongs to."""
    column.info["owner"] = True
    return column


def subject(column: Column[bytes]) -> Column[bytes]:
    """Mark a column as the one that says, by the L{digest} of a bare JID, whom a row is about."""
    column.info["subject"] = True
    return column


accounts = Table(
    "accounts",
    metadata,
    owner(_text("jid", primary=True)),
    _text("domain"),
    Column("created", Double, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("last_activity", Double),
    _text("last_status"),
    Index("accounts_domain", "domain", "jid"),
)

accountKeys = Table(
    "account_keys",
    metadata,
    owner(Column("account", _TEXT, ForeignKey("accounts.jid"), primary_key=True)),
    _text("hash", primary=True),
    _bytes("salt"),
    _number("iterations"),
    _bytes("stored_key"),
    _bytes("server_key"),
)

rosters = Table(
    "rosters",
    metadata,
    owner(_text("account", primary=True)),
    _number("version"),
    _number("forgotten"),
)

rosterItems = Table(
    "roster_items",
    metadata,
    owner(_text("account", primary=True)),
    _bytes("digest", primary=True),
    _text("jid"),
    _text("name"),
    _text("subscription"),
    Column("ask", Boolean, nullable=False),
    Column("approved", Boolean, nullable=False),
    _text("groups"),
    _bytes("pending_in", null=True),
    Column("listed", Boolean, nullable=False),
    _number("version"),
    Index("roster_items_version", "account", "version"),
)

rosterRemovals = Table(
    "roster_removals",
    metadata,
    owner(_text("account", primary=True)),
    _bytes("digest", primary=True),
    _text("jid"),
    _number("version"),
    Index("roster_removals_version", "account", "version"),
)

spool = Table(
    "spool",
    metadata,
    _number("id", primary=True),
    owner(_text("account")),
    _text("holder", null=True),
    _number("sequence"),
    Column("stamp", Double, nullable=False),
    _bytes("stanza"),
    Index("spool_account", "account", "holder", "id"),
)
Index(
    "spool_holder",
    spool.c.holder,
    sqlite_where=spool.c.holder.is_not(None),
    postgresql_where=spool.c.holder.is_not(None),
)

sessions = Table(
    "sessions",
    metadata,
    _text("token", primary=True),
    owner(_text("account")),
    _text("jid"),
    _number("inbound"),
    _number("outbound"),
    Column("expires", Double, nullable=False),
    _text("state"),
    Index("sessions_account", "account"),
)

facts = Table(
    "facts",
    metadata,
    owner(_text("owner", primary=True)),
    _text("kind", primary=True),
    _bytes("digest", primary=True),
    _text("key"),
    _number("size"),
    _bytes("value"),
    Index("facts_kind", "kind", "owner"),
)
isAbout = text("kind IN (" + ", ".join(f"'{kind}'" for kind in ABOUT) + ")")
"""Whether a fact is about the one that its key names."""

Index("facts_about", facts.c.digest, sqlite_where=isAbout, postgresql_where=isAbout)

archive = Table(
    "archive",
    metadata,
    owner(_text("owner", primary=True)),
    _text("id", primary=True),
    Column("stamp", Double, nullable=False),
    _text("peer"),
    _bytes("peer_digest"),
    _text("resource"),
    _bytes("resource_digest"),
    _text("sender"),
    _bytes("stanza"),
    Column("disclosed", Boolean, nullable=False, server_default=false()),
    Index("archive_peer", "owner", "peer_digest", "id", "resource_digest"),
    Index("archive_stamp", "stamp"),
)
isSomebodys = text("sender <> ''")
"""Whether a message names its sender: those in the archives of rooms do, as long as he is known."""

Index("archive_sender", archive.c.sender, sqlite_where=isSomebodys, postgresql_where=isSomebodys)

nodes = Table(
    "nodes",
    metadata,
    owner(_text("owner", primary=True)),
    _text("node", primary=True),
    _text("config"),
    _text("creator"),
    Column("created", Double, nullable=False),
    _number("size"),
    Index("nodes_creator", "creator"),
)

nodeItems = Table(
    "node_items",
    metadata,
    owner(_text("owner", primary=True)),
    _text("node", primary=True),
    _bytes("digest", primary=True),
    _text("id"),
    _number("position"),
    _text("publisher"),
    Column("stamp", Double, nullable=False),
    _number("size"),
    _bytes("payload"),
    Index("node_items_position", "owner", "node", "position", "size"),
    Index("node_items_publisher", "publisher"),
)

nodeAffiliations = Table(
    "node_affiliations",
    metadata,
    owner(_text("owner", primary=True)),
    _text("node", primary=True),
    subject(_bytes("entity_digest", primary=True)),
    _text("entity"),
    _text("affiliation"),
    Index("node_affiliations_entity", "entity_digest", "owner"),
)

nodeSubscriptions = Table(
    "node_subscriptions",
    metadata,
    owner(_text("owner", primary=True)),
    _text("node", primary=True),
    _bytes("digest", primary=True),
    subject(_bytes("entity_digest")),
    _text("jid"),
    _text("subid"),
    _text("state"),
    _text("options"),
    Index("node_subscriptions_entity", "entity_digest", "owner"),
)

names = Table(
    "names",
    metadata,
    _text("kind", primary=True),
    _text("space", primary=True),
    _bytes("name_digest", primary=True),
    _bytes("digest", primary=True),
    _text("name"),
    owner(_text("owner")),
    Index("names_digest", "kind", "space", "digest"),
    Index("names_owner", "owner"),
)

counters = Table("counters", metadata, _text("name", primary=True), _number("value"))

UNOWNED = frozenset({"counters"})
"""Tables whose rows belong to nobody and hold no JID."""

SPOOL_COUNTER = "spool"
"""Counter: spool ids up to this one may have been given out."""

ROSTER_COUNTER = "roster"
"""Counter: the highest version of any roster that was forgotten."""


def ownedTables() -> Iterator[tuple[Table, Column[str]]]:
    """Tables with their owner's column, in an order in which rows may be deleted."""
    for table in reversed(metadata.sorted_tables):
        for column in table.columns:
            if column.info.get("owner"):
                yield table, column


def subjectTables() -> Iterator[tuple[Table, Column[bytes]]]:
    """Tables with the column of the digest of whom their rows are about."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if column.info.get("subject"):
                yield table, column


def digest(text: str) -> bytes:
    """What stands for a text in an index."""
    return hashlib.sha256(text.encode("utf-8")).digest()
