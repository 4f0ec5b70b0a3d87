"""Tests of L{xmppd.features.xep0060_pubsub}."""
