"""Tests of ``service.transport.http.v2``."""
