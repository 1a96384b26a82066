"""Tests of ``service.preprocess.text``."""
