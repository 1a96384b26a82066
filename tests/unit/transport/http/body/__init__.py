"""Tests of ``service.transport.http.body``."""
