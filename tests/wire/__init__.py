"""Tests of L{xmppd.wire}."""
