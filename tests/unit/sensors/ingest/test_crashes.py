"""Nothing is lost or doubled when the process dies at any of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.sensors import SensorAnswer, SensorSpec
from service.coordination.kept_events import Retention
from service.sensors.ingest.intake import SampleIntake
from service.sensors.ingest.ports import Samples, SensorStore
from service.sensors.ingest.sharing import Limits
from service.sensors.records import Claim, ClaimedEpoch, Entry, Outcome
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from service.sensors.store.results import ResultStore
from tests.support.auth.identity_kit import opened
from tests.support.sensors.fake_intake import CountingMetrics, Fuse, Heard, MemoryStore, SumModels

NAME, EPOCH = "pump", 7
LENGTH, CHANNELS = 8, 2


def samples_of(first: int, end: int) -> NDArray[np.float32]:
    rows = np.arange(first, end, dtype=np.float32)[:, np.newaxis]
    return np.repeat(rows, CHANNELS, axis=1)


def label_of(first: int) -> str:
    return f"sum-{float(samples_of(first, first + LENGTH).sum()):g}"


class FusedStore(ChannelStore):
    """The real store, with steps before and after each transaction."""

    fuse: Fuse

    async def claim(self, claim: Claim) -> ClaimedEpoch:
        """See ``SensorStore``."""
        await self.fuse.step()
        claimed = await super().claim(claim)
        await self.fuse.step()
        return claimed

    async def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """See ``SensorStore``."""
        await self.fuse.step()
        outcomes = await super().commit(entries)
        await self.fuse.step()
        return outcomes


@asynccontextmanager
async def real_store(url: str, fuse: Fuse) -> AsyncIterator[tuple[FusedStore, ResultStore]]:
    """Open the store of a process."""
    kept = Retention(1e6, 1000)
    async with opened(url) as database:
        store = FusedStore(database, EventStore(database, kept))
        store.fuse = fuse
        yield store, ResultStore(database, kept)


class World:
    """A store that survives, and a device that repeats what is not confirmed."""

    def __init__(self, stride: int, total: int, sizes: list[int]) -> None:
        self.stride, self.total, self.sizes = stride, total, sizes
        self.store = MemoryStore(check=self.check)
        spec = SensorSpec(channels=CHANNELS, rate=100, model="sums", stride=stride)
        self.store.add(NAME, spec)
        self.expected = list(range(0, total - LENGTH + 1, stride))

    def check(self, entry: Entry) -> None:
        """Check that ``safe`` passes no window without an answer."""
        stored = {first for _, _, first in self.store.answers}
        stored |= {answer.first_sequence for answer in entry.answers}
        assert set(range(0, entry.safe, self.stride)) <= stored
        assert entry.safe >= self.store.epochs[NAME].safe

    def live(self, kill_at: int | None) -> bool:
        """Run a process until it dies or everything is confirmed; return whether it is."""
        return asyncio.run(self._live(kill_at))

    async def _live(self, kill_at: int | None) -> bool:
        fuse = self.store.fuse = Fuse(kill_at)
        try:
            return await self.live_on(self.store, fuse)
        finally:
            self.store.fuse = None

    async def live_on(self, store: SensorStore, fuse: Fuse) -> bool:
        """Run a process on a store until it dies; return whether everything is confirmed."""
        before = asyncio.all_tasks()
        models = SumModels(LENGTH, fuse=fuse)
        intake = SampleIntake(store, models, CountingMetrics(), Limits(), commit_interval=0.0)
        intake.start()
        sending = asyncio.create_task(self._send(intake))
        burning = asyncio.create_task(fuse.burnt.wait())
        await asyncio.wait({sending, burning}, return_when=asyncio.FIRST_COMPLETED)
        is_done = sending.done()
        if is_done:
            await sending
        # Running tasks are cancelled, and memory is lost.
        rest = asyncio.all_tasks() - before
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return is_done

    async def _send(self, intake: SampleIntake) -> None:
        heard = Heard()
        channel = await intake.open(NAME, epoch=EPOCH, principal=None, door="tcp", listener=heard)
        at, turn = channel.next_sequence, 0
        while at < self.total:
            size = self.sizes[turn % len(self.sizes)]
            end = min(at + size, self.total)
            channel.offer(Samples(at, samples_of(at, end)))
            at, turn = end, turn + 1
            await asyncio.sleep(0)
        last = self.expected[-1]
        if channel.next_sequence <= last:
            await heard.until(lambda: bool(heard.safes) and heard.safes[-1] > last)
        firsts = [one.first_sequence for one in heard.results]
        assert firsts == sorted(firsts)
        assert heard.safes == sorted(heard.safes)
        await channel.close()

    def verify(self) -> None:
        """Check that each window has one right answer, in order."""
        stored = [(epoch, first) for _, epoch, first in self.store.answers]
        assert stored == [(EPOCH, first) for first in self.expected]
        for (_, _, first), answer in self.store.answers.items():
            assert answer.label == label_of(first)


@pytest.mark.parametrize("stride", [LENGTH, 3, 11])
def test_a_crash_at_each_step(stride: int) -> None:
    step = 0
    while True:
        step += 1
        world = World(stride, 61, [5, 1, 17])
        if world.live(step):
            break
        assert world.live(None)
        world.verify()
    assert step > 10
    world.verify()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 3, LENGTH, 13]),
    st.integers(LENGTH, 90),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), max_size=6),
)
def test_crashes_one_after_the_other(
    stride: int, total: int, sizes: list[int], kills: list[int]
) -> None:
    world = World(stride, total, sizes)
    for kill_at in kills:
        world.live(kill_at)
    assert world.live(None)
    world.verify()


@pytest.mark.anyio
@pytest.mark.sql
async def test_crashes_on_the_real_store(tables_url: str) -> None:
    """The queries decide as the store in memory does."""
    world = World(4, 61, [7])
    async with real_store(tables_url, Fuse()) as (store, _):
        await store.add(NAME, world.store.sensors[NAME].spec, most=1)
    is_done, kill_at = False, 2
    while not is_done:
        async with real_store(tables_url, Fuse(kill_at)) as (store, _):
            is_done = await world.live_on(store, store.fuse)
        kill_at += 5
    async with real_store(tables_url, Fuse()) as (_, results):
        answers, _ = await results.last(100, sensor=NAME)
    check_answers(answers, world.expected)


def check_answers(answers: Sequence[SensorAnswer], expected: Sequence[int]) -> None:
    assert [one.first_sequence for one in answers] == list(expected)
    assert [one.label for one in answers] == [label_of(first) for first in expected]
