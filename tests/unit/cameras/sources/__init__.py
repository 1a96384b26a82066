"""Tests of ``service.cameras.sources``."""
