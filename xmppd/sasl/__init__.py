"""SASL mechanisms, server side, without I/O: one file each."""
