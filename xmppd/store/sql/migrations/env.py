"""
What Alembic runs to migrate.

The connection comes from L{xmppd.store.sql.migrate}, already in a transaction; nothing here reads a configuration file.
"""

from alembic import context

from xmppd.store.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
