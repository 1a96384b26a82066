"""Requests that would be late are refused, by the measured throughput."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from schemas.errors import DeadlineExceeded, Overloaded
from service.core.scheduling.admission import ThroughputEstimator
from service.core.scheduling.priority import Priority
from tests.support.models.bench import LATER, Bench, Call, answers, breathe
from tests.support.models.calls import ANYONE

pytestmark = pytest.mark.anyio


class TimedBench(Bench):
    """Running an item takes ``seconds`` on its clock."""

    seconds = 2

    async def learn(self) -> None:
        """Runs one item, so that costs are known."""
        self.during_run = self.pass_seconds
        tasks = await self.submit("first")
        self.pool.drain()
        assert await answers(*tasks) == ["FIRST"]

    def pass_seconds(self) -> None:
        self.now += self.seconds


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


class TwoModels:
    """Two batchers on one pool: ``slow`` takes ten seconds an item, ``fast`` one."""

    def __init__(self) -> None:
        self.slow = TimedBench()
        self.fast = TimedBench(self.slow)
        self.slow.seconds, self.fast.seconds = 10, 1

    async def flooded(self) -> list[Call]:
        """Learn the costs of both, then let a hundred items wait for the slow one."""
        await self.slow.learn()
        await self.fast.learn()
        tasks = await self.slow.submit(*map(str, range(100)), deadline=10_000)
        self.slow.pool.step()
        return tasks


async def test_full_queue_of_one_model_does_not_make_another_refuse() -> None:
    models = TwoModels()
    tasks = await models.flooded()
    (call,) = await models.fast.submit("a", deadline=models.fast.now + 20)
    models.slow.pool.step(2)
    assert await answers(call) == ["A"]
    assert models.fast.rejections == []
    models.slow.pool.drain()
    await answers(*tasks)


async def test_turns_of_another_model_count_for_the_foreseen_wait() -> None:
    models = TwoModels()
    tasks = await models.flooded()
    calls = await models.fast.submit(*"abcdefghijklmnopqrstuvwxyz", deadline=1000)
    with pytest.raises(Overloaded) as caught:
        await models.fast.batcher.submit("late", models.fast.now + 40, ANYONE)
    assert caught.value.expected_wait == pytest.approx(26 + 30, abs=11)
    assert caught.value.retry_after == caught.value.expected_wait
    assert models.fast.rejections == ["would_be_late"]
    models.slow.pool.drain()
    await answers(*calls, *tasks)


async def test_late_item_of_one_model_is_dropped_while_another_waits() -> None:
    models = TwoModels()
    await models.slow.learn()
    await models.fast.learn()
    late = asyncio.create_task(models.slow.batcher.submit("late", models.slow.now + 30, ANYONE))
    await breathe()
    (other,) = await models.fast.submit("other")
    models.slow.now += 25  # another process used the CPU
    models.slow.pool.drain()
    assert await answers(other) == ["OTHER"]
    with pytest.raises(DeadlineExceeded):
        await late
    assert "late" not in models.slow.prepared


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


def test_estimate_of_several_items_counts_the_threads() -> None:
    pace = ThroughputEstimator(threads=2)
    pace.prepared(1.0)
    pace.ran(4, 4.0)
    assert (pace.own, pace.own_of(1), pace.own_of(6)) == (2.0, 2.0, 6.0)


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
