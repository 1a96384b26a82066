"""Requests that would be late are refused, by the measured throughput."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from schemas.errors import DeadlineExceeded, Overloaded
from service.core.scheduling.admission import ThroughputEstimator
from service.core.scheduling.fair_queue import Priority
from tests.support.models.bench import LATER, Bench, answers, breathe
from tests.support.models.calls import ANYONE

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


async def test_no_item_is_refused_before_costs_are_known() -> None:
    bench = Bench()
    tasks = await bench.submit(*"abc", deadline=0.001)
    bench.pool.drain()
    assert await answers(*tasks) == list("ABC")


async def test_item_that_would_be_late_is_refused_at_once() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abc")
    with pytest.raises(Overloaded) as caught:
        await bench.batcher.submit("d", bench.now + 4, ANYONE)
    assert caught.value.expected_wait == pytest.approx(6)
    assert caught.value.retry_after == pytest.approx(6)
    assert bench.rejections == ["would_be_late"]
    bench.pool.drain()
    assert await answers(*tasks) == list("ABC")


async def test_item_that_will_be_in_time_is_accepted() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abc")
    tasks += await bench.submit("d", deadline=bench.now + 14)
    bench.pool.drain()
    assert await answers(*tasks) == list("ABCD")


async def test_idle_server_accepts_a_tight_deadline() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit("a", deadline=bench.now + 1)
    bench.pool.drain()
    assert await answers(*tasks) == ["A"]


async def test_other_caller_waits_one_turn_only() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = await bench.submit(*"abcdef")
    other = bench.batcher.submit("z", bench.now + 9, replace(ANYONE, owner="other"))
    tasks.append(asyncio.create_task(other))
    await breathe()
    bench.pool.drain()
    assert await answers(*tasks) == [*"ABCDEF", "Z"]
    assert bench.prepared.index("z") <= 2


async def test_urgent_item_is_accepted_despite_queued_bulk() -> None:
    bench = TimedBench()
    await bench.learn()
    tasks = [
        asyncio.create_task(
            bench.batcher.submit(item, LATER, replace(ANYONE, priority=Priority.BULK))
        )
        for item in "abcdef"
    ]
    await breathe()
    urgent = bench.batcher.submit(
        "z", bench.now + 9, replace(ANYONE, priority=Priority.INTERACTIVE)
    )
    tasks.append(asyncio.create_task(urgent))
    await breathe()
    bench.pool.drain()
    assert await answers(*tasks) == [*"ABCDEF", "Z"]


async def test_late_item_is_dropped_while_others_wait() -> None:
    bench = TimedBench()
    await bench.learn()
    (good,) = await bench.submit("good")
    late = asyncio.create_task(bench.batcher.submit("late", bench.now + 20, ANYONE))
    await breathe()
    (other,) = await bench.submit("other")
    bench.now += 19  # another process used the CPU
    bench.pool.drain()
    assert await answers(good, other) == ["GOOD", "OTHER"]
    with pytest.raises(DeadlineExceeded):
        await late
    assert "late" not in bench.prepared


async def test_last_item_is_tried_with_little_time_left() -> None:
    bench = TimedBench()
    await bench.learn()
    (call,) = await bench.submit("a", deadline=bench.now + 20)
    bench.now += 19
    bench.pool.drain()
    assert bench.prepared == ["first", "a"]
    assert await answers(call) == ["A"]


async def test_admit_refuses_a_full_queue_before_submission() -> None:
    bench = Bench(queue_capacity=2)
    tasks = await bench.submit("a", "b")
    with pytest.raises(Overloaded):
        bench.batcher.admit(LATER, ANYONE)
    bench.pool.drain()
    assert await answers(*tasks) == ["A", "B"]
    bench.batcher.admit(LATER, ANYONE)
    assert bench.rejections == ["queue_full"]


def test_pace_measures_only_departures_while_others_wait() -> None:
    pace = ThroughputEstimator(threads=2)
    pace.prepared(1.0)
    pace.ran(4, 4.0)
    assert (pace.own, pace.interval) == (2.0, 1.0)
    pace.left(10, do_others_wait=True)
    pace.left(13, do_others_wait=False)
    assert pace.interval == 3.0
    pace.left(99, do_others_wait=True)  # there was nothing to do in between
    assert pace.interval == 3.0
    pace.left(102, do_others_wait=True)
    assert pace.interval == 3.0


async def test_cancelled_backlog_does_not_slow_later_admission() -> None:
    bench = TimedBench()
    await bench.learn()
    crowd = await bench.submit(*"abcd")
    bench.pool.step()
    for call in crowd:
        call.cancel()
    await breathe()
    bench.pool.drain()
    bench.now += 1000
    tasks = await bench.submit(*"efgh", deadline=bench.now + 40)
    bench.pool.drain()
    tasks += await bench.submit(*"ijkl", deadline=bench.now + 40)
    bench.pool.drain()
    assert await answers(*tasks) == list("EFGHIJKL")
    assert bench.rejections == []


async def test_unreadable_images_do_not_affect_admission() -> None:
    bench = TimedBench()
    await bench.learn()
    for _ in range(20):
        bad = await bench.submit(*["bad image"] * 9)
        good = await bench.submit("good", deadline=bench.now + 40)
        bench.pool.drain()
        assert await answers(*good) == ["GOOD"]
        await asyncio.gather(*bad, return_exceptions=True)
    assert bench.rejections == []
