"""One module per specification; each declares itself."""
