"""Tests of ``service.core.serving``."""
