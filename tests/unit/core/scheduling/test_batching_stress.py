"""The batcher on real threads: every caller gets one result, and nothing leaks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidImage,
    Overloaded,
    UnsupportedImage,
)
from service.core.engine.pool import WorkerPool
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import Batcher
from tests.support.models.calls import ANYONE
from tests.support.suite.examples import examples

PATIENCE = 20.0
"""Seconds after which a test that hangs fails."""


@dataclass(frozen=True)
class Caller:
    """One caller. ``turns``: event loop turns it waits before it submits.

    patience: seconds to its deadline; leaves_after: turns after which it cancels, None for never.
    """

    image: str
    turns: int
    patience: float
    leaves_after: int | None


callers = st.builds(
    Caller,
    image=st.sampled_from(["good", "good", "good", "broken", "crashes", "poison"]),
    turns=st.integers(0, 5),
    patience=st.sampled_from([60.0, 60.0, 60.0, 0.001, 0.0]),
    leaves_after=st.sampled_from([None, None, None, 0, 1, 3]),
)
policies = st.builds(
    BatchPolicy,
    max_batch_size=st.integers(1, 5),
    preferred_batch_sizes=st.sampled_from([(), (2,), (2, 4)]),
    max_queue_delay=st.sampled_from([0.0, 0.0, 0.001]),
    queue_capacity=st.sampled_from([3, 1000]),
    instances=st.integers(1, 3),
)


class Stage:
    """Behaviour of the threads, and a record of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: Counter[int] = Counter()
        self.sizes: list[int] = []
        self.at_a_time = self.most_at_a_time = 0

    def prepare(self, raw: tuple[int, str], _: bool) -> tuple[int, str]:
        if raw[1] == "broken":
            raise InvalidImage
        if raw[1] == "crashes":
            raise ZeroDivisionError
        return raw

    def run(self, items: list[tuple[int, str]]) -> list[int]:
        with self.lock:
            self.at_a_time += 1
            self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
            self.sizes.append(len(items))
            self.runs.update(number for number, _ in items)
        try:
            if any(image == "poison" for _, image in items):
                raise UnsupportedImage
            return [number for number, _ in items]
        finally:
            with self.lock:
                self.at_a_time -= 1


ALLOWED: dict[str, set[type[BaseException]]] = {
    "good": set(),
    "broken": {InvalidImage},
    "crashes": {InferenceFailed},
    "poison": {UnsupportedImage},
}


async def play(crowd: list[Caller], policy: BatchPolicy, stage: Stage) -> None:
    pool = WorkerPool("stress", 3)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    depths = [0]
    batcher = Batcher(pool, policy, stage.prepare, stage.run, on_depth=depths.append)

    async def call(number: int, caller: Caller) -> int:
        for _ in range(caller.turns):
            await asyncio.sleep(0)
        deadline = time.monotonic() + caller.patience
        return (await batcher.submit((number, caller.image), deadline, ANYONE)).answer

    async def leave(task: asyncio.Task[int], after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()

    try:
        tasks = [asyncio.create_task(call(*numbered)) for numbered in enumerate(crowd)]
        leavers = [
            asyncio.create_task(leave(task, caller.leaves_after))
            for task, caller in zip(tasks, crowd, strict=True)
            if caller.leaves_after is not None
        ]
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*leavers)
            await batcher.close()
    finally:
        pool.close()
    assert faults == [], "nothing was answered twice"
    assert batcher.depth == 0
    assert depths[-1] == 0
    assert min(depths) >= 0
    assert max(depths) <= policy.queue_capacity
    for number, (caller, result) in enumerate(zip(crowd, results, strict=True)):
        if isinstance(result, int):
            assert caller.image == "good"
            assert result == number, "an answer that belongs to somebody else"
            continue
        allowed = {Overloaded, *ALLOWED[caller.image]}
        if caller.patience < 1:
            allowed.add(DeadlineExceeded)
        if caller.leaves_after is not None:
            allowed.add(asyncio.CancelledError)
        assert type(result) in allowed, (caller, result)


@examples(150)
@given(st.lists(callers, min_size=1, max_size=25), policies)
def test_every_caller_is_answered_once_under_random_load(
    crowd: list[Caller], policy: BatchPolicy
) -> None:
    stage = Stage()
    asyncio.run(play(crowd, policy, stage))
    assert all(size <= policy.max_batch_size for size in stage.sizes)
    assert stage.most_at_a_time <= policy.instances
    assert all(count <= 2 for count in stage.runs.values()), "once together, once alone"


def test_thousand_callers_are_all_answered() -> None:
    crowd = [Caller("good", number % 7, 60.0, None) for number in range(1000)]
    stage = Stage()
    asyncio.run(play(crowd, BatchPolicy(max_batch_size=8, queue_capacity=1000), stage))
    assert sorted(stage.runs.elements()) == list(range(1000))
