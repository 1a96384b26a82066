"""Unit tests of the maintainers' programs."""
