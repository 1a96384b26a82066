"""Choosing photos: the next most useful to label, and near-duplicates. Pure."""
