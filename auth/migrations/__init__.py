"""Alembic's migrations of the store; ``auth/database.py`` applies them when a server starts."""
