"""Durable stores in SQLite or PostgreSQL."""
