"""Tests of the configuration in ``deploy/``, and of what is written about it."""
