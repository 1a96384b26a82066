"""Heads: linear maps from a base's features to labels, fitted in milliseconds. Pure NumPy."""
