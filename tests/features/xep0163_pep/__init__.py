"""Tests of L{xmppd.features.xep0163_pep}."""
