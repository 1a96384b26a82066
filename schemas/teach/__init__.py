"""Datasets, runs and verdicts of teaching."""
