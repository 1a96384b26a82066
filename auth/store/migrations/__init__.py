"""Alembic migrations of the store; ``auth/store/database.py`` applies them at a start."""
