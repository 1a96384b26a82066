"""Measures the hot path."""
