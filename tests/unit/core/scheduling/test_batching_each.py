"""Items of several callers that are waited for together, each with a result of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.errors import DeadlineExceeded, InvalidImage, NotReady, Overloaded, ServiceError
from service.core.scheduling.batch_item import Outcome
from tests.support.models.bench import LATER, Bench, answers, breathe
from tests.support.models.calls import ANYONE

pytestmark = pytest.mark.anyio

Each = asyncio.Task[list[Outcome[str] | ServiceError]]


def each(bench: Bench, *items: str, deadline: float = LATER, owners: Sequence[str] = ()) -> Each:
    calls = [replace(ANYONE, owner=owner) for owner in owners or [""] * len(items)]
    return asyncio.create_task(bench.batcher.submit_each(items, deadline, calls))


def shown(results: Sequence[Outcome[str] | ServiceError]) -> list[object]:
    return [one.answer if isinstance(one, Outcome) else type(one) for one in results]


async def test_results_come_in_order() -> None:
    bench = Bench(max_batch_size=2)
    call = each(bench, "a", "b", "c")
    await breathe()
    bench.pool.drain()
    assert shown(await call) == ["A", "B", "C"]
    assert [len(batch) for batch in bench.batches] == [2, 1]
    assert bench.depths[-1] == 0


async def test_a_failure_is_that_of_its_item_alone() -> None:
    bench = Bench()
    call = each(bench, "a", "bad image", "c")
    await breathe()
    bench.pool.drain()
    assert shown(await call) == ["A", InvalidImage, "C"]


async def test_what_finds_no_room_is_refused_and_the_others_run() -> None:
    bench = Bench(queue_capacity=2)
    (first,) = await bench.submit("x")
    call = each(bench, "a", "b", "c")
    await breathe()
    assert bench.batcher.depth == 2
    bench.pool.drain()
    assert shown(await call) == ["A", Overloaded, Overloaded]
    assert await answers(first) == ["X"]
    assert bench.rejections == ["queue_full", "queue_full"]


async def test_nothing_is_run_if_all_are_refused() -> None:
    bench = Bench(queue_capacity=1)
    (first,) = await bench.submit("x")
    assert shown(await each(bench, "a", "b")) == [Overloaded, Overloaded]
    bench.pool.drain()
    assert await answers(first) == ["X"]
    assert bench.prepared == ["x"]


async def test_callers_take_turns() -> None:
    bench = Bench()
    call = each(bench, "a", "b", "x", owners=["many", "many", "one"])
    await breathe()
    bench.pool.drain()
    await call
    assert bench.prepared == ["a", "x", "b"]


async def test_items_past_the_deadline_fail_and_are_not_run() -> None:
    bench = Bench()
    results = await each(bench, "a", "b", deadline=bench.clock() + 0.01)
    assert shown(results) == [DeadlineExceeded, DeadlineExceeded]
    bench.pool.drain()
    await breathe()
    assert bench.batches == []
    assert bench.batcher.depth == 0


async def test_items_of_a_cancelled_call_are_not_run() -> None:
    bench = Bench()
    call = each(bench, "a", "b")
    await breathe()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    bench.pool.drain()
    await breathe()
    assert bench.batches == []
    assert bench.batcher.depth == 0


async def test_a_closing_batcher_refuses_all() -> None:
    bench = Bench()
    await bench.batcher.close()
    with pytest.raises(NotReady):
        await each(bench, "a")
