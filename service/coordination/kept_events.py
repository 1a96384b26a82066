"""Kept events: written in one transaction with the state, bounded by age and number."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, Never, Protocol, TypeVar

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth.store.database import Database
from schemas.errors import NotReady
from service.coordination.finishing import finish
from service.coordination.tables import EventColumns, SubjectColumns

Event = TypeVar("Event")

PRUNE_EVERY = 100
"""Events between two removals of the oldest ones."""
PRUNE_SECONDS = 3600.0
"""Interval of removals by age."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept: ``seconds``, and at most ``count`` of all of their kind."""

    seconds: float
    count: int


class Change(Protocol):
    """A change to be recorded."""

    @property
    def kind(self) -> Literal["state", "silent", "back"]:
        """Kind of the change: of the state, or of whether data arrives."""

    @property
    def at(self) -> float:
        """When it happened, in seconds since the epoch."""

    @property
    def state(self) -> str | None:
        """The state from now on."""

    @property
    def previous(self) -> str | None:
        """The state before it; for ``silent`` and ``back`` the state itself."""

    @property
    def score(self) -> float | None:
        """Score of the state's label."""

    @property
    def model(self) -> str | None:
        """Name of the model that gave the label."""

    @property
    def version(self) -> int | None:
        """Version of that model."""


@dataclass(frozen=True, slots=True)
class EventTables(Generic[Event]):
    """Where events of a kind of subject are kept.

    Attributes:
        subjects: the table of those that have a state, such as cameras.
        events: the table of their events.
        subject: the name of its column with the subject's name; also a member of ``event``.
        event: what a row becomes.
        order_lock: number of an advisory lock of PostgreSQL.
    """

    subjects: type[SubjectColumns]
    events: type[EventColumns]
    subject: str
    event: Callable[..., Event]
    order_lock: int

    @property
    def column(self) -> ColumnElement[str]:
        """The column of events with the subject's name."""
        column: ColumnElement[str] = getattr(self.events, self.subject)
        return column

    def read(self, row: EventColumns) -> Event:
        """Return the event of a row."""
        names = (self.subject, "id", "kind", "state", "previous", "score", "model", "version")
        values = {name: getattr(row, name) for name in names}
        return self.event(**values, at=datetime.fromtimestamp(row.at, UTC))


class KeptEventStore(Generic[Event]):
    """The kept events. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(
        self,
        database: Database,
        tables: EventTables[Event],
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._tables = database, tables
        self._retention, self._clock = retention, clock

    async def record_of(self, subject: str, change: Change) -> Event | None:
        """Store a change of a subject and its event, both or neither.

        Returns:
            The event; None if the subject was removed, or if its stored state is not the one before
            the change: another process has recorded it.
        """
        async with self._database.write() as session:
            row = await self.record_in(session, subject, change)
        if row is None:
            return None
        await self.prune_sometimes(row.id)
        return self._tables.read(row)

    async def record_in(
        self, session: AsyncSession, subject: str, change: Change
    ) -> EventColumns | None:
        """Store a change and its event within a transaction; see ``record_of``."""
        tables = self._tables
        stored = update(tables.subjects).where(tables.subjects.name == subject)
        if change.kind == "state":
            stored = stored.where(tables.subjects.state.is_not_distinct_from(change.previous))
            stored = stored.values(state=change.state, since=change.at)
        else:
            is_silent = change.kind == "silent"
            stored = stored.where(tables.subjects.is_silent.is_(not is_silent))
            stored = stored.values(is_silent=is_silent)
        if self._database.dialect == "postgresql":
            # Ids must be committed in their order: they are cursors. SQLite has one writer.
            lock = text("SELECT pg_advisory_xact_lock(:k)")
            await session.execute(lock, {"k": tables.order_lock})
        found = await session.execute(stored.returning(tables.subjects.name))
        if found.first() is None:
            return None
        row = tables.events(
            kind=change.kind,
            at=change.at,
            state=change.state,
            previous=change.previous,
            score=change.score,
            model=change.model,
            version=change.version,
            **{tables.subject: subject},
        )
        session.add(row)
        await session.flush()
        return row

    def read(self, row: EventColumns) -> Event:
        """Return the event of a row, such as one of ``record_in`` once it is committed."""
        return self._tables.read(row)

    async def after(
        self, cursor: int, limit: int, *, subject: str | None = None
    ) -> Sequence[Event]:
        """Return events with an id above the cursor, oldest first; of one subject, or of all."""
        events = self._tables.events
        query = select(events).where(events.id > cursor)
        if subject is not None:
            query = query.where(self._tables.column == subject)
        async with self._database.read() as session:
            rows = await session.scalars(query.order_by(events.id).limit(limit))
            return [self._tables.read(row) for row in rows]

    async def last(self, limit: int, *, subject: str) -> Sequence[Event]:
        """Return the newest events of a subject, oldest first."""
        query = select(self._tables.events).where(self._tables.column == subject)
        query = query.order_by(self._tables.events.id.desc()).limit(limit)
        async with self._database.read() as session:
            return [self._tables.read(row) for row in await session.scalars(query)][::-1]

    async def newest(self) -> int:
        """Return the id of the newest event; 0 before the first."""
        async with self._database.read() as session:
            return await session.scalar(select(func.max(self._tables.events.id))) or 0

    async def prune_sometimes(self, event: int, kept: int = 1) -> None:
        """Remove old events at some ids; call it after events were kept.

        Args:
            event: the highest id.
            kept: number of events.
        """
        if event % PRUNE_EVERY < kept:
            with contextlib.suppress(NotReady):  # the event is kept; old ones go later
                await self.prune()

    async def keep_bounded(self) -> Never:
        """Remove old events from time to time, until cancelled."""
        while True:
            with contextlib.suppress(NotReady):  # the database logs it
                await finish(self.prune())
            await asyncio.sleep(PRUNE_SECONDS)

    async def prune(self) -> None:
        """Remove events that are too old or too many; the newest one stays, for its id."""
        until, newest = self._clock() - self._retention.seconds, await self.newest()
        if not newest:
            return
        events = self._tables.events
        excess = events.id <= newest - self._retention.count
        gone = delete(events).where(events.id < newest)
        async with self._database.write() as session:
            await session.execute(gone.where(excess | (events.at < until)))
