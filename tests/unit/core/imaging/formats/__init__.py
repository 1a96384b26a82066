"""Tests of ``service.core.imaging.formats``."""
