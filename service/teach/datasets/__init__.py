"""Datasets of labelled photos: rows in the store, files named by their content."""
