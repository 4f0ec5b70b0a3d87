"""Whole conversations in memory: who sends what, who receives what."""
