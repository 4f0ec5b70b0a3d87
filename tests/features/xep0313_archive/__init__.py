"""Tests of L{xmppd.features.xep0313_archive}."""
