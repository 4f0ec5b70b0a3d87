"""Tests of L{xmppd.trust}."""
