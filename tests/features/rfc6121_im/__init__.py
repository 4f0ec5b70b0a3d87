"""Tests of L{xmppd.features.rfc6121_im}."""
