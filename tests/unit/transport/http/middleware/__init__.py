"""Tests of ``service.transport.http.middleware``."""
