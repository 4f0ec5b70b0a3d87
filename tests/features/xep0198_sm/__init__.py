"""Tests of L{xmppd.features.xep0198_sm}."""
