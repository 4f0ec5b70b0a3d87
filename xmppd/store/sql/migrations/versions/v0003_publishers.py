"""
Items by their publisher, so that they can be told not to name an account that was removed.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index; nothing that is there is changed."""
    op.create_index("node_items_publisher", "node_items", ["publisher"])
