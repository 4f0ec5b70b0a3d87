"""Alembic migrations, run by L{xmppd.store.sql.migrate}."""
