"""Arithmetic of sums: joined, solved, judged. Pure NumPy."""
