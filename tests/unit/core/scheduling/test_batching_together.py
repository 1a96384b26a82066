"""Items of one request are accepted or refused together, and end together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from schemas.errors import DeadlineExceeded, InvalidImage, NotReady, Overloaded
from service.core.scheduling.batch_item import Outcome
from tests.support.models.bench import LATER, Bench, answers, breathe
from tests.support.models.calls import ANYONE

pytestmark = pytest.mark.anyio


def together(bench: Bench, *items: str, deadline: float = LATER, owner: str = "") -> Together:
    return asyncio.create_task(
        bench.batcher.submit_all(items, deadline, replace(ANYONE, owner=owner))
    )


Together = asyncio.Task[list[Outcome[str]]]


async def test_answers_of_a_group_come_in_order() -> None:
    bench = Bench(max_batch_size=2)
    call = together(bench, "a", "b", "c")
    await breathe()
    bench.pool.drain()
    assert [outcome.answer for outcome in await call] == ["A", "B", "C"]
    assert [len(batch) for batch in bench.batches] == [2, 1]
    assert bench.depths[-1] == 0


async def test_other_callers_are_served_between_group_items() -> None:
    bench = Bench()
    call = together(bench, "a", "b", "c", owner="many")
    await breathe()
    (other,) = await bench.submit("x")
    bench.pool.drain()
    await answers(other)
    await call
    assert bench.prepared == ["a", "x", "b", "c"]


async def test_group_is_accepted_entirely_or_refused() -> None:
    bench = Bench(queue_capacity=3)
    (first,) = await bench.submit("x")
    with pytest.raises(Overloaded):
        await bench.batcher.submit_all(["a", "b", "c"], LATER, ANYONE)
    assert bench.batcher.depth == 1
    two = together(bench, "a", "b")
    await breathe()
    assert bench.batcher.depth == 3
    bench.pool.drain()
    assert await answers(first) == ["X"]
    assert len(await two) == 2
    assert bench.rejections == ["queue_full"]


async def test_first_failure_skips_the_rest_of_the_group() -> None:
    bench = Bench()
    call = together(bench, "a", "bad image", "c", "d")
    (mate,) = await bench.submit("x")
    bench.pool.step(2)
    await breathe()
    bench.pool.drain()
    with pytest.raises(InvalidImage):
        await call
    assert await answers(mate) == ["X"]
    assert {"c", "d"}.isdisjoint(bench.prepared)
    await breathe()
    assert bench.batcher.depth == 0


async def test_cancelled_caller_cancels_the_whole_group() -> None:
    bench = Bench()
    call = together(bench, "a", "b")
    await breathe()
    call.cancel()
    await breathe()
    bench.pool.drain()
    await breathe()
    assert (bench.prepared, bench.batcher.depth) == ([], 0)


async def test_expired_group_is_rejected_once() -> None:
    bench = Bench()
    call = together(bench, "a", "b", "c", deadline=0.01)
    with pytest.raises(DeadlineExceeded):
        await call
    assert bench.rejections == ["deadline"]
    bench.pool.drain()
    await breathe()
    assert (bench.prepared, bench.batcher.depth) == ([], 0)


async def test_group_is_refused_where_a_single_item_is_accepted() -> None:
    bench = Bench()

    def takes_a_second() -> None:
        bench.now += 1

    bench.during_run = takes_a_second
    (known,) = await bench.submit("x")
    bench.pool.drain()
    await answers(known)
    waiting = together(bench, *"abcd", owner="other")
    await breathe()
    with pytest.raises(Overloaded) as caught:
        await bench.batcher.submit_all(list("efgh"), bench.now + 7, replace(ANYONE, owner="me"))
    assert caught.value.expected_wait == 4
    assert bench.rejections == ["would_be_late"]
    (one,) = await bench.submit("y", deadline=bench.now + 7)
    bench.pool.drain()
    assert len(await waiting) == 4
    assert await answers(one) == ["Y"]


async def test_closed_batcher_refuses_a_group() -> None:
    bench = Bench()
    await bench.batcher.close()
    with pytest.raises(NotReady):
        await bench.batcher.submit_all(["a"], LATER, ANYONE)
