"""Signing in, accounts, the session of the web page, and public keys."""
