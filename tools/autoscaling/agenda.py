"""Event queue of the simulation: actions at their times, earliest first.

SimPy does the same with generators; it is not among the locked packages, and a process for each
request would cost several times the request itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Agenda:
    """Queue of actions, called with the time first; equal times in the order of insertion."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at: float, action: Callable[..., None], *arguments: object) -> None:
        """Schedule an action; ``arguments`` follow the time."""
        self._added += 1
        heapq.heappush(self._entries, (at, self._added, action, arguments))

    def every(self, seconds: float, action: Callable[[float], None], first: float) -> None:
        """Schedule an action at a fixed interval."""

        def act(now: float) -> None:
            action(now)
            self.add(now + seconds, act)

        self.add(first, act)

    def run_until(self, time: float) -> None:
        """Run all actions due until ``time``."""
        entries = self._entries
        while entries and entries[0][0] <= time:
            at, _, action, arguments = heapq.heappop(entries)
            action(at, *arguments)
