"""Tokens, issuers and accounts, made by hand."""
