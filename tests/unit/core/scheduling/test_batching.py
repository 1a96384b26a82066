"""The batcher's six invariants, tested with a manual pool and clock."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time

import pytest

from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidImage,
    NotReady,
    Overloaded,
    ServiceError,
)
from service.core.scheduling.batching import Batcher
from tests.support.models.bench import LATER, Bench, answers, breathe
from tests.support.models.calls import ANYONE

pytestmark = pytest.mark.anyio


# 1. Every accepted item is answered exactly once, with an answer or an error.


async def test_every_item_gets_its_own_answer() -> None:
    bench = Bench(max_batch_size=3)
    tasks = await bench.submit("a", "b", "c", "d")
    bench.pool.drain()
    assert await answers(*tasks) == ["A", "B", "C", "D"]
    assert sorted(itertools.chain(*bench.batches)) == ["a", "b", "c", "d"]
    assert bench.batcher.depth == 0


async def test_service_error_in_preparation_is_raised_unchanged() -> None:
    bench = Bench()
    (task,) = await bench.submit("bad image")
    bench.pool.drain()
    with pytest.raises(InvalidImage):
        await answers(task)
    assert bench.batcher.depth == 0


@pytest.mark.parametrize(
    ("item", "cause"), [("bug", ZeroDivisionError), ("bad input", RuntimeError)]
)
async def test_other_errors_raise_inference_failed(item: str, cause: type[Exception]) -> None:
    bench = Bench()
    (task,) = await bench.submit(item)
    bench.pool.drain()
    with pytest.raises(InferenceFailed) as caught:
        await answers(task)
    assert isinstance(caught.value.__cause__, cause)
    assert bench.batcher.depth == 0


# 2. An item that is cancelled, late or failing never harms its batch-mates.


async def test_item_cancelled_before_preparation_is_left_out() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "b", "c")
    second.cancel()
    await breathe()
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    assert bench.prepared == ["a", "c"]
    assert bench.batches == [["a", "c"]]


async def test_item_cancelled_after_preparation_is_left_out() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "b", "c")
    bench.pool.step(2)
    second.cancel()
    await breathe()
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    assert bench.batches == [["a", "c"]]
    assert bench.batcher.depth == 0


async def test_item_cancelled_while_running_does_not_affect_others() -> None:
    bench = Bench(max_batch_size=2)
    first, second = await bench.submit("a", "b")
    bench.pool.drain()  # both have run; the loop has not heard of it
    first.cancel()
    assert await answers(second) == ["B"]
    with pytest.raises(asyncio.CancelledError):
        await first
    assert bench.batcher.depth == 0


async def test_late_item_is_left_out_of_its_batch() -> None:
    bench = Bench(max_batch_size=3)
    first, third = await bench.submit("a", "c")
    (late,) = await bench.submit("late", deadline=10)
    bench.pool.step(2)
    bench.now = 11
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    with pytest.raises(DeadlineExceeded):
        await answers(late)


@pytest.mark.parametrize(("bad", "error"), [("bad image", InvalidImage), ("bug", InferenceFailed)])
async def test_unpreparable_item_never_joins_a_batch(bad: str, error: type[ServiceError]) -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", bad, "c")
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    with pytest.raises(error):
        await answers(second)
    assert bench.batches == [["a", "c"]]


async def test_failed_batch_is_retried_item_by_item() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "bad input", "c")
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    with pytest.raises(InferenceFailed):
        await answers(second)
    assert bench.batches == [["a", "bad input", "c"], ["a"], ["bad input"], ["c"]]


async def test_stream_of_bad_images_does_not_delay_a_good_one() -> None:
    bench = Bench(max_batch_size=4)
    tasks = await bench.submit("good", "bad image")
    for _ in range(20):
        bench.now += 0.001
        tasks += await bench.submit("bad image")
        bench.pool.step()
    ran = list(bench.batches)
    bench.pool.drain()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ran == [["good"]]


# 3. Each caller's items keep their order of arrival; test_fair_queue.py has the turns of callers.


async def test_items_run_in_arrival_order() -> None:
    bench = Bench(max_batch_size=2)
    items = [str(number) for number in range(9)]
    tasks = await bench.submit(*items)
    bench.pool.drain()
    assert bench.prepared == items
    assert list(itertools.chain(*bench.batches)) == items
    assert await answers(*tasks) == items


# 4. At most queue_capacity items are held, cancelled ones included.


async def test_full_queue_refuses_with_a_retry_delay() -> None:
    bench = Bench(queue_capacity=2)
    tasks = await bench.submit("a", "b")
    with pytest.raises(Overloaded) as caught:
        await asyncio.wait_for(bench.batcher.submit("c", LATER, ANYONE), 5)
    assert caught.value.retry_after == 1
    assert bench.rejections == ["queue_full"]
    bench.pool.drain()
    assert await answers(*tasks) == ["A", "B"]
    (again,) = await bench.submit("c")
    bench.pool.drain()
    assert await answers(again) == ["C"]
    assert "c" not in bench.batches[0]


async def test_cancelled_items_count_until_dropped() -> None:
    bench = Bench(queue_capacity=2)
    for task in await bench.submit("a", "b"):
        task.cancel()
    await breathe()
    assert bench.batcher.depth == 2
    with pytest.raises(Overloaded):
        await asyncio.wait_for(bench.batcher.submit("c", LATER, ANYONE), 5)
    bench.pool.drain()
    await breathe()
    assert bench.batcher.depth == 0
    assert bench.prepared == []


async def test_queue_depth_is_reported_on_every_change() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit("a", "bad image", "c")
    tasks[2].cancel()
    await breathe()
    bench.pool.drain()
    await breathe()
    assert bench.depths == [1, 2, 3, 2, 1, 0]
    assert [isinstance(task.exception(), InvalidImage) for task in tasks[:2]] == [False, True]


# 5. An item whose deadline has passed is neither prepared nor run; time is monotonic.


async def test_item_past_its_deadline_is_refused_on_submission() -> None:
    bench = Bench()
    bench.now = 5
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(bench.batcher.submit("a", 5, ANYONE), 5)
    assert (bench.rejections, bench.depths, bench.pool.has_waiting_jobs) == (
        ["deadline"],
        [],
        False,
    )


async def test_item_expired_in_the_queue_is_not_prepared() -> None:
    bench = Bench()
    (task,) = await bench.submit("a", deadline=10)
    bench.now = 10
    bench.pool.drain()
    with pytest.raises(DeadlineExceeded):
        await answers(task)
    assert (bench.prepared, bench.batches, bench.rejections) == ([], [], ["deadline"])


async def test_deadline_is_raised_promptly_without_a_free_thread() -> None:
    bench = Bench()
    (task,) = await bench.submit("a", deadline=0.01)
    with pytest.raises(DeadlineExceeded):
        await answers(task)
    assert bench.batcher.depth == 1  # a thread still has to drop it
    bench.pool.drain()
    await breathe()
    assert (bench.batcher.depth, bench.prepared) == (0, [])
    assert bench.rejections == ["deadline"], "counted once"


async def test_item_expired_in_a_failed_batch_is_not_retried() -> None:
    bench = Bench(max_batch_size=2)

    def takes_twenty_seconds() -> None:
        bench.now += 20

    bench.during_run = takes_twenty_seconds
    (late,) = await bench.submit("late", deadline=10)
    (bad,) = await bench.submit("bad input")
    bench.pool.drain()
    await breathe()
    late.exception()
    bad.exception()
    assert ["late"] not in bench.batches


async def test_default_clock_is_monotonic() -> None:
    assert inspect.signature(Batcher).parameters["clock"].default is time.monotonic


# 6. close refuses new items, answers the accepted ones, then returns.


async def test_close_refuses_new_items_and_answers_accepted_ones() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit("a", "bad image", "c")
    closing = asyncio.create_task(bench.batcher.close())
    await breathe()
    with pytest.raises(NotReady) as caught:
        await asyncio.wait_for(bench.batcher.submit("d", LATER, ANYONE), 5)
    assert caught.value.retry_after == 5
    assert not closing.done()
    bench.pool.drain()
    await asyncio.wait_for(closing, 5)
    assert [isinstance(task.exception(), InvalidImage) for task in tasks] == [False, True, False]


async def test_close_waits_for_cancelled_items() -> None:
    bench = Bench()
    (task,) = await bench.submit("a")
    task.cancel()
    closing = asyncio.create_task(bench.batcher.close())
    await breathe()
    assert not closing.done()
    bench.pool.drain()
    await asyncio.wait_for(closing, 5)


async def test_close_of_an_idle_batcher_is_immediate_and_repeatable() -> None:
    bench = Bench()
    await asyncio.wait_for(bench.batcher.close(), 5)
    await asyncio.wait_for(bench.batcher.close(), 5)
