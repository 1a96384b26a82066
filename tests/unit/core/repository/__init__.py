"""Tests of ``service.core.repository``."""
