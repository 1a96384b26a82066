"""One module of the source at a time, without a network."""
