"""Admission control by queue depth and by the recent speed of the models."""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import DeadlineExceeded, Overloaded
from service.core.engine.fair_queue import Turn, smoothed

MARGIN = 0.6
"""Largest expected share of the time allowed: times vary around the mean, and an admitted item
must be in time."""


class ThroughputEstimator:
    """Running means of item times, in seconds. Not locked: used under the batcher's lock."""

    def __init__(self, threads: int) -> None:
        self._threads = max(1, threads)
        self._prepare = self.run = 0.0

    @property
    def own(self) -> float:
        """The time to prepare and run one item, without waiting."""
        return self._prepare + self.run

    def own_of(self, count: int) -> float:
        """Return the time for ``count`` items, as many at a time as there are threads."""
        return self.own * max(1.0, count / self._threads)

    def prepared(self, seconds: float) -> None:
        """Record the time it took to prepare an item."""
        self._prepare = smoothed(self._prepare, seconds)

    def ran(self, count: int, seconds: float) -> None:
        """Record the time of a batch of ``count`` items."""
        self.run = smoothed(self.run, seconds / count)


class Admission:
    """Early refusal of items that would be late."""

    def __init__(
        self,
        expected_wait: Callable[[Turn, int, int], float],
        capacity: int,
        estimator: ThroughputEstimator,
        on_reject: Callable[[str], None],
        *,
        longest_wait: Callable[[int], float],
    ) -> None:
        """Keep the limits; ``capacity`` counts items that wait or are being processed.

        ``expected_wait``, ``longest_wait``: see ``WorkerPool``.
        """
        self._expected_wait, self._longest_wait = expected_wait, longest_wait
        self._capacity = capacity
        self._estimator, self._on_reject = estimator, on_reject

    def check(
        self, depth: int, allowed: float, turn: Turn, count: int = 1, *, waiting: int = 0
    ) -> None:
        """Check that ``count`` more items may be admitted, all of them.

        Args:
            depth: items held now.
            allowed: seconds until their deadline.
            waiting: how many of the held items no thread has taken yet.

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
        if own > allowed:
            return
        held, most = depth - waiting, MARGIN * allowed
        # Most items are admitted by this bound; the estimate takes a lock.
        if self._longest_wait(held) + own <= most:
            return
        wait = self._expected_wait(turn, count, held)
        if wait and wait + own > most:
            self._on_reject("would_be_late")
            message = "Too many requests are waiting to answer in time."
            raise Overloaded(message, retry_after=wait, expected_wait=wait)
