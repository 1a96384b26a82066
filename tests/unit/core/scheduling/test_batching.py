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

pytestmark = pytest.mark.anyio


# 1. Every accepted item is answered exactly once, with an answer or an error.


async def test_every_item_gets_its_own_answer() -> None:
    bench = Bench(max_batch_size=3)
    tasks = await bench.submit("a", "b", "c", "d")
    bench.pool.drain()
    assert await answers(*tasks) == ["A", "B", "C", "D"]
    assert sorted(itertools.chain(*bench.batches)) == ["a", "b", "c", "d"]
    assert bench.batcher.depth == 0


async def test_a_service_error_of_preparing_is_answered_as_it_is() -> None:
    bench = Bench()
    (task,) = await bench.submit("bad image")
    bench.pool.drain()
    with pytest.raises(InvalidImage):
        await answers(task)
    assert bench.batcher.depth == 0


@pytest.mark.parametrize(
    ("item", "cause"), [("bug", ZeroDivisionError), ("bad input", RuntimeError)]
)
async def test_any_other_error_is_answered_as_a_failed_inference(
    item: str, cause: type[Exception]
) -> None:
    bench = Bench()
    (task,) = await bench.submit(item)
    bench.pool.drain()
    with pytest.raises(InferenceFailed) as caught:
        await answers(task)
    assert isinstance(caught.value.__cause__, cause)
    assert bench.batcher.depth == 0


# 2. An item that is cancelled, late or failing never harms its batch-mates.


async def test_a_batch_mate_cancelled_before_it_was_prepared_is_left_out() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "b", "c")
    second.cancel()
    await breathe()
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    assert bench.prepared == ["a", "c"]
    assert bench.batches == [["a", "c"]]


async def test_a_batch_mate_cancelled_after_it_was_prepared_is_left_out() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "b", "c")
    bench.pool.step(2)
    second.cancel()
    await breathe()
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    assert bench.batches == [["a", "c"]]
    assert bench.batcher.depth == 0


async def test_an_item_cancelled_while_it_runs_does_not_harm_the_others() -> None:
    bench = Bench(max_batch_size=2)
    first, second = await bench.submit("a", "b")
    bench.pool.drain()  # both have run; the loop has not heard of it
    first.cancel()
    assert await answers(second) == ["B"]
    with pytest.raises(asyncio.CancelledError):
        await first
    assert bench.batcher.depth == 0


async def test_a_late_batch_mate_is_left_out() -> None:
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
async def test_a_batch_mate_that_cannot_be_prepared_never_joins(
    bad: str, error: type[ServiceError]
) -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", bad, "c")
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    with pytest.raises(error):
        await answers(second)
    assert bench.batches == [["a", "c"]]


async def test_when_a_batch_fails_each_item_runs_once_more_alone() -> None:
    bench = Bench(max_batch_size=3)
    first, second, third = await bench.submit("a", "bad input", "c")
    bench.pool.drain()
    assert await answers(first, third) == ["A", "C"]
    with pytest.raises(InferenceFailed):
        await answers(second)
    assert bench.batches == [["a", "bad input", "c"], ["a"], ["bad input"], ["c"]]


async def test_bad_images_that_keep_coming_do_not_hold_up_a_good_one() -> None:
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


# 3. Items are prepared in order of arrival.


async def test_items_are_prepared_and_run_in_order_of_arrival() -> None:
    bench = Bench(max_batch_size=2)
    items = [str(number) for number in range(9)]
    tasks = await bench.submit(*items)
    bench.pool.drain()
    assert bench.prepared == items
    assert list(itertools.chain(*bench.batches)) == items
    assert await answers(*tasks) == items


# 4. At most queue_capacity items are held, cancelled ones included.


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    bench = Bench(queue_capacity=2)
    tasks = await bench.submit("a", "b")
    with pytest.raises(Overloaded) as caught:
        await asyncio.wait_for(bench.batcher.submit("c", LATER), 5)
    assert caught.value.retry_after == 1
    assert bench.rejections == ["queue_full"]
    bench.pool.drain()
    assert await answers(*tasks) == ["A", "B"]
    (again,) = await bench.submit("c")
    bench.pool.drain()
    assert await answers(again) == ["C"]
    assert "c" not in bench.batches[0]


async def test_cancelled_items_count_until_they_are_dropped() -> None:
    bench = Bench(queue_capacity=2)
    for task in await bench.submit("a", "b"):
        task.cancel()
    await breathe()
    assert bench.batcher.depth == 2
    with pytest.raises(Overloaded):
        await asyncio.wait_for(bench.batcher.submit("c", LATER), 5)
    bench.pool.drain()
    await breathe()
    assert bench.batcher.depth == 0
    assert bench.prepared == []


async def test_the_depth_is_told_whenever_it_changes() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit("a", "bad image", "c")
    tasks[2].cancel()
    await breathe()
    bench.pool.drain()
    await breathe()
    assert bench.depths == [1, 2, 3, 2, 1, 0]
    assert [isinstance(task.exception(), InvalidImage) for task in tasks[:2]] == [False, True]


# 5. An item whose deadline has passed is neither prepared nor run; time is monotonic.


async def test_an_item_that_comes_too_late_is_refused_at_the_door() -> None:
    bench = Bench()
    bench.now = 5
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(bench.batcher.submit("a", 5), 5)
    assert (bench.rejections, bench.depths, len(bench.pool.jobs)) == (["deadline"], [], 0)


async def test_an_item_that_waited_too_long_is_not_prepared() -> None:
    bench = Bench()
    (task,) = await bench.submit("a", deadline=10)
    bench.now = 10
    bench.pool.drain()
    with pytest.raises(DeadlineExceeded):
        await answers(task)
    assert (bench.prepared, bench.batches, bench.rejections) == ([], [], ["deadline"])


async def test_the_caller_hears_of_the_deadline_at_once_even_if_no_thread_is_free() -> None:
    bench = Bench()
    (task,) = await bench.submit("a", deadline=0.01)
    with pytest.raises(DeadlineExceeded):
        await answers(task)
    assert bench.batcher.depth == 1  # a thread still has to drop it
    bench.pool.drain()
    await breathe()
    assert (bench.batcher.depth, bench.prepared) == (0, [])
    assert bench.rejections == ["deadline"], "counted once"


async def test_an_item_that_became_late_in_a_failed_batch_is_not_run_again() -> None:
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


async def test_time_is_monotonic() -> None:
    assert inspect.signature(Batcher).parameters["clock"].default is time.monotonic


# 6. close refuses new items, answers the accepted ones, then returns.


async def test_closing_refuses_new_items_and_answers_the_accepted_ones() -> None:
    bench = Bench(max_batch_size=2)
    tasks = await bench.submit("a", "bad image", "c")
    closing = asyncio.create_task(bench.batcher.close())
    await breathe()
    with pytest.raises(NotReady) as caught:
        await asyncio.wait_for(bench.batcher.submit("d", LATER), 5)
    assert caught.value.retry_after == 5
    assert not closing.done()
    bench.pool.drain()
    await asyncio.wait_for(closing, 5)
    assert [isinstance(task.exception(), InvalidImage) for task in tasks] == [False, True, False]


async def test_closing_waits_for_cancelled_items_too() -> None:
    bench = Bench()
    (task,) = await bench.submit("a")
    task.cancel()
    closing = asyncio.create_task(bench.batcher.close())
    await breathe()
    assert not closing.done()
    bench.pool.drain()
    await asyncio.wait_for(closing, 5)


async def test_closing_an_idle_batcher_returns_at_once_and_may_be_repeated() -> None:
    bench = Bench()
    await asyncio.wait_for(bench.batcher.close(), 5)
    await asyncio.wait_for(bench.batcher.close(), 5)
