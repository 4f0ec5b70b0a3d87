"""Real sockets, real TLS, real peers."""
