"""Kinds of input as models serve them: preprocessing, noise for checks, golden files, batches."""
