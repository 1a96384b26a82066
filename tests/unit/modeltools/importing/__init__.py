"""Tests of ``service.modeltools.importing``."""
