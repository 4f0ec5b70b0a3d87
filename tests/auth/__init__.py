"""Tests of L{xmppd.auth}."""
