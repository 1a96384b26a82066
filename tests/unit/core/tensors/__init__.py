"""Tests of ``service.core.tensors``."""
