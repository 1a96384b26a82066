"""Tests of ``service.teach``."""
