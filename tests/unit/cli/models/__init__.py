"""Tests of ``potoo models``."""
