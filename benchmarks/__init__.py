"""Benchmarks of the server's cost, as ratios taken in one run: ``make bench``."""
