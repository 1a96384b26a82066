"""Tests of ``service.modeltools.imagenet``."""
