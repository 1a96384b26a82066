"""Accounts, keys, access tokens."""
