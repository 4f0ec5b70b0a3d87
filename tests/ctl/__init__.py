"""Tests of L{xmppd.ctl}."""
