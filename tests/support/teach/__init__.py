"""Support of tests of teaching."""
