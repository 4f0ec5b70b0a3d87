"""Where stanzas go: sessions, router, delivery rules."""
