"""How long a place waits for its next worker: not at all, unless they die one after the other."""

from __future__ import annotations

LONG_LIFE_SECONDS = 60.0
"""Whoever served for so long did not die of starting."""
LONGEST_DELAY = 30.0
_MOST_DOUBLINGS = 10


class RestartDelay:
    """0, 1, 2, 4 ... up to 30 seconds, and 0 again after a worker that lived long."""

    def __init__(self) -> None:
        self._short_lives = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a worker that served for ``lived`` seconds."""
        self._short_lives = 0 if lived >= LONG_LIFE_SECONDS else self._short_lives + 1
        if self._short_lives <= 1:
            return 0.0
        return min(2.0 ** min(self._short_lives - 2, _MOST_DOUBLINGS), LONGEST_DELAY)
