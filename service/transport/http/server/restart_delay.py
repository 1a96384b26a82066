"""Delay before a dead worker is replaced: zero unless several die in a row."""

from __future__ import annotations

LONG_LIFE_SECONDS = 60.0
"""A worker that served for this long did not fail at its start."""
LONGEST_DELAY = 30.0
_MOST_DOUBLINGS = 10


class RestartDelay:
    """Delays of 0, 1, 2, 4 ... up to 30 seconds, and 0 again after a worker that lived long."""

    def __init__(self) -> None:
        self._short_lives = 0

    def after(self, lived: float) -> float:
        """Return the seconds to wait after a worker that served for ``lived`` seconds."""
        self._short_lives = 0 if lived >= LONG_LIFE_SECONDS else self._short_lives + 1
        if self._short_lives <= 1:
            return 0.0
        return min(2.0 ** min(self._short_lives - 2, _MOST_DOUBLINGS), LONGEST_DELAY)
