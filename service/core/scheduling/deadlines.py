"""Expiry of calls at their deadlines, with one timer for all of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")
RESOLUTION = 0.001
"""Seconds by which uvloop's timers, which count milliseconds, may fire early."""
SPARE = 64
"""Ended calls that are kept beside as many as there are open ones, before they are removed."""


class Deadline(Generic[Waiting]):
    """The deadline of one call. ``at``: on the loop's clock; ``items``: empty once it has ended."""

    __slots__ = ("at", "items")

    def __init__(self, at: float, items: Sequence[Waiting]) -> None:
        self.at, self.items = at, items

    def __lt__(self, other: Deadline[Waiting]) -> bool:
        return self.at < other.at


class Deadlines(Generic[Waiting]):
    """The deadlines of a batcher's calls. Use on the event loop.

    A timer for each call costs more than the call's place in a heap, as almost all calls end
    before their deadlines. The one timer is set to the earliest of them.

    Args:
        expire: called with the items of a call at its deadline.
    """

    def __init__(self, expire: Callable[[Sequence[Waiting]], None]) -> None:
        self._expire = expire
        self._open = 0
        self._heap: list[Deadline[Waiting]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def add(
        self, loop: asyncio.AbstractEventLoop, seconds: float, items: Sequence[Waiting]
    ) -> Deadline[Waiting]:
        """Expire ``items`` in ``seconds``, unless the deadline is passed to ``end`` before."""
        deadline = Deadline(loop.time() + seconds, items)
        self._open += 1
        heapq.heappush(self._heap, deadline)
        if self._timer is None or deadline.at < self._timer_at:
            self._set_timer(loop)
        return deadline

    def end(self, deadline: Deadline[Waiting]) -> None:
        """Forget the items of a call that has ended. Once for each call."""
        deadline.items = ()
        self._open -= 1
        if len(self._heap) > 2 * self._open + SPARE:
            self._heap = [one for one in self._heap if one.items]
            heapq.heapify(self._heap)

    def close(self) -> None:
        """Stop the timer, once every call has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the earliest deadline of a call that has not ended."""
        self.close()
        while self._heap and not self._heap[0].items:
            heapq.heappop(self._heap)
        if self._heap:
            self._timer_at = self._heap[0].at
            self._timer = loop.call_at(self._timer_at, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        now, self._timer = loop.time() + RESOLUTION, None
        while self._heap and self._heap[0].at <= now:
            deadline = heapq.heappop(self._heap)
            if deadline.items:
                self._expire(deadline.items)
        self._set_timer(loop)
