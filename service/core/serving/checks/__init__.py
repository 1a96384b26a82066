"""Checks of a model before it is served."""
