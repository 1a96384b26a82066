"""Tests of the configuration in ``deploy/`` and its documentation."""
