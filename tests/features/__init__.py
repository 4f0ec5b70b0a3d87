"""Tests of L{xmppd.features}."""
