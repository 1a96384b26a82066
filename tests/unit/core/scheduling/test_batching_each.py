"""Items of several callers that are waited for together, each with a result of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidImage,
    NotReady,
    Overloaded,
    ServiceError,
)
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.priority import Priority
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


async def test_group_is_prepared_and_run_as_one_job() -> None:
    bench = Bench(max_batch_size=3, is_grouping=True)
    call = each(bench, "a", "b", "c", "d")
    await breathe()
    bench.pool.step()
    assert bench.groups == [["a", "b", "c"]]
    assert bench.batches == [["a", "b", "c"]]
    bench.pool.drain()
    assert shown(await call) == ["A", "B", "C", "D"]
    assert bench.depths[-1] == 0


async def test_items_of_a_group_fail_alone() -> None:
    bench = Bench(max_batch_size=4, is_grouping=True)
    call = each(bench, "a", "bad image", "bad input", "d")
    await breathe()
    bench.pool.drain()
    assert shown(await call) == ["A", InvalidImage, InferenceFailed, "D"]
    assert bench.depths[-1] == 0


async def test_group_that_cannot_be_prepared_fails() -> None:
    bench = Bench(max_batch_size=2, is_grouping=True)
    call = each(bench, "a", "bug")
    await breathe()
    bench.pool.drain()
    assert shown(await call) == [InferenceFailed, InferenceFailed]
    assert bench.batches == []


async def test_part_of_a_group_finds_room() -> None:
    bench = Bench(max_batch_size=4, queue_capacity=3, is_grouping=True)
    (first,) = await bench.submit("x")
    call = each(bench, "a", "b", "c")
    await breathe()
    bench.pool.drain()
    assert shown(await call) == ["A", "B", Overloaded]
    assert await answers(first) == ["X"]


async def test_late_item_of_a_group_is_not_run() -> None:
    bench = Bench(max_batch_size=4, is_grouping=True)
    call = each(bench, "a", "b", deadline=bench.clock() + 1)
    await breathe()
    bench.now += 2
    bench.pool.drain()
    assert shown(await call) == [DeadlineExceeded, DeadlineExceeded]
    assert bench.groups == bench.batches == []


async def test_group_takes_as_many_turns_as_it_has_items() -> None:
    bench = Bench(max_batch_size=3, is_grouping=True)
    calls = [each(bench, *names, owners=["many"] * 3) for names in ("abc", "def")]
    await breathe()
    ones = [each(bench, name, owners=["one"]) for name in "wxyz"]
    await breathe()
    bench.pool.drain()
    await asyncio.gather(*calls, *ones)
    assert "".join(bench.prepared) == "wxabcyzdef"


async def test_items_of_another_priority_are_another_group() -> None:
    bench = Bench(max_batch_size=4, is_grouping=True)
    urgent = replace(ANYONE, priority=Priority.INTERACTIVE)
    calls = [ANYONE, ANYONE, urgent, urgent]
    call = asyncio.create_task(bench.batcher.submit_each("abcd", LATER, calls))
    await breathe()
    bench.pool.drain()
    assert shown(await call) == [*"ABCD"]
    assert ["".join(batch) for batch in bench.batches] == ["cd", "ab"]


async def test_group_waits_for_mates_where_batches_do() -> None:
    bench = Bench(max_batch_size=4, max_queue_delay=1.0, is_grouping=True)
    call = each(bench, "a", "b")
    await breathe()
    bench.pool.drain()
    assert bench.batches == []
    others = each(bench, "c", "d")
    await breathe()
    bench.pool.drain()
    assert shown(await call) + shown(await others) == [*"ABCD"]
    assert bench.batches == [["a", "b", "c", "d"]]


async def test_group_leaves_waiting_items_their_batch() -> None:
    bench = Bench(max_batch_size=2, is_grouping=True)
    (first, second) = await bench.submit("x", "y")
    call = each(bench, "a", "b")
    await breathe()
    bench.pool.drain()
    assert await answers(first, second) == ["X", "Y"]
    assert shown(await call) == ["A", "B"]
    assert bench.batches == [["x", "y"], ["a", "b"]]
