"""
What rooms know of users: found when a user is forgotten; and whether a room's messages may show who said them.

A migration is history and doesn't follow the schema module when that changes; hence the indexes are spelled out again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and two indexes. Of what is archived already nobody knows any more who was visible to whom."""
    op.add_column("archive", sa.Column("disclosed", sa.Boolean(), nullable=False, server_default=sa.false()))
    somebodys = sa.text("sender <> ''")
    op.create_index("archive_sender", "archive", ["sender"], sqlite_where=somebodys, postgresql_where=somebodys)
    about = sa.text("kind IN ('room-affiliation', 'room-hats', 'room-registration')")
    op.create_index("facts_about", "facts", ["digest"], sqlite_where=about, postgresql_where=about)
