"""Rows of numbers: their form, tensors."""
