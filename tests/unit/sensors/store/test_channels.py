"""Epochs and windows of sensors in the store, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event

from auth.store.database import Database
from schemas.errors import NotFound
from schemas.sensors import SensorFault
from service.coordination.kept_events import Retention
from service.sensors.records import Change, EpochRefused, Fate
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from service.sensors.store.many_rows import MAX_ROWS
from service.sensors.store.results import ResultStore
from tests.support.auth.identity_kit import Clock
from tests.support.sensors.answers import AT, EPOCH, MOST, SPEC, answer, claim, entry

pytestmark = [pytest.mark.anyio, pytest.mark.sql]
STATE = Change("state", AT, "worn", None, 0.75, "loudest", 1)
LATER = AT + 600
BACKLOG = 2247


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Collect the statements of all databases."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
def events(database: Database, clock: Clock) -> EventStore:
    return EventStore(database, Retention(1e6, 1000), clock=clock)


@pytest.fixture
async def store(database: Database, events: EventStore, clock: Clock) -> ChannelStore:
    store = ChannelStore(database, events, clock=clock)
    await store.add("pump", SPEC, most=MOST)
    return store


@pytest.fixture
def results(database: Database, clock: Clock) -> ResultStore:
    return ResultStore(database, Retention(1e6, 1000), clock=clock)


async def test_new_epoch_begins_at_zero_and_goes_on_where_it_is_safe(store: ChannelStore) -> None:
    first = await claim(store, "pump")
    assert (first.epoch, first.safe, first.sensor.spec, first.recent) == (EPOCH, 0, SPEC, [])
    assert first.sensor.seen is None
    (outcome,) = await store.commit([entry("pump", [answer(0), answer(8)])])
    assert outcome.fate is Fate.COMMITTED
    again = await claim(store, "pump", owner="two", recent=5)
    assert (again.epoch, again.safe, again.sensor.seen) == (EPOCH, 16, AT)
    assert again.recent == [answer(0), answer(8)]
    assert (await claim(store, "pump", owner="three", recent=1)).recent == [answer(8)]


async def test_claim_of_an_unknown_sensor_is_refused(store: ChannelStore) -> None:
    with pytest.raises(NotFound):
        await claim(store, "yard")


async def test_another_epoch_waits_until_the_live_one_is_idle_or_ends(store: ChannelStore) -> None:
    await claim(store, "pump")
    for epoch in (EPOCH + 1, EPOCH - 1, None):
        with pytest.raises(EpochRefused) as refused:
            await claim(store, "pump", owner="two", epoch=epoch, now=AT + 20)
        assert refused.value.fault is SensorFault.IN_USE
        assert refused.value.retry_after == pytest.approx(40)
    await store.commit([entry("pump", seen=AT + 30, is_last=True)])
    newer = await claim(store, "pump", owner="two", epoch=EPOCH + 1, now=AT + 31)
    assert (newer.epoch, newer.safe, newer.sensor.seen) == (EPOCH + 1, 0, AT + 30)
    idle = await claim(store, "pump", owner="three", epoch=EPOCH + 2, now=AT + 100)
    assert idle.epoch == EPOCH + 2
    with pytest.raises(EpochRefused) as refused:
        await claim(store, "pump", owner="four", epoch=EPOCH, now=LATER)
    assert refused.value.fault is SensorFault.STALE_EPOCH


async def test_made_epoch_is_newer_than_the_newest_one(store: ChannelStore) -> None:
    made = await claim(store, "pump", epoch=None)
    assert made.epoch == int(AT * 1000)
    await claim(store, "pump", epoch=2**62, now=LATER)
    made = await claim(store, "pump", epoch=None, now=LATER + 100)
    assert made.epoch == 2**62 + 1


async def test_only_the_last_owner_commits(store: ChannelStore, results: ResultStore) -> None:
    await store.add("yard", SPEC, most=MOST)
    for name in ("pump", "yard"):
        await claim(store, name)
    await claim(store, "pump", owner="two")
    outcomes = await store.commit(
        [entry("pump", [answer(0)]), entry("yard", [answer(0)]), entry("gone", [answer(0)])]
    )
    assert [one.fate for one in outcomes] == [Fate.LOST, Fate.COMMITTED, Fate.REMOVED]
    assert await results.last(10, sensor="pump") == ([], 0)
    assert len((await results.last(10, sensor="yard"))[0]) == 1
    assert (await claim(store, "pump", owner="three")).safe == 0
    assert (await store.commit([entry("pump", owner="three", is_last=True)]))[0].fate is (
        Fate.COMMITTED
    )
    assert (await store.commit([entry("pump", owner="three")]))[0].fate is Fate.LOST


async def test_window_that_is_stored_stays_as_it_was(
    store: ChannelStore, results: ResultStore
) -> None:
    await claim(store, "pump")
    await store.commit([entry("pump", [answer(0, "first")])])
    again = [answer(0, "second"), answer(8, "second")]
    (outcome,) = await store.commit([entry("pump", again)])
    assert outcome.known == [answer(0, "first")]
    kept, _ = await results.last(10, sensor="pump")
    assert [one.label for one in kept] == ["first", "second"]


async def test_windows_without_a_channel(store: ChannelStore, results: ResultStore) -> None:
    shared = entry("pump", [answer(0), answer(8)], owner=None)
    outcomes = await store.commit([shared, replace(shared, sensor="gone")])
    assert [one.fate for one in outcomes] == [Fate.COMMITTED, Fate.REMOVED]
    (outcome,) = await store.commit([shared])
    assert outcome.known == shared.answers
    assert len((await results.last(10, sensor="pump"))[0]) == 2
    found = await store.get("pump")
    assert found is not None
    assert found.seen == AT
    (glance,) = await store.glance()
    assert (glance.name, glance.seen, glance.is_silent, glance.is_paused) == (
        *("pump", AT),
        *(False, False),
    )


async def test_changes_are_stored_with_their_windows(
    store: ChannelStore, events: EventStore
) -> None:
    await claim(store, "pump")
    worn = entry("pump", [answer(0, "worn")], changes=[STATE])
    (outcome,) = await store.commit([worn])
    (kept,) = outcome.events
    assert (kept.kind, kept.state, kept.previous, kept.sensor) == (
        "state",
        "worn",
        None,
        "pump",
    )
    assert list(await events.after(0, 10)) == [kept]
    found = await store.get("pump")
    assert found is not None
    assert (found.state, found.since) == ("worn", AT)
    (outcome,) = await store.commit([worn])
    assert (outcome.fate, outcome.events) == (Fate.COMMITTED, []), "it is stored already"


async def test_a_backlog_of_changes_takes_few_statements(
    store: ChannelStore, events: EventStore
) -> None:
    """A device that sends what it has kept for a day may change at every window."""
    await claim(store, "pump")
    labels = [f"label {number}" for number in range(BACKLOG)]
    answers = [answer(8 * number, label) for number, label in enumerate(labels)]
    changes = [
        Change("state", AT + number, label, before, 0.75, "loudest", 1)
        for number, (before, label) in enumerate(zip([None, *labels], labels, strict=False))
    ]
    with counted_statements() as statements:
        (outcome,) = await store.commit([entry("pump", answers, changes=changes)])
    assert len(statements) < 30, statements
    assert [one.state for one in outcome.events] == labels
    ids = [one.id for one in outcome.events]
    assert ids == sorted(ids)
    found = await store.get("pump")
    assert found is not None
    assert (found.state, found.since) == (labels[-1], AT + BACKLOG - 1)
    newest = await events.last(10, subject="pump")
    assert [one.state for one in newest] == labels[-10:]


async def test_a_change_that_another_process_has_stored_is_left_out(store: ChannelStore) -> None:
    await claim(store, "pump")
    await store.commit([entry("pump", [answer(0, "worn")], changes=[STATE])])
    healthy = Change("state", AT + 1, "healthy", "worn", 0.75, "loudest", 1)
    strange = Change("state", AT + 2, "broken", "unknown", 0.75, "loudest", 1)
    (outcome,) = await store.commit([entry("pump", changes=[STATE, healthy, strange])])
    assert [one.state for one in outcome.events] == ["healthy"]


async def test_a_backlog_beside_a_lost_channel_takes_few_statements(store: ChannelStore) -> None:
    await store.add("yard", SPEC, most=MOST)
    await claim(store, "yard")
    many = [answer(8 * number) for number in range(BACKLOG)]
    with counted_statements() as statements:
        outcomes = await store.commit([entry("pump", is_last=True), entry("yard", many)])
    assert [one.fate for one in outcomes] == [Fate.LOST, Fate.COMMITTED]
    assert len(statements) < 30, statements


async def test_ended_channel_of_the_same_process_does_not_hold_the_epoch(
    store: ChannelStore,
) -> None:
    await claim(store, "pump")
    with pytest.raises(EpochRefused):
        await claim(store, "pump", owner="two", epoch=EPOCH + 1, former="another")
    assert (await claim(store, "pump", owner="two", epoch=EPOCH + 1, former="one")).safe == 0


async def test_silence_is_noted_once_and_ends_with_samples(store: ChannelStore) -> None:
    assert await store.silence("pump", seen_before=LATER, at=LATER) is None, "it never sent"
    await claim(store, "pump")
    await store.commit([entry("pump", [answer(0)])])
    assert await store.silence("pump", seen_before=AT, at=LATER) is None, "it sent since"
    silent = await store.silence("pump", seen_before=AT + 1, at=LATER)
    assert silent is not None
    assert (silent.kind, silent.state) == ("silent", None)
    assert await store.silence("pump", seen_before=LATER, at=LATER) is None
    back = Change("back", LATER, None, None)
    (outcome,) = await store.commit([entry("pump", seen=LATER, changes=[back])])
    assert [one.kind for one in outcome.events] == ["back"]
    await store.pause("pump", is_paused=True)
    assert await store.silence("pump", seen_before=LATER + 1, at=LATER) is None


async def test_removed_sensor_leaves_nothing(
    store: ChannelStore, results: ResultStore, events: EventStore
) -> None:
    await claim(store, "pump")
    await store.commit([entry("pump", [answer(0)], changes=[STATE])])
    assert await store.remove("pump")
    assert await results.last(10, sensor="pump") == ([], 0)
    assert await events.last(10, subject="pump") == []
    assert (await store.commit([entry("pump", [answer(8)])]))[0].fate is Fate.REMOVED


async def test_large_commit_is_one_transaction(store: ChannelStore, results: ResultStore) -> None:
    await claim(store, "pump")
    many = [answer(8 * number) for number in range(MAX_ROWS + 1)]
    (outcome,) = await store.commit([entry("pump", many)])
    assert (outcome.fate, outcome.known) == (Fate.COMMITTED, ())
    kept, cursor = await results.after(0, 2 * MAX_ROWS, sensor="pump")
    assert kept == many
    assert await results.after(cursor, 10, sensor="pump") == ([], cursor)
