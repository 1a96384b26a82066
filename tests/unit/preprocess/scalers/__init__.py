"""Tests of ``service.preprocess.scalers``."""
