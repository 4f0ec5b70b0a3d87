"""Tests of L{xmppd.store}."""
