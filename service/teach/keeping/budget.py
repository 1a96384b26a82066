"""How many photos of a source may be kept in an hour."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

HOUR = 3600.0


class Budget:
    """A number of photos an hour for each source: a sliding window."""

    def __init__(self, per_hour: int, clock: Callable[[], float]) -> None:
        """``clock``: seconds, on any clock that goes on."""
        self._most, self._clock = per_hour, clock
        self._kept: defaultdict[str, deque[float]] = defaultdict(deque)

    def has_room(self, source: str) -> bool:
        """Return whether a photo of a source may be kept now."""
        kept, now = self._kept[source], self._clock()
        while kept and now - kept[0] >= HOUR:
            kept.popleft()
        return len(kept) < self._most

    def spend(self, source: str) -> None:
        """Count a photo that is kept."""
        self._kept[source].append(self._clock())
