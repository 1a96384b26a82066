"""Claims and changes of many sensors at once, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from auth.store.database import Database
from schemas.errors import NotFound
from schemas.sensors import SensorFault
from service.coordination.kept_events import Retention
from service.sensors.records import Change, ClaimedEpoch, EpochRefused, Fate
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from tests.support.auth.identity_kit import Clock
from tests.support.sensors.answers import AT, EPOCH, MOST, SPEC, answer, claim, entry

pytestmark = [pytest.mark.anyio, pytest.mark.sql]
NAMES = [f"pump-{number}" for number in range(20)]


@pytest.fixture
async def store(database: Database) -> ChannelStore:
    clock = Clock(AT)
    events = EventStore(database, Retention(1e6, 1000), clock=clock)
    store = ChannelStore(database, events, clock=clock)
    for name in NAMES:
        await store.add(name, SPEC, most=MOST)
    return store


async def test_claims_at_once_have_each_its_own_result(store: ChannelStore) -> None:
    await claim(store, NAMES[1], owner="before", epoch=EPOCH + 1)
    found = await asyncio.gather(
        *(claim(store, name) for name in [*NAMES, "unknown"]), return_exceptions=True
    )
    assert isinstance(found[1], EpochRefused)
    assert found[1].fault is SensorFault.IN_USE
    assert isinstance(found[-1], NotFound)
    claimed = [one for one in found if isinstance(one, ClaimedEpoch)]
    assert [one.sensor.name for one in claimed] == [NAMES[0], *NAMES[2:]]
    assert {one.epoch for one in claimed} == {EPOCH}


async def test_of_two_claims_at_once_the_later_one_keeps_the_epoch(store: ChannelStore) -> None:
    await asyncio.gather(*(claim(store, NAMES[0], owner=owner) for owner in ("one", "two")))
    outcomes = [
        (await store.commit([entry(NAMES[0], [answer(0)], owner=owner)]))[0]
        for owner in ("one", "two")
    ]
    assert [outcome.fate for outcome in outcomes] == [Fate.LOST, Fate.COMMITTED]


async def test_changes_of_many_sensors_become_events_in_order(store: ChannelStore) -> None:
    silent = Change("silent", AT, None, None)
    worn, gone = Change("state", AT, "worn", None), Change("state", AT, "gone", "worn", 0.5, "m", 1)
    other = replace(worn, previous="other")
    given = [(silent, worn, gone), (other,), (worn,), (), (silent, silent)]
    for name in NAMES[:5]:
        await claim(store, name)
    outcomes = await store.commit(
        [
            replace(entry(name, [answer(0)]), changes=changes)
            for name, changes in zip(NAMES, given, strict=False)
        ]
    )
    events = [outcome.events for outcome in outcomes]
    assert [[one.state for one in kept] for kept in events] == [
        [None, "worn", "gone"],
        [],
        ["worn"],
        [],
        [None],
    ]
    assert sorted(one.id for one in events[0]) == [one.id for one in events[0]]
    last = events[0][-1]
    assert (last.sensor, last.kind, last.previous, last.score) == (NAMES[0], "state", "worn", 0.5)
    stored = await store.get(NAMES[0])
    assert stored is not None
    assert (stored.state, stored.is_silent) == ("gone", True)
