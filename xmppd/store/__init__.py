"""Durable facts behind small interfaces."""
