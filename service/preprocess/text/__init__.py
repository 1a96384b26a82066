"""Texts: padded tokens, and hashed vectors of n-grams. Pure."""
