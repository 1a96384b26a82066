"""Settings: sources, groups, secret files."""
