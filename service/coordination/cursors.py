"""Cursors of outputs in the store."""

from __future__ import annotations

from auth.store.database import Database
from service.coordination.ports import OutputCursor
from service.coordination.tables import OutputCursorRow


class CursorStore:
    """Cursors by the name of their output. Implements the port ``Cursors``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, name: str) -> OutputCursor | None:
        """Return the cursor; None if the output has none yet."""
        async with self._database.read() as session:
            row = await session.get(OutputCursorRow, name)
        if row is None:
            return None
        return OutputCursor(row.event, row.attempts, row.next_attempt, row.dead)

    async def save(self, name: str, cursor: OutputCursor) -> None:
        """Store the cursor."""
        values = {
            "event": cursor.event,
            "attempts": cursor.attempts,
            "next_attempt": cursor.next_attempt,
            "dead": cursor.dead,
        }
        query = self._database.insert(OutputCursorRow).values(name=name, **values)
        query = query.on_conflict_do_update(index_elements=["name"], set_=values)
        async with self._database.write() as session:
            await session.execute(query)
