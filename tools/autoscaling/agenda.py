"""What happens next: actions at their times, earliest first.

SimPy does the same with generators; it is not among the locked packages, and a process for each
request would cost several times what the request does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Agenda:
    """Actions are called with the time first; those of one time in the order they were added."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at: float, action: Callable[..., None], *arguments: object) -> None:
        """Puts an action down; ``arguments`` follow the time."""
        self._added += 1
        heapq.heappush(self._entries, (at, self._added, action, arguments))

    def every(self, seconds: float, action: Callable[[float], None], first: float) -> None:
        """An action again and again."""

        def act(now: float) -> None:
            action(now)
            self.add(now + seconds, act)

        self.add(first, act)

    def run_until(self, time: float) -> None:
        """Does all that is due until then."""
        entries = self._entries
        while entries and entries[0][0] <= time:
            at, _, action, arguments = heapq.heappop(entries)
            action(at, *arguments)
