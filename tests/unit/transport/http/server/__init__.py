"""Tests of ``service.transport.http.server``."""
