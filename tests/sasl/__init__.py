"""Tests of L{xmppd.sasl}."""
