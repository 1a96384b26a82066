"""Sensors as callers see them: of this process, of another one, and of none."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import numpy as np
import pytest

from auth.store.database import Database
from schemas.sensors import SensorCounts, SensorFault, SensorGap, SensorStatus
from service.coordination.kept_events import Retention
from service.sensors.directory import Directory
from service.sensors.live import (
    MOST_WINDOWS,
    POINTS,
    LiveGlance,
    Recent,
    RecentWindow,
    SensorReport,
    drawn,
    extremes,
)
from service.sensors.records import Change
from service.sensors.reporting import Reporter
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from service.sensors.store.reports import ReportStore
from service.sensors.store.results import ResultStore
from tests.support.auth.identity_kit import Clock
from tests.support.sensors.answers import AT, EPOCH, MOST, SPEC, answer, claim, entry

pytestmark = pytest.mark.anyio
FOREVER = Retention(1e9, 10**6)
WINDOW = RecentWindow(EPOCH, 0, np.zeros((8, 3), np.float32), 0, None)
REPORT = SensorReport(
    answer=answer(8),
    last_sample_at=datetime.fromtimestamp(AT + 5, UTC),
    measured_rate=99.0,
    door="tcp",
    counts=SensorCounts(samples=16, windows=2),
)


class Live:
    """Implements ``LiveSensors`` with one sensor."""

    fault: SensorFault | None = None

    def names(self) -> Collection[str]:
        return ("pump",)

    def report(self, sensor: str) -> SensorReport | None:
        return REPORT if sensor == "pump" else None

    def glance(self, sensor: str) -> LiveGlance | None:
        found = LiveGlance(is_seen=True, fault=self.fault, model="loudest", version=1)
        return found if sensor == "pump" else None

    def recent(self, sensor: str) -> Recent | None:
        return Recent([WINDOW], []) if sensor == "pump" else None


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
async def store(database: Database, clock: Clock) -> ChannelStore:
    """One sensor that sent, and one that did not."""
    store = ChannelStore(database, EventStore(database, FOREVER), clock=clock)
    for name in ("pump", "yard"):
        await store.add(name, SPEC, most=MOST)
    await claim(store, "pump")
    await store.commit([entry("pump", [answer(0)])])
    return store


def directory(
    database: Database, store: ChannelStore, clock: Clock, live: Live | None = None
) -> Directory:
    reports = ReportStore(database, clock=clock)
    return Directory(store, ResultStore(database, FOREVER), reports, live, clock=clock)


async def test_sensor_of_this_process(
    database: Database, store: ChannelStore, clock: Clock
) -> None:
    here = directory(database, store, clock, Live())
    pump, yard = await here.list()
    assert (pump.answer, pump.measured_rate, pump.door) == (answer(8), 99.0, "tcp")
    assert (pump.status, yard.status) == (SensorStatus.RECEIVING, SensorStatus.WAITING)
    assert (yard.answer, yard.last_sample_at, yard.counts.samples) == (None, None, 0)
    assert await ReportStore(database, clock=clock).wanted() == {}, "no other process is asked"
    assert len((await here.windows("pump")).windows) == 1
    clock.advance(5 + SPEC.silent_after_seconds)
    (pump, _) = await here.list()
    assert pump.status is SensorStatus.RECEIVING
    clock.advance(1)
    (pump, _) = await here.list()
    assert pump.status is SensorStatus.SILENT
    await store.pause("pump", is_paused=True)
    (pump, _) = await here.list()
    assert pump.status is SensorStatus.PAUSED


async def test_mark_differs_when_a_sensor_has_changed(
    database: Database, store: ChannelStore, clock: Clock
) -> None:
    live = Live()
    here = directory(database, store, clock, live)
    seen = [await here.marks()]
    await store.commit([entry("pump", [answer(8)], seen=AT + 1)])
    assert await here.marks() == seen[0], "a window is no change"
    live.fault = SensorFault.GAP
    seen.append(await here.marks())
    change = Change("state", AT, "worn", None)
    await store.commit([entry("pump", changes=[change])])
    seen.append(await here.marks())
    await store.silence("pump", seen_before=AT + 9, at=AT + 9)
    seen.append(await here.marks())
    await store.pause("pump", is_paused=True)
    seen.append(await here.marks())
    assert len({marks["pump"] for marks in seen}) == 5
    assert len({marks["yard"] for marks in seen}) == 1


async def test_sensor_of_another_process_has_no_mark_while_it_sends(
    database: Database, store: ChannelStore, clock: Clock
) -> None:
    elsewhere = directory(database, store, clock)
    marks = await elsewhere.marks()
    assert marks["pump"] is None
    assert marks["yard"] is not None


async def test_some_sensors_are_shown(
    database: Database, store: ChannelStore, clock: Clock
) -> None:
    here = directory(database, store, clock, Live())
    assert [one.name for one in await here.some(["yard", "gone"])] == ["yard"]


async def test_sensor_of_another_process(
    database: Database, store: ChannelStore, clock: Clock
) -> None:
    elsewhere = directory(database, store, clock)
    pump = await elsewhere.get("pump")
    assert pump is not None
    assert (pump.answer, pump.measured_rate) == (answer(0), None), "what the store has"
    assert (await elsewhere.windows("pump")).windows == []
    await Reporter(Live(), ReportStore(database, clock=clock)).write()
    pump = await elsewhere.get("pump")
    assert pump is not None
    assert (pump.measured_rate, pump.counts) == (99.0, REPORT.counts)
    assert await elsewhere.windows("pump") == drawn(Recent([WINDOW], []))
    assert await elsewhere.get("gone") is None


def test_last_windows_and_gaps_are_shown() -> None:
    gap = SensorGap(epoch=EPOCH, first_sequence=8, missing=4)
    shown = drawn(Recent([WINDOW] * (MOST_WINDOWS + 1), [gap] * 30))
    assert (len(shown.windows), len(shown.gaps)) == (MOST_WINDOWS, 20)
    (first, *_) = shown.windows
    assert (first.epoch, first.first_sequence, first.length) == (EPOCH, 0, 8)


@pytest.mark.parametrize("length", [1, 8, POINTS, POINTS + 1, 1000])
def test_extremes_keep_every_peak(length: int) -> None:
    values = np.random.default_rng(0).normal(size=(length, 2)).astype(np.float32)
    low, high = extremes(values)
    for channel in range(2):
        assert len(low[channel]) == len(high[channel]) == min(length, POINTS)
        lowest, highest = np.nanmin(np.array(low[channel])), np.nanmax(np.array(high[channel]))
        assert lowest == pytest.approx(float(values[:, channel].min()), abs=1e-6)
        assert highest == pytest.approx(float(values[:, channel].max()), abs=1e-6)


def test_extremes_of_what_is_not_finite() -> None:
    values = np.array([[np.nan], [np.inf], [1.5]], np.float32)
    assert extremes(values) == ([[None, None, 1.5]], [[None, None, 1.5]])
    spread = np.full((2 * POINTS, 1), np.nan, np.float32)
    spread[1] = 2
    low, high = extremes(spread)
    assert (low[0][0], high[0][0], low[0][1]) == (2, 2, None)
