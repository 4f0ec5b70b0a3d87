Clients can keep private XML on the server, bounded by ``private_bytes`` (XEP-0049).
