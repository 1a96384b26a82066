"""Tests of ``service.preprocess``."""
