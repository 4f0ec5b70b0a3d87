The server's capabilities are a hash in the stream features (XEP-0115).
