"""Tokens, issuers and accounts for tests."""
