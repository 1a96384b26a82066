"""Tests of ``service.core.engine``."""
