"""Scalers: partial sums of rows, fitting, publication as models."""
