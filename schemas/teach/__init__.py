"""Datasets, verdicts and runs of teaching."""
