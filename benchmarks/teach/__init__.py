"""Benchmarks of teaching."""
