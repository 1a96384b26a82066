"""What would be late is refused at once, by what the last items cost."""

from __future__ import annotations

import asyncio

import pytest

from schemas.errors import Overloaded
from service.core.fair_queue import Priority
from tests.unit.core.bench import LATER, Bench, answers, breathe

pytestmark = pytest.mark.anyio


class TimedBench(Bench):
    """Preparing and running an item takes two seconds on its clock."""

    async def learn(self) -> None:
        """Runs one item, so that costs are known."""
        self.during_run = self.pass_two_seconds
        tasks = await self.submit("first")
        self.pool.drain()
        assert await answers(*tasks) == ["FIRST"]

    def pass_two_seconds(self) -> None:
        self.now += 2


async def test_nothing_is_refused_before_costs_are_known() -> None:
    bench = Bench()
    tasks = await bench.submit(*"abc", deadline=0.001)
    bench.pool.drain()
    assert await answers(*tasks) == list("ABC")


async def test_what_would_be_late_is_refused_at_once() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abc")
    with pytest.raises(Overloaded) as caught:
        await bench.batcher.submit("d", bench.now + 4)
    assert caught.value.expected_wait == pytest.approx(6)
    assert caught.value.retry_after == pytest.approx(6)
    assert bench.rejections == ["would_be_late"]
    bench.pool.drain()
    assert await answers(*tasks) == list("ABC")


async def test_what_is_in_time_is_taken() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abc")
    tasks += await bench.submit("d", deadline=bench.now + 9)
    bench.pool.drain()
    assert await answers(*tasks) == list("ABCD")


async def test_an_idle_server_refuses_nothing() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit("a", deadline=bench.now + 1)
    bench.pool.drain()
    assert await answers(*tasks) == ["A"]


async def test_another_caller_waits_for_a_turn_and_not_for_all() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abcdef")
    other = bench.batcher.submit("z", bench.now + 5, owner="other")
    tasks.append(asyncio.create_task(other))
    await breathe()
    bench.pool.drain()
    assert await answers(*tasks) == [*"ABCDEF", "Z"]
    assert bench.prepared.index("z") <= 2


async def test_an_urgent_item_is_not_refused_for_the_sake_of_bulk() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = [
        asyncio.create_task(bench.batcher.submit(item, LATER, priority=Priority.BULK))
        for item in "abcdef"
    ]
    await breathe()
    urgent = bench.batcher.submit("z", bench.now + 5, priority=Priority.INTERACTIVE)
    tasks.append(asyncio.create_task(urgent))
    await breathe()
    bench.pool.drain()
    assert await answers(*tasks) == [*"ABCDEF", "Z"]
