"""Tests of ``schemas``."""
