"""Tests of L{xmppd.stream}."""
