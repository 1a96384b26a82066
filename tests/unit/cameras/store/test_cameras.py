"""Cameras, events, reports and cursors in the store, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from auth.store.database import Database
from schemas.cameras import CameraSpec, CameraStatus
from schemas.errors import NotReady
from service.cameras.store.cameras import CameraStore
from service.cameras.store.events import Change, EventStore
from service.cameras.store.reports import CameraReport, Preview, ReportStore
from service.cameras.store.tables import CameraEventRow, CameraRow
from service.coordination.cursors import CursorStore
from service.coordination.feed import EventFeed
from service.coordination.kept_events import PRUNE_EVERY, Retention
from service.coordination.ports import OutputCursor
from service.coordination.subjects import NameTaken, TooMany
from service.coordination.wishes import is_wanted
from tests.support.auth.identity_kit import Clock

pytestmark = [pytest.mark.anyio, pytest.mark.sql]
SPEC = CameraSpec(url="http://192.168.1.20/a.jpg")
STATE = Change("door", "state", 1000.5, "open", None, 0.75, "doors", 3)
MONTH = 30 * 86_400.0


@pytest.fixture
def cameras(database: Database, clock: Clock) -> CameraStore:
    return CameraStore(database, clock=clock)


@pytest.fixture
def events(database: Database, clock: Clock) -> EventStore:
    return EventStore(database, Retention(MONTH, 1000), clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_added_camera_is_read_back(cameras: CameraStore, clock: Clock) -> None:
    spec = SPEC.model_copy(update={"every_seconds": 2.5, "model": "doors"})
    added = await cameras.add("door", spec, "sealed", most=1)
    assert await cameras.get("door") == added
    assert await cameras.all() == [added]
    assert (added.spec, added.credentials, added.created) == (spec, "sealed", clock())
    assert await cameras.get("yard") is None


async def test_name_is_unique_and_number_is_bounded(cameras: CameraStore) -> None:
    await cameras.add("door", SPEC, None, most=2)
    with pytest.raises(NameTaken):
        await cameras.add("door", SPEC, None, most=2)
    await cameras.add("yard", SPEC, None, most=2)
    with pytest.raises(TooMany):
        await cameras.add("shed", SPEC, None, most=2)
    assert [one.name for one in await cameras.all()] == ["door", "yard"]


async def test_every_change_raises_the_revision(cameras: CameraStore) -> None:
    await cameras.add("door", SPEC, "sealed", most=1)
    assert await cameras.change("door", SPEC, None)
    assert await cameras.pause("door", is_paused=True)
    found = await cameras.get("door")
    assert found is not None
    assert (found.revision, found.is_paused, found.credentials) == (3, True, None)
    (glance,) = await cameras.glance()
    assert (glance.name, glance.revision, glance.wanted_until) == ("door", 3, 0)
    assert not await cameras.change("yard", SPEC, None)
    assert not await cameras.pause("yard", is_paused=True)
    assert not await cameras.remove("yard")


async def test_state_and_event_are_stored_together(
    cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    event = await events.record(STATE)
    assert event is not None
    assert (event.state, event.previous, event.score) == ("open", None, 0.75)
    assert event.at == datetime.fromtimestamp(1000.5, UTC)
    found = await cameras.get("door")
    assert found is not None
    assert (found.state, found.since, found.revision) == ("open", 1000.5, 1)
    assert list(await events.after(0, 10)) == [event]
    assert await events.newest() == event.id


async def test_change_that_is_none_is_not_recorded(
    cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    assert await events.record(STATE)
    assert await events.record(STATE) is None, "another process has recorded it"
    assert await events.record(replace(STATE, camera="yard")) is None
    back = Change("door", "back", 1001, "open", "open")
    assert await events.record(back) is None, "it was not silent"
    silent = Change("door", "silent", 1002, "open", "open")
    assert await events.record(silent)
    assert await events.record(silent) is None
    assert await events.record(back)
    assert [one.kind for one in await events.after(0, 10)] == ["state", "silent", "back"]


async def test_concurrent_recorders_keep_one_event(
    cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    recorded = await asyncio.gather(*(events.record(STATE) for _ in range(5)))
    assert sum(event is not None for event in recorded) == 1


async def test_ids_grow_in_the_order_of_commits(cameras: CameraStore, events: EventStore) -> None:
    names = [f"camera{number}" for number in range(5)]
    for name in names:
        await cameras.add(name, SPEC, None, most=5)
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < len(names):
            seen.extend(one.id for one in await events.after(seen[-1] if seen else 0, 2))
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(events.record(replace(STATE, camera=name)) for name in names))
    await asyncio.wait_for(reading, 30)
    assert sorted(seen) == seen


async def test_events_of_one_camera_and_the_last_ones(
    cameras: CameraStore, events: EventStore
) -> None:
    for name in ("door", "yard"):
        await cameras.add(name, SPEC, None, most=2)
    previous = None
    for state in ("open", "shut", "open"):
        for name in ("door", "yard"):
            change = replace(STATE, camera=name, state=state, previous=previous)
            assert await events.record(change)
        previous = state
    assert len(await events.after(0, 100)) == 6
    assert [one.state for one in await events.last(2, subject="door")] == ["shut", "open"]
    mine = await events.after(0, 100, subject="yard")
    assert {one.camera for one in mine} == {"yard"}
    assert list(await events.after(mine[0].id, 1, subject="yard")) == [mine[1]]


async def test_events_are_bounded_by_number_and_age(
    database: Database, cameras: CameraStore, clock: Clock
) -> None:
    events = EventStore(database, Retention(MONTH, 10), clock=clock)
    await cameras.add("door", SPEC, None, most=1)
    previous = None
    for number in range(PRUNE_EVERY):
        state = f"state {number}"
        change = Change("door", "state", clock(), state, previous)
        assert await events.record(change)
        previous = state
    assert len(await events.after(0, 1000)) == 10
    clock.now += MONTH + 1
    await events.prune()
    (newest,) = await events.after(0, 1000)
    assert newest.id == PRUNE_EVERY, "ids are never used again"


class Unprunable(EventStore):
    """Cannot remove events."""

    async def prune(self) -> None:
        raise NotReady


async def test_event_is_kept_and_returned_though_old_ones_cannot_be_removed(
    database: Database, cameras: CameraStore, clock: Clock
) -> None:
    events = Unprunable(database, Retention(MONTH, 10), clock=clock)
    await cameras.add("door", SPEC, None, most=1)
    for number in range(PRUNE_EVERY):
        before = None if number == 0 else str(number - 1)
        assert await events.record(Change("door", "state", clock(), str(number), before))


async def test_wish_from_before_the_clock_was_set_back_does_not_count(
    database: Database, cameras: CameraStore, clock: Clock
) -> None:
    reports = ReportStore(database, clock=clock)
    await cameras.add("door", SPEC, None, most=1)
    await reports.write("door", CameraReport())
    await reports.of(["door"])
    clock.now -= 86_400
    (glance,) = await cameras.glance()
    assert not is_wanted(glance.wanted_until, clock())
    await reports.of(["door"])
    (glance,) = await cameras.glance()
    assert is_wanted(glance.wanted_until, clock())


async def test_event_that_is_recorded_during_a_removal_goes_too(
    database: Database, cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    async with database.write() as session:
        # As ``EventStore.record`` does.
        await session.execute(update(CameraRow).values(state="open"))
        session.add(CameraEventRow(camera="door", kind="state", at=1.0, state="open"))
        await session.flush()
        removal = asyncio.create_task(cameras.remove("door"))
        await asyncio.wait({removal}, timeout=0.2)
        assert not removal.done()
    assert await removal
    assert await events.last(10, subject="door") == []


async def test_removed_camera_takes_its_events_along(
    database: Database, cameras: CameraStore, events: EventStore
) -> None:
    reports = ReportStore(database)
    await cameras.add("door", SPEC, None, most=1)
    await events.record(STATE)
    await reports.write("door", CameraReport())
    assert await cameras.remove("door")
    assert await events.newest() == 0
    assert await reports.of(["door"]) == {}
    await reports.write("door", CameraReport())
    assert await reports.preview("door") is None
    await cameras.add("door", SPEC, None, most=1)
    again = await events.record(STATE)
    assert again is not None
    assert again.id == 2


async def test_reports_are_wanted_for_a_while(
    database: Database, cameras: CameraStore, clock: Clock
) -> None:
    reports = ReportStore(database, clock=clock)
    await cameras.add("door", SPEC, None, most=1)
    report = CameraReport(status=CameraStatus.WATCHING, frames=3, state="open")
    await reports.write("door", report)
    assert (await cameras.glance())[0].wanted_until == 0
    assert await reports.of(["door", "yard"]) == {"door": report}
    assert (await cameras.glance())[0].wanted_until > clock()
    preview = Preview(b"jpeg", datetime.fromtimestamp(1000, UTC))
    assert await reports.preview("door") is None
    assert (await cameras.glance())[0].preview_wanted_until > clock()
    await reports.write_preview("door", preview)
    assert await reports.preview("door") == preview
    assert await reports.of(["door"]) == {"door": report}


async def test_cursor_is_read_back(database: Database) -> None:
    cursors = CursorStore(database)
    assert await cursors.load("mqtt") is None
    for cursor in (OutputCursor(), OutputCursor(2**40, 3, 1000.5, 7)):
        await cursors.save("mqtt", cursor)
        assert await cursors.load("mqtt") == cursor
    assert await cursors.load("webhooks") is None


async def test_waiting_ends_with_an_event_of_this_process_or_another(
    cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    feed = EventFeed(events, poll=0.01)
    try:
        await feed.wait(0, 0.02)  # nothing comes
        waiting = asyncio.create_task(feed.wait(0, 60))
        event = await events.record(STATE)
        assert event is not None
        await asyncio.wait_for(waiting, 30)
        waiting = asyncio.create_task(feed.wait(event.id, 60))
        await asyncio.sleep(0)
        feed.announce(event.id + 1)
        await asyncio.wait_for(waiting, 30)
        await asyncio.wait_for(feed.wait(event.id, 60), 30)
    finally:
        await feed.close()


async def test_waiting_ends_when_a_camera_was_changed(events: EventStore) -> None:
    feed = EventFeed(events)
    try:
        waiting = asyncio.create_task(feed.wait(0, 3600))
        await asyncio.sleep(0)
        feed.wake()
        await asyncio.wait_for(waiting, 30)
        before = feed.wakes
        feed.wake()
        # Also if that was before the wait, and after what the caller saw.
        await asyncio.wait_for(feed.wait(0, 3600, wakes=before), 30)
    finally:
        await feed.close()


async def test_waiting_goes_on_after_the_announced_events_were_removed(
    cameras: CameraStore, events: EventStore
) -> None:
    await cameras.add("door", SPEC, None, most=1)
    feed = EventFeed(events, poll=0.01)
    try:
        event = await events.record(STATE)
        assert event is not None
        feed.announce(event.id)
        await cameras.remove("door")
        newest = await feed.newest()
        assert newest < event.id
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.wait(newest, 60), 0.1)
    finally:
        await feed.close()
