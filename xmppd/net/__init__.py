"""The only room with a reactor in it."""
