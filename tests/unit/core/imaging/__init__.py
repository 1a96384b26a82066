"""Tests of ``service.core.imaging``."""
