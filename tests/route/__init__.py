"""Tests of L{xmppd.route}."""
