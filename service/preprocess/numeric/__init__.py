"""Rows of numbers: reading, scaling by statistics, windows, writing."""
