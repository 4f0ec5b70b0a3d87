"""Tests of chat rooms."""
