"""Backups: one file with the database, the keys and, by choice, models, photos and events."""
