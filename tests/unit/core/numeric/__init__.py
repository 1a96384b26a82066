"""Tests of ``service.core.numeric``."""
