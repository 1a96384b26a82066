"""Tests of ``service.transport.tcp``."""
