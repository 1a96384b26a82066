"""Tests of ``service.core.text``."""
