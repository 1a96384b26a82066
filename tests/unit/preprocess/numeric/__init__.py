"""Tests of ``service.preprocess.numeric``."""
