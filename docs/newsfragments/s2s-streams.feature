`xmppctl streams` shows streams between servers with pair, direction, TLS, mechanism and the proof that counts; as JSON with the whole verdict.
