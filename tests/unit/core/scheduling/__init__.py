"""Tests of ``service.core.scheduling``."""
