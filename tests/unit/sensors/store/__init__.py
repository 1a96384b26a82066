"""Tests of the store of sensors."""
