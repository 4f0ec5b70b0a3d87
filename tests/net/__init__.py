"""Tests of L{xmppd.net}."""
