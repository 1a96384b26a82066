"""Tests of ``service.modeltools.sources``."""
