"""Who is let in: by how much waits, and by how fast a model got through its items lately."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.errors import DeadlineExceeded, Overloaded
from service.core.scheduling.fair_queue import FairQueue, Priority

Item = TypeVar("Item")
MARGIN = 0.6
"""Of the time allowed, what may be foreseen to pass: a mean is no promise, and who is let in must
be in time."""

SMOOTHING = 0.05
"""What the newest item counts for in a running mean."""


class Pace:
    """Running means, in seconds. Not locked: the batcher calls it under its own lock."""

    def __init__(self, threads: int) -> None:
        self._threads = max(1, threads)
        self._prepare = self.run = 0.0
        self._interval = 0.0
        self._last_left: float | None = None

    @property
    def own(self) -> float:
        """What one item takes, from the moment that somebody works on it."""
        return self._prepare + self.run

    def own_of(self, count: int) -> float:
        """What so many items take that are worked on at a time, as far as there are threads."""
        return self.own * max(1.0, count / self._threads)

    @property
    def interval(self) -> float:
        """From one item that is settled to the next while others wait.

        It holds whatever else takes time: the event loop under a storm of requests that are to be
        refused, other models, other processes. Before it is known, what the threads could do.
        """
        return self._interval or self.own / self._threads

    def prepared(self, seconds: float) -> None:
        """An item was prepared."""
        self._prepare = _smoothed(self._prepare, seconds)

    def ran(self, count: int, seconds: float) -> None:
        """So many items were run together."""
        self.run = _smoothed(self.run, seconds / count)

    def left(self, now: float, *, do_others_wait: bool) -> None:
        """An item is settled: answered, refused or dropped, since all of them stood in the way."""
        if self._last_left is not None:
            self._interval = _smoothed(self._interval, now - self._last_left)
        # A pause in which there was nothing to do says nothing.
        self._last_left = now if do_others_wait else None


def _smoothed(mean: float, value: float) -> float:
    """A running mean that forgets; the first value is taken as it is."""
    return mean + (value - mean) * SMOOTHING if mean else value


class Admission(Generic[Item]):
    """Refuses at once what would be late. Not locked: called under the batcher's lock."""

    def __init__(
        self,
        waiting: FairQueue[Item],
        capacity: int,
        pace: Pace,
        on_reject: Callable[[str], None],
    ) -> None:
        """``capacity``: items held at most, waiting or being worked on."""
        self._waiting, self._capacity = waiting, capacity
        self._pace, self._on_reject = pace, on_reject

    def check(
        self, depth: int, allowed: float, owner: str, priority: Priority, count: int = 1
    ) -> None:
        """Whether ``count`` more items may come, all of them.

        Args:
            depth: items held now.
            allowed: seconds until their deadline.

        Raises:
            Overloaded: if there would be too many, or late ones because of those ahead of them.
            DeadlineExceeded: if they are past their deadline already.
        """
        if depth + count > self._capacity:
            self._on_reject("queue_full")
            raise Overloaded("The queue of this model is full.", retry_after=1)
        if allowed <= 0:
            self._on_reject("deadline")
            raise DeadlineExceeded
        wait = self._expected_wait(depth, owner, priority, count)
        own = self._pace.own_of(count)
        # What could not be done in that time on an idle server is not late because of others.
        if depth and own <= allowed and wait + own > MARGIN * allowed:
            self._on_reject("would_be_late")
            message = "So many requests are waiting that the answer would be late."
            raise Overloaded(message, retry_after=wait, expected_wait=wait)

    def _expected_wait(self, depth: int, owner: str, priority: Priority, count: int) -> float:
        """About how many seconds the last of ``count`` new items would wait for others."""
        # Those being worked on are half done on average.
        busy = max(0, depth - len(self._waiting))
        return (self._waiting.ahead_of(owner, priority, count) + busy / 2) * self._pace.interval
