"""The life of a stream, without I/O."""
