"""Tests of ``service.modeltools.optimising``."""
