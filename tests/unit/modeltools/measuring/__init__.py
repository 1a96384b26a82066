"""Tests of ``service.modeltools.measuring``."""
