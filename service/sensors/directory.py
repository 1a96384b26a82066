"""Sensors as callers see them, whichever process receives their samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from schemas.sensors import Sensor, SensorAnswer, SensorStatus, SensorWindows
from service.sensors.live import LiveSensors, NoLiveSensors, SensorReport, drawn
from service.sensors.records import Glance, Mark, StoredSensor
from service.sensors.store.reports import ReportStore
from service.sensors.store.results import ResultStore
from service.sensors.store.sensors import SensorStore


class Directory:
    """All sensors. Its methods raise ``NotReady`` if the store does not answer."""

    def __init__(
        self,
        sensors: SensorStore,
        results: ResultStore,
        reports: ReportStore,
        live: LiveSensors | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``live``: the sensors that this process receives. ``clock``: seconds since the epoch."""
        self._sensors, self._results, self._reports = sensors, results, reports
        self._live = NoLiveSensors() if live is None else live
        self._clock = clock

    async def list(self) -> Sequence[Sensor]:
        """Return all sensors, by name."""
        return await self._shown(await self._sensors.all())

    async def some(self, names: Sequence[str]) -> Sequence[Sensor]:
        """Return those of these sensors that there are, by name."""
        return await self._shown(await self._sensors.some(names))

    async def marks(self) -> Mapping[str, Mark]:
        """Return a mark of every sensor, by name.

        It differs when configuration, state, status, fault, or the version of the model does; not
        with every window. None: another process receives the sensor.
        """
        return {one.name: self._mark(one) for one in await self._sensors.glance()}

    def _mark(self, one: Glance) -> Mark:
        live = self._live.glance(one.name)
        is_seen = one.seen is not None or (live is not None and live.is_seen)
        if live is None and is_seen and not (one.is_silent or one.is_paused):
            return None
        # The status follows from these: silence is noted by the process that receives it.
        stored = one.created, one.revision, one.is_paused, one.is_silent, one.state, one.since
        return *stored, is_seen, live

    async def get(self, name: str) -> Sensor | None:
        """Return one sensor, or None."""
        stored = await self._sensors.get(name)
        return None if stored is None else (await self._shown([stored]))[0]

    async def windows(self, name: str) -> SensorWindows:
        """Return the last windows of a sensor, which another process may receive."""
        recent = self._live.recent(name)
        if recent is not None:
            return drawn(recent)
        return await self._reports.windows(name) or SensorWindows(windows=[], gaps=[])

    async def _shown(self, sensors: Sequence[StoredSensor]) -> Sequence[Sensor]:
        own = {one.name: self._live.report(one.name) for one in sensors}
        # Other processes are asked about sensors that send, not about those that never did.
        asked = [
            one.name
            for one in sensors
            if own[one.name] is None and self._status(one) is SensorStatus.RECEIVING
        ]
        reports = await self._reports.of(asked) if asked else {}
        reports |= {name: report for name, report in own.items() if report is not None}
        bare = [name for name, one in own.items() if one is None or one.answer is None]
        answers = await self._results.newest_of(bare) if bare else {}
        return [self._one(stored, reports, answers) for stored in sensors]

    def _one(
        self,
        stored: StoredSensor,
        reports: Mapping[str, SensorReport],
        answers: Mapping[str, SensorAnswer],
    ) -> Sensor:
        report = reports.get(stored.name, SensorReport())
        values = dict(report)
        values["answer"] = answers.get(stored.name, report.answer)
        values["last_sample_at"] = report.last_sample_at or _moment(stored.seen)
        return Sensor(
            name=stored.name,
            spec=stored.spec,
            status=self._status(stored, report.last_sample_at),
            state=stored.state,
            since=_moment(stored.since),
            is_configured=stored.is_configured,
            **values,
        )

    def _status(self, stored: StoredSensor, last: datetime | None = None) -> SensorStatus:
        if stored.is_paused:
            return SensorStatus.PAUSED
        seen = stored.seen if last is None else max(last.timestamp(), stored.seen or 0.0)
        if seen is None:
            return SensorStatus.WAITING
        if self._clock() - seen > stored.spec.silent_after_seconds:
            return SensorStatus.SILENT
        return SensorStatus.RECEIVING


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
