"""Kept events of sensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from auth.store.database import Database
from auth.store.direct_writes import Statement, Steps
from schemas.sensors import SensorEvent
from service.coordination.kept_events import EventTables, KeptEventStore, Retention
from service.sensors.records import Change
from service.sensors.store.many_rows import RowSource
from service.sensors.store.tables import SensorEventRow, SensorRow

_TABLES = EventTables(
    subjects=SensorRow,
    events=SensorEventRow,
    subject="sensor",
    event=SensorEvent,
    order_lock=0x73656E73,  # arbitrary; unlikely to be taken by another program
)


_CHANGES = {
    "sensor": "text",
    "at": "float8",
    "kind": "text",
    "state": "text",
    "previous": "text",
    "score": "float8",
    "model": "text",
    "version": "int4",
    "is_silent": "bool",
}
_SET_STATE = """
UPDATE sensors SET state = v.state, since = v.at FROM {rows}
WHERE sensors.name = v.sensor AND v.kind = 'state' AND sensors.state {equals} v.previous
RETURNING name
"""
_SET_SILENT = """
UPDATE sensors SET is_silent = v.is_silent FROM {rows}
WHERE sensors.name = v.sensor AND v.kind <> 'state' AND sensors.is_silent <> v.is_silent
RETURNING name
"""
_ADD_EVENTS = """
INSERT INTO sensor_events (sensor, at, kind, state, previous, score, model, version)
SELECT v.sensor, v.at, v.kind, v.state, v.previous, v.score, v.model, v.version FROM {rows}
RETURNING id, sensor
"""


class EventStore(KeptEventStore[SensorEvent]):
    """The kept events of sensors."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        super().__init__(database, _TABLES, retention, clock=clock)
        self._rows = RowSource(database.dialect, _CHANGES)
        self._is_sqlite = database.dialect == "sqlite"

    def record_many(self, changes: Sequence[tuple[str, Change]]) -> Steps[list[SensorEvent | None]]:
        """Store changes and their events, a few statements for all: a part of a transaction.

        A thousand sensors that come back, or have their first state, change at once.

        Args:
            changes: with the names of their sensors, in the order in which they happened.

        Returns:
            The events; see ``record_of`` for None.
        """
        found: list[SensorEvent | None] = [None] * len(changes)
        left = list(range(len(changes)))
        while left:  # the first change of each sensor, then the second ones
            turn: dict[str, int] = {}
            for number in left:
                turn.setdefault(changes[number][0], number)
            taken = set(turn.values())
            left = [number for number in left if number not in taken]
            numbers = yield from self._record_turn(turn, changes)
            for sensor, number in numbers.items():
                found[turn[sensor]] = _event(number, sensor, changes[turn[sensor]][1])
        return found

    def _record_turn(
        self, turn: dict[str, int], changes: Sequence[tuple[str, Change]]
    ) -> Steps[dict[str, int]]:
        """Store one change of each sensor; return the ids of the events."""
        if not self._is_sqlite:
            # Ids must be committed in their order: they are cursors. SQLite has one writer.
            yield Statement("SELECT pg_advisory_xact_lock($1)", (_TABLES.order_lock,))
        rows = {sensor: _row(sensor, changes[number][1]) for sensor, number in turn.items()}
        is_known = {row[2] == "state" for row in rows.values()}
        changed: set[str] = set()
        for text, is_state in ((_SET_STATE, True), (_SET_SILENT, False)):
            if is_state in is_known:
                found = yield from self._run(text, rows.values())
                changed.update(name for (name,) in found)
        kept = [row for sensor, row in rows.items() if sensor in changed]
        added = yield from self._run(_ADD_EVENTS, kept)
        return {sensor: number for number, sensor in added}

    def _run(self, text: str, rows: Iterable[tuple[object, ...]]) -> Steps[list[Sequence[Any]]]:
        found: list[Sequence[Any]] = []
        equals = "IS" if self._is_sqlite else "IS NOT DISTINCT FROM"
        for part, parameters, _ in self._rows.parts(list(rows)):
            done = yield Statement(text.format(rows=part, equals=equals), parameters)
            found += done.rows
        return found


def _row(sensor: str, change: Change) -> tuple[object, ...]:
    return (
        sensor,
        change.at,
        change.kind,
        change.state,
        change.previous,
        change.score,
        change.model,
        change.version,
        change.kind == "silent",
    )


def _event(number: int, sensor: str, change: Change) -> SensorEvent:
    return SensorEvent(
        id=number,
        sensor=sensor,
        at=datetime.fromtimestamp(change.at, UTC),
        kind=change.kind,
        state=change.state,
        previous=change.previous,
        score=change.score,
        model=change.model,
        version=change.version,
    )
