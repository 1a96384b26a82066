"""Admission control by queue depth and by the recent speed of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.errors import DeadlineExceeded, Overloaded
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.fair_queue import FairQueue

Item = TypeVar("Item")
MARGIN = 0.6
"""Largest expected share of the time allowed: times vary around the mean, and an admitted item
must be in time."""

SMOOTHING = 0.05
"""Weight of the newest item in a running mean."""


class ThroughputEstimator:
    """Running means of item times, in seconds. Not locked: used under the batcher's lock."""

    def __init__(self, threads: int) -> None:
        self._threads = max(1, threads)
        self._prepare = self.run = 0.0
        self._interval = 0.0
        self._last_left: float | None = None

    @property
    def own(self) -> float:
        """The time to prepare and run one item, without waiting."""
        return self._prepare + self.run

    def own_of(self, count: int) -> float:
        """Return the time for ``count`` items, as many at a time as there are threads."""
        return self.own * max(1.0, count / self._threads)

    @property
    def interval(self) -> float:
        """The time between two settled items while others wait.

        It includes everything else that takes time: an event loop busy with refusing requests,
        other models, other processes. Until it is measured, ``own`` divided by the threads.
        """
        return self._interval or self.own / self._threads

    def prepared(self, seconds: float) -> None:
        """Record the time it took to prepare an item."""
        self._prepare = _smoothed(self._prepare, seconds)

    def ran(self, count: int, seconds: float) -> None:
        """Record the time of a batch of ``count`` items."""
        self.run = _smoothed(self.run, seconds / count)

    def left(self, now: float, *, do_others_wait: bool) -> None:
        """Record that an item is settled: answered, refused or dropped; each delays others."""
        if self._last_left is not None:
            self._interval = _smoothed(self._interval, now - self._last_left)
        # Idle time is not part of the interval.
        self._last_left = now if do_others_wait else None


def _smoothed(mean: float, value: float) -> float:
    """Return the exponential moving average; the first value is taken as it is."""
    return mean + (value - mean) * SMOOTHING if mean else value


class Admission(Generic[Item]):
    """Early refusal of items that would be late. Not locked: used under the batcher's lock."""

    def __init__(
        self,
        waiting: FairQueue[Item],
        capacity: int,
        estimator: ThroughputEstimator,
        on_reject: Callable[[str], None],
    ) -> None:
        """Keep the limits; ``capacity`` counts items that wait or are being processed."""
        self._waiting, self._capacity = waiting, capacity
        self._estimator, self._on_reject = estimator, on_reject

    def check(self, depth: int, allowed: float, call: CallContext, count: int = 1) -> None:
        """Check that ``count`` more items may be admitted, all of them.

        Args:
            depth: items held now.
            allowed: seconds until their deadline.

        Raises:
            Overloaded: if there would be too many, or if those ahead would make them late.
            DeadlineExceeded: if they are past their deadline already.
        """
        if depth + count > self._capacity:
            self._on_reject("queue_full")
            raise Overloaded("The queue of this model is full.", retry_after=1)
        if allowed <= 0:
            self._on_reject("deadline")
            raise DeadlineExceeded
        own = self._estimator.own_of(count)
        # Items that would be late on an idle server too are not late because of others.
        if not depth or own > allowed:
            return
        wait = self._expected_wait(depth, call, count)
        if wait + own > MARGIN * allowed:
            self._on_reject("would_be_late")
            message = "Too many requests are waiting to answer in time."
            raise Overloaded(message, retry_after=wait, expected_wait=wait)

    def _expected_wait(self, depth: int, call: CallContext, count: int) -> float:
        """Estimate the seconds that the last of ``count`` new items would wait for others."""
        # Items being processed are half done on average.
        busy = max(0, depth - len(self._waiting))
        ahead = self._waiting.ahead_of(call.owner, call.priority, count)
        return (ahead + busy / 2) * self._estimator.interval
