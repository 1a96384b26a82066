"""Kept events of sensors."""

from __future__ import annotations

import time
from collections.abc import Callable

from auth.store.database import Database
from schemas.sensors import SensorEvent
from service.coordination.kept_events import EventTables, KeptEventStore, Retention
from service.sensors.store.tables import SensorEventRow, SensorRow

_TABLES = EventTables(
    subjects=SensorRow,
    events=SensorEventRow,
    subject="sensor",
    event=SensorEvent,
    order_lock=0x73656E73,  # arbitrary; unlikely to be taken by another program
)


class EventStore(KeptEventStore[SensorEvent]):
    """The kept events of sensors."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        super().__init__(database, _TABLES, retention, clock=clock)
