"""Unit tests of what is in deploy/."""
