"""Sensors by name: configuration and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

from sqlalchemy import Select, delete, select

from auth.store.direct_writes import Statement
from schemas.sensors import SensorSpec
from service.coordination.subjects import SubjectStore, TooMany
from service.sensors.records import Glance, StoredSensor
from service.sensors.store.tables import (
    SensorEpochRow,
    SensorEventRow,
    SensorResultRow,
    SensorRow,
)

MOST_SPECS = 4096
"""Parsed configurations that are kept: sensors are read again and again."""
_WITH_SEEN: Select[SensorRow, float | None] = select(SensorRow, SensorEpochRow.seen).outerjoin(
    SensorEpochRow, SensorEpochRow.sensor == SensorRow.name
)

_GLANCE = """
SELECT name, {} AS created, revision, is_paused, is_silent, sensors.seen AS seen,
    sensor_epochs.seen AS of_epoch, state, since
FROM sensors LEFT JOIN sensor_epochs ON sensor = name
"""
_GLANCED = (
    "name",
    "created",
    "revision",
    "is_paused",
    "is_silent",
    "seen",
    "of_epoch",
    "state",
    "since",
)


class SensorStore(SubjectStore):
    """Sensors by name. Every method raises ``NotReady`` if the database does not answer."""

    _subjects = SensorRow

    async def all(self) -> Sequence[StoredSensor]:
        """Return the sensors, ordered by name."""
        async with self._database.read() as session:
            rows = await session.execute(_WITH_SEEN.order_by(SensorRow.name))
            return [stored(row, seen) for row, seen in rows]

    async def some(self, names: Sequence[str]) -> Sequence[StoredSensor]:
        """Return those of these sensors that there are, ordered by name."""
        # Columns instead of objects: half the time.
        query = select(*SensorRow.__table__.columns, SensorEpochRow.seen.label("of_epoch"))
        query = query.outerjoin(SensorEpochRow, SensorEpochRow.sensor == SensorRow.name)
        query = query.where(SensorRow.name.in_(names)).order_by(SensorRow.name)
        async with self._database.read() as session:
            rows = await session.execute(query)
            return [stored(cast("SensorRow", row), row.of_epoch) for row in rows]

    async def get(self, name: str) -> StoredSensor | None:
        """Return the sensor with that name, or None."""
        async with self._database.read() as session:
            found = (await session.execute(_WITH_SEEN.where(SensorRow.name == name))).first()
        return None if found is None else stored(*found)

    async def glance(self) -> Sequence[Glance]:
        """Return the revision of every sensor: one query, which writes nothing."""
        exact = "printf('%!.17g', created)" if self._database.dialect == "sqlite" else "created"
        rows = await self._database.fetch(Statement(_GLANCE.format(exact)), _GLANCED)
        return [
            Glance(
                name,
                float(created),
                revision,
                bool(is_paused),
                bool(is_silent),
                later(seen, of_epoch),
                state,
                since,
            )
            for name, created, revision, is_paused, is_silent, seen, of_epoch, state, since in rows
        ]

    async def add(
        self, name: str, spec: SensorSpec, *, most: int, is_configured: bool = False
    ) -> StoredSensor:
        """Add a sensor.

        Args:
            most: number of sensors allowed.

        Raises:
            NameTaken: the name is taken.
            TooMany: there are ``most`` already.
        """
        added = StoredSensor(
            name, spec, is_paused=False, created=self._clock(), is_configured=is_configured
        )
        row = SensorRow(
            name=name, spec=_json(spec), is_configured=is_configured, created=added.created
        )
        await self._insert(row, most=most)
        return added

    async def change(self, name: str, spec: SensorSpec) -> bool:
        """Replace the configuration; return False if there is no such sensor."""
        return await self._update(name, spec=_json(spec))

    async def remove(self, name: str) -> bool:
        """Remove a sensor, its results and its events; return False if there is none."""
        async with self._database.write() as session:
            # The epoch first: its row waits for a commit of its windows.
            await session.execute(delete(SensorEpochRow).where(SensorEpochRow.sensor == name))
            query = delete(SensorRow).where(SensorRow.name == name).returning(SensorRow.name)
            is_removed = (await session.execute(query)).first() is not None
            for row in (SensorEventRow, SensorResultRow):
                await session.execute(delete(row).where(row.sensor == name))
        return is_removed

    async def configure(self, definitions: Mapping[str, SensorSpec], *, most: int) -> list[str]:
        """Make the sensors of the configuration what it says, in one transaction.

        A sensor of the same name that a caller added becomes one of the configuration; one that the
        configuration had and has no longer stays, as one that callers may change.

        Returns:
            Names of the sensors that were added or changed.

        Raises:
            TooMany: with those of callers there would be more than ``most``.
        """
        async with self._database.write() as session:
            rows = {row.name: row for row in await session.scalars(select(SensorRow))}
            if len(rows.keys() | definitions.keys()) > most:
                raise TooMany
            for name, row in rows.items():
                if row.is_configured and name not in definitions:
                    row.is_configured = False
            changed = []
            for name, spec in definitions.items():
                found = rows.get(name)
                if found is None:
                    insert = self._database.insert(SensorRow).values(
                        name=name, spec=_json(spec), is_configured=True, created=self._clock()
                    )
                    # Another process that starts at the same moment may have added it.
                    await session.execute(insert.on_conflict_do_nothing())
                    changed.append(name)
                elif _spec(found) != spec:
                    found.spec, found.is_configured = _json(spec), True
                    found.revision += 1
                    changed.append(name)
                elif not found.is_configured:
                    found.is_configured = True
        return changed


def _json(spec: SensorSpec) -> str:
    return spec.model_dump_json(exclude_defaults=True)


def _spec(row: SensorRow) -> SensorSpec:
    return _parsed(row.spec)


@lru_cache(MOST_SPECS)
def _parsed(spec: str) -> SensorSpec:
    return SensorSpec.model_validate_json(spec)


def stored(row: SensorRow, seen: float | None) -> StoredSensor:
    """Return the sensor of a row; ``seen`` is that of its epoch."""
    return StoredSensor(
        row.name,
        _spec(row),
        row.is_paused,
        row.created,
        row.revision,
        row.state,
        row.since,
        row.is_silent,
        later(row.seen, seen),
        row.is_configured,
    )


def later(one: float | None, other: float | None) -> float | None:
    """Return the later of two times that may be missing."""
    return other if one is None else one if other is None else max(one, other)
