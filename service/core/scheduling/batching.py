"""A dynamic batcher: runs the items of many callers through one model, alone or in batches.

Invariants, each a test:

1. every accepted item is answered exactly once, with an answer or an error;
2. an item that is cancelled, late or failing never harms its batch-mates;
3. models and callers take turns (``FairQueue``, in the pool), and each caller's items keep their
   order of arrival; slow items wait for each other only;
4. at most ``queue_capacity`` items are held, cancelled ones included, so memory is bounded;
5. an item whose deadline has passed is neither prepared nor run, and one that would wait past its
   deadline is refused at once; time is monotonic;
6. ``close`` refuses new items, answers the accepted ones, then returns.

Preparing (decoding) happens before an item may join a batch, so a bad image costs its batch-mates
nothing. A batch is made of items that already wait: with ``max_queue_delay`` 0 no item waits for
others. On CPUs a batch costs as much per image as single images do, so ``max_batch_size`` 1 with
one run per core is the fastest; larger batches are for accelerators.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Generic

from schemas.errors import DeadlineExceeded, InferenceFailed, NotReady, Overloaded, ServiceError
from service.core.engine.fair_queue import Flow, Turn
from service.core.engine.pool import SlowWork, WorkerPool
from service.core.scheduling.admission import Admission, ThroughputEstimator
from service.core.scheduling.batch_item import (
    Answer,
    Item,
    Outcome,
    Raw,
    Ready,
)
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import SHARES

SLOW_CAPACITY = 8
"""Largest number of slow items per model; more are refused."""


class Batcher(Generic[Raw, Ready, Answer]):
    """A batcher for one model. Submit on the event loop; the pool's threads prepare and run.

    Args:
        prepare: turns a raw item into a runnable one; may raise a ``ServiceError``. Its second
            argument says whether it may be slow; if not, it may raise ``SlowWork`` and is then
            called again on the pool's slow lane.
        run: answers a batch in order; if it raises, each item of the batch is run again alone.
        on_depth: called with the number of items held, whenever it changes.
        on_reject: called with ``queue_full``, ``would_be_late`` or ``deadline``.
    """

    def __init__(
        self,
        pool: WorkerPool,
        policy: BatchPolicy,
        prepare: Callable[[Raw, bool], Ready],
        run: Callable[[list[Ready]], list[Answer]],
        *,
        on_depth: Callable[[int], None] = lambda _: None,
        on_reject: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._policy = pool, policy
        self._prepare, self._run = prepare, run
        self._on_depth, self._on_reject = on_depth, on_reject
        self._clock = clock
        self._flow, self._slow_flow = Flow(), Flow()
        self._throughput = ThroughputEstimator(pool.size)
        self._admission = Admission(
            pool.expected_wait,
            policy.queue_capacity,
            self._throughput,
            on_reject,
            longest_wait=pool.longest_wait,
        )
        self._ready: deque[Item[Raw, Ready, Answer]] = deque()
        self._lock = threading.Lock()
        self._waiting = self._grouped = 0
        self._mates = 0
        self._running = 0
        self._slow = 0
        self._depth = 0
        self._is_closing = False
        self._drained = asyncio.Event()
        # Set by ``submit``: a model may be loaded on another thread.
        self._loop: asyncio.AbstractEventLoop

    @property
    def depth(self) -> int:
        """The number of items accepted and not yet settled."""
        return self._depth

    async def submit(self, raw: Raw, deadline: float, call: CallContext) -> Outcome[Answer]:
        """Submit one item and wait for its answer.

        Args:
            deadline: on the clock of this batcher, in seconds.
            call: gives owner and priority.

        Raises:
            Overloaded, NotReady: see ``admit``.
            DeadlineExceeded: at the deadline, in any state of the item.
            ServiceError: raised by ``prepare`` or ``run`` for this item.
        """
        (item,), (future,) = self._accept((raw,), deadline, call)
        timer = self._loop.call_later(item.deadline - item.accepted, self._expire, item)
        try:
            return await future
        finally:
            timer.cancel()

    def admit(self, allowed: float, call: CallContext) -> None:
        """Check that one item with ``allowed`` seconds left may be submitted now.

        Raises:
            Overloaded, DeadlineExceeded: see ``Admission.check``.
            NotReady: while closing.
        """
        self._check_open()
        self._check(allowed, self._turn(call))

    async def submit_all(
        self, raws: Sequence[Raw], deadline: float, call: CallContext
    ) -> list[Outcome[Answer]]:
        """Submit items that belong together: all of them are accepted, or all are refused.

        They wait and run like single items. The first failure fails the call, and the remaining
        items are cancelled. See ``submit``.
        """
        items, futures = self._accept(raws, deadline, call)
        first = items[0]
        timer = self._loop.call_later(first.deadline - first.accepted, self._expire, *items)
        try:
            return await asyncio.gather(*futures)
        finally:
            timer.cancel()
            for future in futures:
                future.cancel()

    async def close(self) -> None:
        """Refuse new items and return once every accepted one is settled."""
        self._is_closing = True
        if self._depth:
            await self._drained.wait()

    def _check_open(self) -> None:
        if self._is_closing:
            message = "The model is being stopped."
            raise NotReady(message, retry_after=5)

    def _check(self, allowed: float, turn: Turn, count: int = 1) -> None:
        self._admission.check(
            self._depth, allowed, turn, count, waiting=self._waiting + self._grouped
        )

    def _turn(self, call: CallContext) -> Turn:
        return Turn(self._flow, call.owner, call.weight, SHARES[call.priority])

    def _accept(
        self, raws: Sequence[Raw], deadline: float, call: CallContext
    ) -> tuple[list[Item[Raw, Ready, Answer]], list[asyncio.Future[Outcome[Answer]]]]:
        """Check the limits and queue all items in one step, or raise."""
        self._check_open()
        now = self._clock()
        turn = self._turn(call)
        self._check(deadline - now, turn, len(raws))
        self._loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Outcome[Answer]]] = [self._loop.create_future() for _ in raws]
        items: list[Item[Raw, Ready, Answer]] = [
            Item(turn, raw, future, deadline, now)
            for raw, future in zip(raws, futures, strict=True)
        ]
        with self._lock:
            self._waiting += len(items)
        self._count(len(items))
        self._pool.submit_all([partial(self._step, item) for item in items], turn)
        return items, futures

    def _count(self, change: int) -> None:
        self._depth += change
        self._on_depth(self._depth)
        if self._is_closing and not self._depth:
            self._drained.set()

    def _expire(self, *items: Item[Raw, Ready, Answer]) -> None:
        late = [item for item in items if not item.future.done()]
        if late:
            self._on_reject("deadline")
            # The other items of a ``submit_all`` call are cancelled with it.
            late[0].future.set_exception(DeadlineExceeded())

    # On the pool's threads from here on.

    def _step(self, item: Item[Raw, Ready, Answer]) -> None:
        """Prepare the item, whose turn it is, then run the batches that are due."""
        with self._lock:
            self._waiting -= 1
            self._mates -= 1
        self._prepare_one(item, may_be_slow=False)
        self._run_due()

    def _slow_step(self, item: Item[Raw, Ready, Answer]) -> None:
        with self._lock:
            self._slow -= 1
        self._prepare_one(item, may_be_slow=True)
        self._run_due()

    def _prepare_one(self, item: Item[Raw, Ready, Answer], *, may_be_slow: bool) -> None:
        if not self._is_worth_it(item):
            return
        item.waited = self._clock() - item.accepted
        try:
            item.ready = self._prepare(item.raw, may_be_slow)  # type: ignore[arg-type]
        except SlowWork:
            self._put_off(item)
        except Exception as error:  # noqa: BLE001 - raised in the caller of this item
            self._settle(item, error)
        else:
            item.raw = None
            item.prepared = self._clock()
            seconds = item.prepared - item.accepted - item.waited
            with self._lock:
                if not may_be_slow:
                    self._throughput.prepared(seconds)
                if not self._ready:
                    self._mates = self._waiting
                self._ready.append(item)

    def _put_off(self, item: Item[Raw, Ready, Answer]) -> None:
        """Move an item to the slow lane, or refuse it if the lane is full."""
        with self._lock:
            has_room = self._slow < SLOW_CAPACITY
            self._slow += has_room
        if has_room:
            turn = replace(item.turn, flow=self._slow_flow)
            self._pool.submit_slowly(partial(self._slow_step, item), turn)
        else:
            self._loop.call_soon_threadsafe(self._on_reject, "queue_full")
            self._settle(item, Overloaded("Too many large images wait.", retry_after=2))

    def _run_due(self) -> None:
        while batch := self._next_batch():
            alive = [item for item in batch if self._is_worth_it(item)]
            if alive:
                self._run_batch(alive)
            with self._lock:
                self._running -= 1

    def _next_batch(self) -> list[Item[Raw, Ready, Answer]]:
        policy = self._policy
        with self._lock:
            if not self._ready or self._running >= policy.instances:
                return []
            count = min(len(self._ready), policy.max_batch_size)
            if count < policy.max_batch_size:
                # Items that waited when the first of these was ready may join it: the thread that
                # prepares the last of them runs the batch. Later ones would only delay it.
                if self._waiting and self._mates > 0:
                    return []
                preferred = policy.preferred(count)
                patience = self._ready[0].prepared + policy.max_queue_delay - self._clock()
                if not preferred and patience > 0:
                    turn = self._ready[0].turn
                    self._loop.call_soon_threadsafe(self._look_again_in, patience, turn)
                    return []
                count = preferred or count
            self._running += 1
            batch = [self._ready.popleft() for _ in range(count)]
            self._mates = self._waiting
            return batch

    def _look_again_in(self, seconds: float, turn: Turn) -> None:
        self._loop.call_later(seconds, self._pool.submit, self._run_due, turn)

    def _run_batch(self, items: list[Item[Raw, Ready, Answer]]) -> None:
        began = self._clock()
        try:
            answers = self._run([item.ready for item in items])  # type: ignore[misc]
            if len(answers) != len(items):
                message = f"{len(items)} items ran, {len(answers)} answers came"
                raise RuntimeError(message)
        except Exception as error:  # noqa: BLE001 - raised in the callers of these items
            if len(items) == 1:
                self._settle(items[0], error)
            else:
                for item in items:
                    if self._is_worth_it(item):
                        self._run_batch([item])
            return
        seconds = self._clock() - began
        with self._lock:
            self._throughput.ran(len(items), seconds)
        settled = []
        for item, answer in zip(items, answers, strict=True):
            waited = item.waited + began - item.prepared
            item.raw = item.ready = None
            settled.append((item, Outcome(answer, waited, seconds)))
        self._loop.call_soon_threadsafe(self._answer_all, settled)

    def _is_worth_it(self, item: Item[Raw, Ready, Answer]) -> bool:
        """Return whether the item should be processed; if not, settle it.

        Cancelled and late items should not. While others wait, of any model, an item that would be
        late is not begun either: otherwise each item of an overloaded queue would be answered just
        too late.
        """
        needed = 0.0
        if self._pool.has_waiting_jobs:
            needed = self._throughput.own if item.ready is None else self._throughput.run
        if item.future.done() or self._clock() + needed >= item.deadline:
            self._settle(item, DeadlineExceeded())
            return False
        return True

    def _settle(self, item: Item[Raw, Ready, Answer], result: Outcome[Answer] | Exception) -> None:
        item.raw = item.ready = None
        self._loop.call_soon_threadsafe(self._answer, item, result)

    # On the event loop again.

    def _answer_all(
        self, settled: Sequence[tuple[Item[Raw, Ready, Answer], Outcome[Answer]]]
    ) -> None:
        self._count(-len(settled))
        for item, outcome in settled:
            if not item.future.done():
                item.future.set_result(outcome)

    def _answer(self, item: Item[Raw, Ready, Answer], result: Outcome[Answer] | Exception) -> None:
        self._count(-1)
        if item.future.done():
            return
        if isinstance(result, DeadlineExceeded):
            self._on_reject("deadline")
        if isinstance(result, ServiceError):
            item.future.set_exception(result)
        elif isinstance(result, Exception):
            failure = InferenceFailed()
            failure.__cause__ = result
            item.future.set_exception(failure)
        else:
            item.future.set_result(result)
