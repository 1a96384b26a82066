"""Tests of the intake of samples."""
