"""Tests of XEP-0484."""
