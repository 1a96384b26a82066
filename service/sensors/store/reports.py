"""Reports of the receiving process for the others: written while they are wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from auth.store.database import Database
from schemas.errors import NotReady
from schemas.sensors import SensorWindows
from service.coordination.wishes import WANTED_SECONDS, is_fresh, is_wanted
from service.sensors.live import SensorReport
from service.sensors.store.tables import SensorReportRow


class Wanted(NamedTuple):
    """Whether other processes want to know of a sensor."""

    report: bool
    windows: bool


class ReportStore:
    """Reports by sensor. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def write(self, reports: Mapping[str, SensorReport]) -> None:
        """Store reports; those of removed sensors are left out."""
        now = self._clock()
        for name, report in reports.items():
            await self._put(name, report=report.model_dump_json(), written=now)

    async def write_windows(self, sensor: str, windows: SensorWindows) -> None:
        """Store the last windows of a sensor, unless it was removed."""
        await self._put(sensor, windows=windows.model_dump_json())

    async def wanted(self) -> dict[str, Wanted]:
        """Return the sensors that other processes want to know of now."""
        row, now = SensorReportRow, self._clock()
        query = select(row.sensor, row.wanted_until, row.windows_wanted_until)
        query = query.where(or_(row.wanted_until > now, row.windows_wanted_until > now))
        async with self._database.read() as session:
            return {
                name: Wanted(is_wanted(until, now), is_wanted(windows_until, now))
                for name, until, windows_until in await session.execute(query)
            }

    async def of(self, sensors: Collection[str]) -> dict[str, SensorReport]:
        """Return the last reports of these sensors, and ask for fresh ones."""
        query = select(SensorReportRow.sensor, SensorReportRow.report, SensorReportRow.wanted_until)
        query = query.where(SensorReportRow.sensor.in_(sensors))
        found, fresh = {}, set()
        async with self._database.read() as session:
            for name, report, wanted_until in await session.execute(query):
                if report is not None:
                    found[name] = SensorReport.model_validate_json(report)
                if is_fresh(wanted_until, self._clock()):
                    fresh.add(name)
        with suppress(NotReady):  # on a full disk: reports stay as they are
            for name in set(sensors) - fresh:
                await self._put(name, wanted_until=self._clock() + WANTED_SECONDS)
        return found

    async def windows(self, sensor: str) -> SensorWindows | None:
        """Return the last windows of a sensor that were stored, and ask for fresh ones."""
        columns = SensorReportRow.windows, SensorReportRow.windows_wanted_until
        query = select(*columns).where(SensorReportRow.sensor == sensor)
        async with self._database.read() as session:
            row = (await session.execute(query)).first()
        if row is None or not is_fresh(row.windows_wanted_until, self._clock()):
            with suppress(NotReady):
                await self._put(sensor, windows_wanted_until=self._clock() + WANTED_SECONDS)
        if row is None or row.windows is None:
            return None
        return SensorWindows.model_validate_json(row.windows)

    async def _put(self, sensor: str, **values: object) -> None:
        query = self._database.insert(SensorReportRow).values(sensor=sensor, **values)
        query = query.on_conflict_do_update(index_elements=["sensor"], set_=values)
        try:
            async with self._database.write() as session:
                await session.execute(query)
        except IntegrityError:
            pass  # the sensor was removed
