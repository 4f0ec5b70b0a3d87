"""Bytes and values: XML streams, stanzas, JIDs. No Twisted, no zope, no clock."""
