"""Kept events of cameras: written in one transaction with the state, bounded by age and number."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, func, select, text, update

from auth.store.database import Database
from schemas.cameras import CameraEvent
from schemas.errors import NotReady
from service.cameras.store.tables import CameraEventRow, CameraRow

PRUNE_EVERY = 100
"""Events between two removals of the oldest ones."""
_ORDER_LOCK = 0x63616D73  # arbitrary; unlikely to be taken by another program


@dataclass(frozen=True, slots=True)
class Retention:
    """How long events are kept: ``seconds``, and at most ``count`` of all cameras."""

    seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change to be recorded.

    Attributes:
        at: when it happened, in seconds since the epoch.
        previous: the state before it; for ``silent`` and ``back`` the state itself.
    """

    camera: str
    kind: Literal["state", "silent", "back"]
    at: float
    state: str | None
    previous: str | None
    score: float | None = None
    model: str | None = None
    version: int | None = None


class EventStore:
    """The kept events. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._retention, self._clock = database, retention, clock

    async def record(self, change: Change) -> CameraEvent | None:
        """Store a change of a camera and its event, both or neither.

        Returns:
            The event; None if the camera was removed, or if its stored state is not the one before
            the change: another process has recorded it.
        """
        camera = update(CameraRow).where(CameraRow.name == change.camera)
        if change.kind == "state":
            camera = camera.where(CameraRow.state.is_not_distinct_from(change.previous))
            camera = camera.values(state=change.state, since=change.at)
        else:
            is_silent = change.kind == "silent"
            camera = camera.where(CameraRow.is_silent.is_(not is_silent))
            camera = camera.values(is_silent=is_silent)
        row = CameraEventRow(
            camera=change.camera,
            kind=change.kind,
            at=change.at,
            state=change.state,
            previous=change.previous,
            score=change.score,
            model=change.model,
            version=change.version,
        )
        async with self._database.write() as session:
            if self._database.dialect == "postgresql":
                # Ids must be committed in their order: they are cursors. SQLite has one writer.
                await session.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": _ORDER_LOCK})
            found = await session.execute(camera.returning(CameraRow.name))
            if found.first() is None:
                return None
            session.add(row)
            await session.flush()
        if row.id % PRUNE_EVERY == 0:
            with contextlib.suppress(NotReady):  # the event is kept; old ones go later
                await self.prune()
        return _event(row)

    async def after(
        self, cursor: int, limit: int, *, camera: str | None = None
    ) -> Sequence[CameraEvent]:
        """Return events with an id above the cursor, oldest first; of one camera, or of all."""
        query = select(CameraEventRow).where(CameraEventRow.id > cursor)
        if camera is not None:
            query = query.where(CameraEventRow.camera == camera)
        query = query.order_by(CameraEventRow.id).limit(limit)
        async with self._database.read() as session:
            return [_event(row) for row in await session.scalars(query)]

    async def last(self, limit: int, *, camera: str) -> Sequence[CameraEvent]:
        """Return the newest events of a camera, oldest first."""
        query = select(CameraEventRow).where(CameraEventRow.camera == camera)
        query = query.order_by(CameraEventRow.id.desc()).limit(limit)
        async with self._database.read() as session:
            return [_event(row) for row in await session.scalars(query)][::-1]

    async def newest(self) -> int:
        """Return the id of the newest event; 0 before the first."""
        async with self._database.read() as session:
            return await session.scalar(select(func.max(CameraEventRow.id))) or 0

    async def prune(self) -> None:
        """Remove events that are too old or too many; the newest one stays, for its id."""
        until, newest = self._clock() - self._retention.seconds, await self.newest()
        if not newest:
            return
        excess = CameraEventRow.id <= newest - self._retention.count
        gone = delete(CameraEventRow).where(CameraEventRow.id < newest)
        async with self._database.write() as session:
            await session.execute(gone.where(excess | (CameraEventRow.at < until)))


def _event(row: CameraEventRow) -> CameraEvent:
    values: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("id", "camera", "kind", "state", "previous", "score", "model", "version")
    }
    return CameraEvent(**values, at=datetime.fromtimestamp(row.at, UTC))
