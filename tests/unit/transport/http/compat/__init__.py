"""Tests of ``service.transport.http.compat``."""
