"""Tests of L{xmppd.restrict}."""
