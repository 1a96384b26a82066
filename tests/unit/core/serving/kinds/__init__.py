"""Models of each kind of input."""
