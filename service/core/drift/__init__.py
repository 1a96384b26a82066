"""Drift: whether the answers of a model are spread as those of its reference."""
