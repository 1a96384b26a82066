"""Samples on disk until the server has confirmed them."""
