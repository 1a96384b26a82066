"""Rows of datasets and photos, and the files of the photos."""
