"""Tests of ``service.cameras``."""
