"""One file per attack: what is sent, and what must happen."""
