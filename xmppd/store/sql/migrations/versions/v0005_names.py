"""
What names look like (XEP-0165).

The table is filled when the server starts, since what names look like is more than SQL knows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table and its indexes."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "names",
        sa.Column("kind", text, nullable=False),
        sa.Column("space", text, nullable=False),
        sa.Column("name_digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", text, nullable=False),
        sa.Column("owner", text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "space", "name_digest", "digest"),
    )
    op.create_index("names_digest", "names", ["kind", "space", "digest"])
    op.create_index("names_owner", "names", ["owner"])
