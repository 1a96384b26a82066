"""Items of several callers that are waited for together; those that fit a batch are one job.

A job, a task and a future for each would cost more than a small item does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from schemas.errors import DeadlineExceeded, ServiceError
from service.core.engine.fair_queue import Turn
from service.core.engine.pool import WorkerPool
from service.core.scheduling.batch_item import Answer, Group, Item, Outcome, Place, Raw, Ready
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import Batcher
from service.core.scheduling.call_context import CallContext

PrepareEach = Callable[[Sequence[Raw]], Sequence[Ready | Exception]]


class GroupBatcher(Batcher[Raw, Ready, Answer]):
    """A batcher that also takes groups.

    A group is prepared in one step and runs as a batch of its own. It waits in the turn of its
    first item's caller, and takes as many turns of it as it has items: what forms groups lets
    callers take turns within them.
    """

    def __init__(
        self,
        pool: WorkerPool,
        policy: BatchPolicy,
        prepare: Callable[[Raw, bool], Ready],
        run: Callable[[list[Ready]], list[Answer]],
        *,
        prepare_each: PrepareEach[Raw, Ready] | None = None,
        on_depth: Callable[[int], None] = lambda _: None,
        on_reject: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build a batcher; see ``Batcher``.

        Args:
            prepare_each: prepares the items of a group in one step, each to a runnable one or its
                error; None: each item is a job of its own.
        """
        super().__init__(
            pool, policy, prepare, run, on_depth=on_depth, on_reject=on_reject, clock=clock
        )
        self._prepare_each = prepare_each

    async def submit_each(
        self, raws: Sequence[Raw], deadline: float, calls: Sequence[CallContext]
    ) -> list[Outcome[Answer] | ServiceError]:
        """Submit items of several callers, and wait until each has its answer or its error.

        Args:
            calls: one for each item.

        Raises:
            NotReady: while closing.
        """
        self._check_open()
        self._loop = asyncio.get_running_loop()
        now = self._clock()
        group: Group[Outcome[Answer]] = Group(self._loop, len(raws))
        items: list[Item[Raw, Ready, Answer]] = []
        most = 1 if self._prepare_each is None else self._policy.max_batch_size
        begin = 0
        while begin < len(raws):
            end = self._end_of_group(calls, begin, most)
            turn = self._turn(calls[begin])
            try:
                self._check(deadline - now, turn, end - begin)
            except ServiceError as error:
                if end - begin == 1:
                    group.settle(begin, error)
                    begin = end
                most = 1  # perhaps there is room for some
                continue
            part: list[Item[Raw, Ready, Answer]] = [
                Item(turn, raws[number], Place(group, number), deadline, now)
                for number in range(begin, end)
            ]
            items += part
            self._enqueue(part, turn)
            begin = end
        timer = self._loop.call_later(deadline - now, self._expire_each, items)
        try:
            await group.done
        finally:
            timer.cancel()
        return group.results()

    def _end_of_group(self, calls: Sequence[CallContext], begin: int, most: int) -> int:
        """Return where the items end that may be one job: they have the same priority."""
        end, stop = begin + 1, min(begin + most, len(calls))
        priority = calls[begin].priority
        while end < stop and calls[end].priority is priority:
            end += 1
        return end

    def _enqueue(self, part: list[Item[Raw, Ready, Answer]], turn: Turn) -> None:
        count = len(part)
        with self._lock:
            if count > 1:
                self._grouped += count
            else:
                self._waiting += 1
        self._count(count)
        job = partial(self._step_together, part) if count > 1 else partial(self._step, part[0])
        self._pool.submit_all((job,), turn, count)

    def _expire_each(self, items: Sequence[Item[Raw, Ready, Answer]]) -> None:
        for item in items:
            if not item.future.done():
                self._on_reject("deadline")
                item.future.set_exception(DeadlineExceeded())

    # On the pool's threads from here on.

    def _step_together(self, items: Sequence[Item[Raw, Ready, Answer]]) -> None:
        """Prepare and run a group, whose turn it is."""
        with self._lock:
            self._grouped -= len(items)
        alive = [item for item in items if self._is_worth_it(item)]
        ready = self._prepared(alive) if alive else []
        policy = self._policy
        with self._lock:
            is_batch = (
                bool(ready)
                and not (self._ready or policy.max_queue_delay)
                and self._running < policy.instances
            )
            if is_batch:
                self._running += 1
            elif ready:
                if not self._ready:
                    self._mates = self._waiting
                self._ready.extend(ready)
        if is_batch:
            self._run_batch(ready)
            with self._lock:
                self._running -= 1
        self._run_due()

    def _prepared(
        self, items: Sequence[Item[Raw, Ready, Answer]]
    ) -> list[Item[Raw, Ready, Answer]]:
        """Prepare items in one step; return those that may run."""
        assert self._prepare_each is not None  # noqa: S101 - else there are no groups
        began = self._clock()
        try:
            found = self._prepare_each([item.raw for item in items])  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - raised in the callers of these items
            found = [error] * len(items)
        ended = self._clock()
        ready = []
        for item, one in zip(items, found, strict=True):
            item.raw, item.waited, item.prepared = None, began - item.accepted, ended
            if isinstance(one, Exception):
                self._settle(item, one)
            else:
                item.ready = one
                ready.append(item)
        with self._lock:
            self._throughput.prepared((ended - began) / len(items))
        return ready
