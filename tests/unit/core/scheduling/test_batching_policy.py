"""Forming of batches: waiting items, maximum size, maximum concurrency."""

from __future__ import annotations

import asyncio

import pytest

from schemas.errors import DeadlineExceeded, InferenceFailed, Overloaded
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import SLOW_CAPACITY, Batcher
from tests.support.models.bench import LATER, Bench, ManualPool, answers, breathe
from tests.support.models.calls import ANYONE

pytestmark = pytest.mark.anyio


async def test_lone_item_runs_at_once() -> None:
    bench = Bench(max_batch_size=8)
    tasks = await bench.submit("a")
    bench.pool.step()
    assert bench.batches == [["a"]]
    assert await answers(*tasks) == ["A"]


async def test_waiting_items_form_one_batch() -> None:
    bench = Bench(max_batch_size=8)
    tasks = await bench.submit("a", "b", "c")
    bench.pool.step(2)
    assert bench.batches == [], "the third is still to be prepared"
    bench.pool.step()
    assert bench.batches == [["a", "b", "c"]]
    assert await answers(*tasks) == ["A", "B", "C"]


async def test_batch_never_exceeds_the_maximum_size() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit(*"abcde")
    bench.pool.step(5)
    assert [len(batch) for batch in bench.batches] == [2, 2, 1]
    assert await answers(*tasks) == list("ABCDE")


async def test_item_runs_once_prepared_with_batch_size_one() -> None:
    bench = Bench()
    tasks = await bench.submit("a", "b")
    bench.pool.step()
    assert bench.batches == [["a"]]
    bench.pool.step()
    assert bench.batches == [["a"], ["b"]]
    assert await answers(*tasks) == ["A", "B"]


async def test_items_prepared_during_a_run_form_the_next_batch() -> None:
    bench = Bench(max_batch_size=2, instances=1)
    tasks = await bench.submit(*"abcd")

    bench.during_run = bench.pool.drain  # another thread prepares the rest meanwhile
    bench.pool.step(2)
    assert bench.batches == [["a", "b"], ["c", "d"]]
    assert await answers(*tasks) == list("ABCD")


async def test_concurrent_runs_never_exceed_the_instances() -> None:
    bench = Bench(max_batch_size=1, instances=1)
    tasks = await bench.submit("a", "b", "c")

    bench.during_run = bench.pool.drain
    bench.pool.step()
    assert bench.most_at_a_time == 1
    assert bench.batches == [["a"], ["b"], ["c"]], "whoever runs takes the next one too"
    assert await answers(*tasks) == ["A", "B", "C"]


async def test_all_instances_run_concurrently() -> None:
    bench = Bench(max_batch_size=1, instances=2)
    tasks = await bench.submit("a", "b", "c")

    bench.during_run = bench.pool.drain
    bench.pool.step()
    assert bench.most_at_a_time == 2
    assert await answers(*tasks) == ["A", "B", "C"]


async def test_instance_is_released_after_a_cancelled_batch() -> None:
    bench = Bench(max_batch_size=2, instances=1)
    leavers = await bench.submit("a", "b")
    bench.pool.step()
    for task in leavers:
        task.cancel()
    await breathe()
    bench.pool.step()
    assert bench.batches == []
    tasks = await bench.submit("c")
    bench.pool.step()
    assert await answers(*tasks) == ["C"]


async def test_queue_delay_collects_items_into_one_batch() -> None:
    bench = Bench(max_batch_size=8, max_queue_delay=10)
    first = await bench.submit("a")
    bench.pool.step()
    assert bench.batches == []
    bench.now = 9
    second = await bench.submit("b")
    bench.pool.step()
    assert bench.batches == []
    bench.now = 10
    third = await bench.submit("c")
    bench.pool.step()
    assert bench.batches == [["a", "b", "c"]]
    assert await answers(*first, *second, *third) == ["A", "B", "C"]


async def test_full_batch_does_not_wait_for_the_delay() -> None:
    bench = Bench(max_batch_size=2, max_queue_delay=10)
    tasks = await bench.submit("a", "b")
    bench.pool.step(2)
    assert bench.batches == [["a", "b"]]
    assert await answers(*tasks) == ["A", "B"]


async def test_batch_of_a_preferred_size_does_not_wait() -> None:
    bench = Bench(max_batch_size=8, preferred_batch_sizes=(2, 4), max_queue_delay=10)
    tasks = await bench.submit("a")
    bench.pool.step()
    assert bench.batches == []
    tasks += await bench.submit("b")
    bench.pool.step()
    assert bench.batches == [["a", "b"]]
    tasks += await bench.submit("c", "d", "e", "f", "g")
    bench.pool.step(5)
    assert bench.batches == [["a", "b"], ["c", "d", "e", "f"]]
    bench.now = 10
    tasks += await bench.submit("h")
    bench.pool.step()
    assert bench.batches == [["a", "b"], ["c", "d", "e", "f"], ["g", "h"]]
    assert await answers(*tasks) == list("ABCDEFGH")


async def test_preferred_sizes_above_the_models_limit_are_dropped() -> None:
    policy = BatchPolicy(max_batch_size=8, preferred_batch_sizes=(2, 4)).up_to(3)
    assert (policy.max_batch_size, policy.preferred_batch_sizes) == (3, (2,))
    assert BatchPolicy(max_batch_size=8).up_to(None) == BatchPolicy(max_batch_size=8)


async def test_incomplete_batch_runs_after_the_delay() -> None:
    bench = Bench(max_batch_size=8, max_queue_delay=0.005)
    tasks = await bench.submit("a")
    bench.pool.step()
    assert bench.batches == []
    bench.now = 1
    await asyncio.wait_for(bench.pool.has_jobs.wait(), 5)  # the timer of the delay
    bench.pool.step()
    assert bench.batches == [["a"]]
    assert await answers(*tasks) == ["A"]


async def test_early_timer_is_rescheduled() -> None:
    bench = Bench(max_batch_size=8, max_queue_delay=0.005)
    tasks = await bench.submit("a")
    bench.pool.step()
    for bench.now in (0.001, 0.004, 0.005):
        await asyncio.wait_for(bench.pool.has_jobs.wait(), 5)
        bench.pool.step()
        assert (len(bench.batches) == 1) is (bench.now == 0.005)
    assert await answers(*tasks) == ["A"]


async def test_wrong_number_of_results_fails_only_the_items() -> None:
    pool = ManualPool()
    batcher = Batcher[str, str, str](
        pool,
        BatchPolicy(max_batch_size=2),
        lambda raw, _: raw,
        lambda items: [*items, "one too many"],
    )
    loop = asyncio.get_running_loop()
    tasks = [
        asyncio.create_task(batcher.submit(item, loop.time() + LATER, ANYONE))
        for item in ("a", "b")
    ]
    await breathe()
    pool.step(2)
    for task in tasks:
        with pytest.raises(InferenceFailed) as caught:
            await task
        assert "1 items ran, 2 answers came" in str(caught.value.__cause__)
    assert batcher.depth == 0


async def test_queue_and_run_times_are_reported_separately() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit("a")
    bench.now = 3
    tasks += await bench.submit("b")

    def takes_seven_seconds() -> None:
        bench.now += 7

    bench.during_run = takes_seven_seconds
    bench.pool.step(2)
    first, second = await asyncio.gather(*tasks)
    assert (first.queue_seconds, first.run_seconds) == (3, 7)
    assert (second.queue_seconds, second.run_seconds) == (0, 7)


async def test_slow_item_runs_on_its_own_lane() -> None:
    bench = Bench()
    slow, quick = await bench.submit("slow one", "quick")
    bench.pool.drain()
    assert await answers(quick) == ["QUICK"]
    assert not slow.done()
    assert bench.batcher.depth == 1
    bench.pool.slow_step()
    assert await answers(slow) == ["SLOW ONE"]
    assert bench.batcher.depth == 0


async def test_slow_lane_has_a_capacity() -> None:
    bench = Bench()
    tasks = await bench.submit(*(f"slow {number}" for number in range(SLOW_CAPACITY + 1)))
    bench.pool.drain()
    with pytest.raises(Overloaded) as caught:
        await asyncio.wait_for(tasks.pop(), 5)
    assert caught.value.retry_after == 2
    assert bench.rejections == ["queue_full"]
    bench.pool.slow_step()
    (again,) = await bench.submit("slow again")
    bench.pool.drain()
    while bench.pool.slow_lane:
        bench.pool.slow_step()
    assert len(await answers(*tasks, again)) == SLOW_CAPACITY + 1


async def test_late_slow_item_is_not_prepared() -> None:
    bench = Bench()
    (slow,) = await bench.submit("slow one", deadline=1.0)
    bench.pool.drain()
    bench.now = 2.0
    bench.pool.slow_step()
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(slow, 5)
    assert bench.prepared == []
