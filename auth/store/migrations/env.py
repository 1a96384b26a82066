"""Alembic environment, run on a connection that ``auth/store/database.py`` opened."""

from __future__ import annotations

from alembic import context

from auth.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
