"""Cameras and sensors by name: adding at most so many, pausing and changing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from auth.store.database import Database
from service.coordination.tables import SubjectColumns


class NameTaken(Exception):
    """There is a subject with this name."""


class TooMany(Exception):
    """There are as many subjects as the settings allow."""


class SubjectStore:
    """Subjects by name. Every method raises ``NotReady`` if the database does not answer."""

    _subjects: ClassVar[type[SubjectColumns]]

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def pause(self, name: str, *, is_paused: bool) -> bool:
        """Pause or resume a subject; return False if there is no such subject."""
        return await self._update(name, is_paused=is_paused)

    async def _insert(self, row: SubjectColumns, *, most: int) -> None:
        """Add a subject.

        Raises:
            NameTaken: there is one with this name.
            TooMany: there are ``most`` already.
        """
        try:
            async with self._database.write() as session:
                # Insert first: it waits for another writer of this name.
                session.add(row)
                await session.flush()
                count = await session.scalar(select(func.count()).select_from(self._subjects))
                if count is not None and count > most:
                    raise TooMany
        except IntegrityError as error:
            raise NameTaken from error

    async def _update(self, name: str, **values: object) -> bool:
        """Change columns; return False if there is no such subject."""
        subjects = self._subjects
        query = (
            update(subjects)
            .where(subjects.name == name)
            .values(**values, revision=subjects.revision + 1)
            .returning(subjects.name)
        )
        async with self._database.write() as session:
            return (await session.execute(query)).first() is not None
