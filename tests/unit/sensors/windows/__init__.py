"""Tests of windows of samples."""
