"""Definitions, results and reports of sensors in the store, on both databases."""

from __future__ import annotations

import pytest

from auth.store.database import Database
from schemas.sensors import SensorCounts, SensorWindows
from service.coordination.kept_events import Retention
from service.coordination.subjects import NameTaken, TooMany
from service.coordination.wishes import WANTED_SECONDS
from service.sensors.live import SensorReport
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from service.sensors.store.pruning import Pruner
from service.sensors.store.reports import ReportStore
from service.sensors.store.results import ResultStore
from service.sensors.store.sensors import SensorStore
from tests.support.auth.identity_kit import Clock
from tests.support.sensors.answers import AT, MOST, SPEC, answer, claim, entry

pytestmark = [pytest.mark.anyio, pytest.mark.sql]
OTHER = SPEC.model_copy(update={"rate": 50.0})


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
def sensors(database: Database, clock: Clock) -> SensorStore:
    return SensorStore(database, clock=clock)


async def test_added_sensor_is_read_back(sensors: SensorStore, clock: Clock) -> None:
    added = await sensors.add("pump", SPEC, most=1)
    assert await sensors.get("pump") == added
    assert list(await sensors.all()) == [added]
    assert (added.spec, added.created, added.is_configured) == (SPEC, clock(), False)
    assert await sensors.get("yard") is None


async def test_glance_has_the_exact_time_of_creation(database: Database) -> None:
    """Another time would mean another sensor of that name, which is read again at every look."""
    sensors = SensorStore(database, clock=Clock(1_764_546_576.1234567))
    await sensors.add("pump", SPEC, most=2)
    await sensors.add("yard", SPEC, most=2)
    created = {one.name: one.created for one in await sensors.all()}
    assert {one.name: one.created for one in await sensors.glance()} == created


async def test_name_is_unique_and_number_is_bounded(sensors: SensorStore) -> None:
    await sensors.add("pump", SPEC, most=1)
    with pytest.raises(NameTaken):
        await sensors.add("pump", SPEC, most=1)
    with pytest.raises(TooMany):
        await sensors.add("yard", SPEC, most=1)
    assert [one.name for one in await sensors.all()] == ["pump"]


async def test_every_change_raises_the_revision(sensors: SensorStore) -> None:
    await sensors.add("pump", SPEC, most=1)
    assert await sensors.change("pump", OTHER)
    assert await sensors.pause("pump", is_paused=True)
    (glance,) = await sensors.glance()
    assert (glance.revision, glance.is_paused, glance.seen) == (3, True, None)
    for done in (
        await sensors.change("yard", SPEC),
        await sensors.pause("yard", is_paused=True),
        await sensors.remove("yard"),
    ):
        assert not done


async def test_sensors_of_the_configuration_follow_it(sensors: SensorStore) -> None:
    await sensors.add("pump", SPEC, most=2)
    assert await sensors.configure({"pump": OTHER, "yard": SPEC}, most=2) == ["pump", "yard"]
    pump, yard = await sensors.all()
    assert (pump.spec, pump.revision, pump.is_configured) == (OTHER, 2, True)
    assert (yard.spec, yard.revision, yard.is_configured) == (SPEC, 1, True)
    assert await sensors.configure({"pump": OTHER, "yard": SPEC}, most=2) == [], "it is the same"
    assert await sensors.configure({"yard": SPEC}, most=2) == []
    pump, yard = await sensors.all()
    assert (pump.is_configured, yard.is_configured) == (False, True)
    with pytest.raises(TooMany):
        await sensors.configure({"shed": SPEC}, most=2)


async def store_results(database: Database, clock: Clock, number: int) -> None:
    events = EventStore(database, Retention(1e6, 1000), clock=clock)
    store = ChannelStore(database, events, clock=clock)
    for name in ("pump", "yard"):
        if await store.get(name) is None:
            await store.add(name, SPEC, most=MOST)
        safe = (await claim(store, name, now=clock())).safe
        answers = [answer(safe + 8 * count, at=clock()) for count in range(number)]
        await store.commit([entry(name, answers)])


async def test_results_of_one_sensor(database: Database, clock: Clock) -> None:
    results = ResultStore(database, Retention(1e6, 1000), clock=clock)
    await store_results(database, clock, 3)
    pump = [answer(0), answer(8), answer(16)]
    found, cursor = await results.last(2, sensor="pump")
    assert found == pump[1:]
    assert await results.after(cursor, 10, sensor="pump") == ([], cursor)
    first, cursor = await results.after(0, 2, sensor="pump")
    assert first == pump[:2]
    assert (await results.after(cursor, 2, sensor="pump"))[0] == pump[2:]
    assert await results.newest_of(["pump", "shed"]) == {"pump": pump[2]}


async def test_results_are_bounded_by_number_and_age(database: Database, clock: Clock) -> None:
    results = ResultStore(database, Retention(60, 4), clock=clock)
    await store_results(database, clock, 3)
    await results.prune()
    assert len((await results.last(10, sensor="pump"))[0]) == 1
    assert len((await results.last(10, sensor="yard"))[0]) == 3
    clock.advance(61)
    await store_results(database, clock, 1)
    await results.prune()
    for name in ("pump", "yard"):
        (kept,), _ = await results.last(10, sensor=name)
        assert kept.first_sequence == 24
    clock.advance(61)
    await results.prune()
    assert await results.last(10, sensor="pump") == ([], 0)
    await results.prune()


async def test_reports_are_written_while_they_are_wanted(
    database: Database, sensors: SensorStore, clock: Clock
) -> None:
    reports = ReportStore(database, clock=clock)
    await sensors.add("pump", SPEC, most=1)
    assert await reports.of(["pump", "gone"]) == {}
    assert await reports.wanted() == {"pump": (True, False)}
    assert await reports.windows("pump") is None
    assert await reports.wanted() == {"pump": (True, True)}
    report = SensorReport(counts=SensorCounts(samples=7), measured_rate=99.5)
    await reports.write({"pump": report, "gone": report})
    windows = SensorWindows(windows=[], gaps=[])
    await reports.write_windows("pump", windows)
    assert await reports.of(["pump"]) == {"pump": report}
    assert await reports.windows("pump") == windows
    clock.advance(WANTED_SECONDS + 1)
    assert await reports.wanted() == {}


async def test_answers_beyond_the_limit_are_removed_soon(database: Database) -> None:
    pruner = Pruner(ResultStore(database, Retention(1e6, 1000)), 1000)
    pruner.note(49)
    assert not pruner.is_due
    pruner.note(1)
    assert pruner.is_due
