"""Tests of ``service.sensors``."""
