"""Makes a faster INT8 version of a model, and compares the two."""
