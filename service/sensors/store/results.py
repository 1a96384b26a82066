"""Kept answers of sensors, bounded by age and number."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from sqlalchemy import Select, delete, func, select

from auth.store.database import Database
from auth.store.direct_writes import Statement
from schemas.sensors import SensorAnswer
from service.coordination.finishing import finish
from service.coordination.kept_events import Retention
from service.sensors.records import KeptAnswer
from service.sensors.store.tables import SensorResultRow

_AFTER = "SELECT id, sensor, at, answer FROM sensor_results WHERE id > {} ORDER BY id LIMIT {}"
PRUNE_ROWS = 1000
"""Rows that one transaction removes: a commit of windows may wait for it."""


class ResultStore:
    """The kept answers. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(
        self, database: Database, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._retention, self._clock = database, retention, clock

    async def after(
        self, cursor: int, limit: int, *, sensor: str
    ) -> tuple[list[SensorAnswer], int]:
        """Return answers of a sensor with an id above the cursor, oldest first.

        Returns:
            The answers, and the id of the last one: the next cursor.
        """
        query = select(SensorResultRow.id, SensorResultRow.answer)
        query = query.where(SensorResultRow.sensor == sensor, SensorResultRow.id > cursor)
        rows = await self._rows(query.order_by(SensorResultRow.id).limit(limit))
        return [_answer(text) for _, text in rows], rows[-1][0] if rows else cursor

    async def after_of_all(self, cursor: int, limit: int) -> list[KeptAnswer]:
        """Return answers of all sensors with an id above the cursor, oldest first."""
        marks = ("?", "?") if self._database.dialect == "sqlite" else ("$1", "$2")
        query = Statement(_AFTER.format(*marks), (cursor, limit))
        rows = await self._database.fetch(query, ("id", "sensor", "at", "answer"))
        return [
            KeptAnswer(number, sensor, datetime.fromtimestamp(at, UTC), text)
            for number, sensor, at, text in sorted(rows, key=itemgetter(0))
        ]

    async def newest_id(self) -> int:
        """Return the id of the newest answer; 0 before the first."""
        async with self._database.read() as session:
            return await session.scalar(select(func.max(SensorResultRow.id))) or 0

    async def last(self, limit: int, *, sensor: str) -> tuple[list[SensorAnswer], int]:
        """Return the newest answers of a sensor, oldest first, and the highest id."""
        query = select(SensorResultRow.id, SensorResultRow.answer)
        query = query.where(SensorResultRow.sensor == sensor)
        # In the order of the unique index, which is that of ids but for shared subscriptions.
        newest = SensorResultRow.epoch.desc(), SensorResultRow.first_sequence.desc()
        rows = await self._rows(query.order_by(*newest).limit(limit))
        return [_answer(text) for _, text in rows[::-1]], max((row[0] for row in rows), default=0)

    async def newest_of(self, sensors: Sequence[str]) -> dict[str, SensorAnswer]:
        """Return the newest answer of each of these sensors that has one."""
        ids = select(func.max(SensorResultRow.id)).where(SensorResultRow.sensor.in_(sensors))
        query = select(SensorResultRow.sensor, SensorResultRow.answer)
        query = query.where(SensorResultRow.id.in_(ids.group_by(SensorResultRow.sensor)))
        async with self._database.read() as session:
            return {name: _answer(text) for name, text in await session.execute(query)}

    async def prune(self) -> None:
        """Remove answers that are too old or too many, in several short transactions."""
        bound = await finish(self._bound())
        while await finish(self._prune_some(bound)):
            pass

    async def _prune_some(self, bound: int) -> bool:
        """Remove the oldest answers with ids below the bound; return whether there were any."""
        async with self._database.read() as session:
            lowest = await session.scalar(select(func.min(SensorResultRow.id)))
        if lowest is None or lowest >= bound:
            return False
        until = min(bound, lowest + PRUNE_ROWS)
        async with self._database.write() as session:
            await session.execute(delete(SensorResultRow).where(SensorResultRow.id < until))
        return True

    async def _bound(self) -> int:
        """Return the id of the oldest answer to keep."""
        async with self._database.read() as session:
            newest = await session.scalar(select(func.max(SensorResultRow.id))) or 0
            # Ids are in the order of time: the rows before the first fresh one are old.
            fresh = select(SensorResultRow.id)
            fresh = fresh.where(SensorResultRow.at >= self._clock() - self._retention.seconds)
            first = await session.scalar(fresh.order_by(SensorResultRow.id).limit(1))
        by_age = newest + 1 if first is None else first
        return max(by_age, newest + 1 - self._retention.count)

    async def _rows(self, query: Select[int, str]) -> Sequence[tuple[int, str]]:
        async with self._database.read() as session:
            return [(number, text) for number, text in await session.execute(query)]


def _answer(text: str) -> SensorAnswer:
    return SensorAnswer.model_validate_json(text)
