"""Kept events of cameras."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from auth.store.database import Database
from schemas.cameras import CameraEvent
from service.cameras.store.tables import CameraEventRow, CameraRow
from service.coordination.kept_events import EventTables, KeptEventStore, Retention

_TABLES = EventTables(
    subjects=CameraRow,
    events=CameraEventRow,
    subject="camera",
    event=CameraEvent,
    order_lock=0x63616D73,  # arbitrary; unlikely to be taken by another program
)


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


class EventStore(KeptEventStore[CameraEvent]):
    """The kept events of cameras."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        super().__init__(database, _TABLES, retention, clock=clock)

    async def record(self, change: Change) -> CameraEvent | None:
        """Store a change; see ``record_of``."""
        return await self.record_of(change.camera, change)
