"""The database of accounts, sessions and revocations, and its migrations."""
