What may wait for a guest that doesn't read, or is away, is bounded by waiting_bytes.
