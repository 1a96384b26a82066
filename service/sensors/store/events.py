"""Kept events of sensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


_NAMES = {"sensor": "text"}
_GET_STATES = """
SELECT sensors.name, sensors.state, sensors.since, sensors.is_silent FROM sensors
JOIN {rows} ON sensors.name = v.sensor ORDER BY sensors.name {lock}
"""
_STATES = {"sensor": "text", "state": "text", "since": "float8", "is_silent": "bool"}
_SET_STATES = """
UPDATE sensors SET state = v.state, since = v.since, is_silent = v.is_silent FROM {rows}
WHERE sensors.name = v.sensor
"""
_EVENTS = {
    "number": "int4",
    "sensor": "text",
    "at": "float8",
    "kind": "text",
    "state": "text",
    "previous": "text",
    "score": "float8",
    "model": "text",
    "version": "int4",
}
# Ids are in the order of the rows.
_ADD_EVENTS = """
INSERT INTO sensor_events (sensor, at, kind, state, previous, score, model, version)
SELECT v.sensor, v.at, v.kind, v.state, v.previous, v.score, v.model, v.version FROM {rows}
WHERE true ORDER BY v.number RETURNING id
"""


@dataclass(slots=True)
class _State:
    """The state of a sensor within a transaction."""

    state: str | None
    since: float | None
    is_silent: bool

    def take(self, change: Change) -> bool:
        """Change; return whether the state was the one before the change."""
        if change.kind == "state":
            if self.state != change.previous:
                return False
            self.state, self.since = change.state, change.at
            return True
        is_silent = change.kind == "silent"
        if self.is_silent is is_silent:
            return False
        self.is_silent = is_silent
        return True


class EventStore(KeptEventStore[SensorEvent]):
    """The kept events of sensors."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        super().__init__(database, _TABLES, retention, clock=clock)
        self._names = RowSource(database.dialect, _NAMES)
        self._states = RowSource(database.dialect, _STATES)
        self._rows = RowSource(database.dialect, _EVENTS)
        self._is_sqlite = database.dialect == "sqlite"

    def record_many(self, changes: Sequence[tuple[str, Change]]) -> Steps[list[SensorEvent | None]]:
        """Store changes and their events, a few statements for all: a part of a transaction.

        A thousand sensors that come back, or have their first state, change at once; and one that
        sends what it has kept for a day may change a thousand times.

        Args:
            changes: with the names of their sensors, in the order in which they happened.

        Returns:
            The events; see ``record_of`` for None.
        """
        if not changes:
            return []
        states = yield from self._locked_states(sorted({sensor for sensor, _ in changes}))
        is_kept = [
            (found := states.get(sensor)) is not None and found.take(change)
            for sensor, change in changes
        ]
        kept = [one for one, is_one_kept in zip(changes, is_kept, strict=True) if is_one_kept]
        changed = {sensor: states[sensor] for sensor, _ in kept}
        rows = [(name, one.state, one.since, one.is_silent) for name, one in changed.items()]
        yield from _run(self._states, _SET_STATES, rows)
        events = [_row(number, *one) for number, one in enumerate(kept)]
        added = yield from _run(self._rows, _ADD_EVENTS, events)
        numbers = iter(sorted(number for (number,) in added))
        return [
            _event(next(numbers), *one) if is_one_kept else None
            for one, is_one_kept in zip(changes, is_kept, strict=True)
        ]

    def _locked_states(self, sensors: Sequence[str]) -> Steps[dict[str, _State]]:
        """Return the states of sensors, which nothing else changes before the commit."""
        lock = ""
        if not self._is_sqlite:
            # Ids must be committed in their order: they are cursors. SQLite has one writer.
            yield Statement("SELECT pg_advisory_xact_lock($1)", (_TABLES.order_lock,))
            lock = "FOR UPDATE OF sensors"
        names = [(name,) for name in sensors]
        found = yield from _run(self._names, _GET_STATES, names, lock=lock)
        return {name: _State(state, since, bool(silent)) for name, state, since, silent in found}


def _run(
    source: RowSource, text: str, rows: Sequence[tuple[object, ...]], **more: str
) -> Steps[list[Sequence[Any]]]:
    """Run a statement on rows, in parts; return what it returns."""
    found: list[Sequence[Any]] = []
    for part, parameters, _ in source.parts(rows):
        done = yield Statement(text.format(rows=part, **more), parameters)
        found += done.rows
    return found


def _row(number: int, sensor: str, change: Change) -> tuple[object, ...]:
    return (
        number,
        sensor,
        change.at,
        change.kind,
        change.state,
        change.previous,
        change.score,
        change.model,
        change.version,
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
