"""A batcher with a manual pool and clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from schemas.errors import InvalidImage
from service.core.engine.fair_queue import Turn
from service.core.engine.pool import Job, Lane, SlowWork, WorkerPool
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.group_batching import GroupBatcher
from tests.support.models.calls import ANYONE

LATER = 1000.0
"""A deadline that no test reaches unless it moves the clock."""

Call = asyncio.Task[Outcome[str]]


class ManualPool(WorkerPool):
    """A pool that runs a job only when ``step`` is called, on the caller's thread.

    ``has_jobs`` is set when something is queued. ``clock``: seconds, to measure jobs with.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__("manual", 0, clock=clock)
        self.has_jobs = asyncio.Event()
        self.slow_lane = Lane(1, clock)  # beside the one that has a thread

    def submit_all(self, jobs: Sequence[Job], turn: Turn, count: int = 1) -> None:
        super().submit_all(jobs, turn, count)
        self.has_jobs.set()

    def submit_slowly(self, job: Job, turn: Turn | None = None) -> None:
        self.slow_lane.submit((job,), turn or self._own)

    def slow_step(self) -> None:
        self.slow_lane.run_next()

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._lane.run_next()
        self.has_jobs.clear()

    def drain(self) -> None:
        while self.has_waiting_jobs:
            self.step()


class Clock:
    """A clock that tests set, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A batcher that converts strings to upper case, and a record of its work.

    ``groups``: items that were prepared in one step.

    "bad image" and "bug" fail while they are prepared, "bad input" while it runs; what begins
    with "slow" belongs on the slow lane. ``during_run`` simulates other threads while a batch runs.
    """

    def __init__(
        self, beside: Bench | None = None, *, is_grouping: bool = False, **policy: object
    ) -> None:
        """Build it.

        Args:
            beside: another model on the same pool and clock.
            is_grouping: prepare groups in one step.
        """
        self.clock: Clock = beside.clock if beside else Clock()
        self.pool: ManualPool = beside.pool if beside else ManualPool(self.clock)
        self.prepared: list[str] = []
        self.batches: list[list[str]] = []
        self.groups: list[list[str]] = []
        self.depths: list[int] = []
        self.rejections: list[str] = []
        self.during_run: Callable[[], None] = lambda: None
        self.most_at_a_time = self._at_a_time = 0
        self.batcher = GroupBatcher(
            self.pool,
            BatchPolicy(**policy),  # type: ignore[arg-type]
            self._prepare,
            self._run,
            prepare_each=self._prepare_each if is_grouping else None,
            on_depth=self.depths.append,
            on_reject=self.rejections.append,
            clock=self.clock,
        )

    @property
    def now(self) -> float:
        """The time on the clock, in seconds."""
        return self.clock.now

    @now.setter
    def now(self, seconds: float) -> None:
        self.clock.now = seconds

    async def submit(self, *items: str, deadline: float = LATER) -> list[Call]:
        """Submit items one after the other; return when all of them are queued."""
        tasks = [asyncio.create_task(self.batcher.submit(item, deadline, ANYONE)) for item in items]
        await breathe()
        return tasks

    def _prepare(self, raw: str, may_be_slow: bool) -> str:
        if raw.startswith("slow") and not may_be_slow:
            raise SlowWork
        self.prepared.append(raw)
        if raw == "bad image":
            raise InvalidImage
        if raw == "bug":
            raise ZeroDivisionError
        return raw

    def _prepare_each(self, raws: Sequence[str]) -> list[str | Exception]:
        self.groups.append([*raws])
        self.prepared += raws
        if "bug" in raws:
            raise ZeroDivisionError
        return [InvalidImage() if raw == "bad image" else raw for raw in raws]

    def _run(self, items: list[str]) -> list[str]:
        self.batches.append(items)
        self._at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self._at_a_time)
        self.during_run()
        self._at_a_time -= 1
        if "bad input" in items:
            message = "the engine fell over"
            raise RuntimeError(message)
        return [item.upper() for item in items]


async def breathe() -> None:
    """Let the event loop run pending callbacks."""
    for _ in range(5):
        await asyncio.sleep(0)


async def answers(*calls: Call) -> list[str]:
    """The results; raises an item's exception."""
    return [outcome.answer for outcome in await asyncio.wait_for(asyncio.gather(*calls), 5)]
