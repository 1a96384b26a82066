"""Trusted issuers: their keys and tokens."""
