"""Tests of ``service.core.series``."""
