"""Whether key frames alone are enough. Imports nothing of ours: the decoding process uses it."""

from __future__ import annotations

from collections import deque

RARE = 2.0
"""Key frames at more than so many intervals are too rare; then all frames are decoded."""
_REMEMBERED = 3


class KeyFrames:
    """Watches the distance of key frames, which a camera may change at any time.

    Decoding can begin at a key frame only: until two have been seen, and for the rest of a group
    of pictures that turns out longer than the others, the caller has what it decoded before.

    Args:
        every: wanted interval of frames, in seconds. Below one second key frames must be as
            frequent as frames are wanted.
    """

    def __init__(self, every: float) -> None:
        self._enough = RARE * every if every >= 1 else every
        self._last: float | None = None
        self._distances: deque[float] = deque(maxlen=_REMEMBERED)

    def see(self, now: float) -> bool:
        """Count a key frame that arrived ``now``; return whether to decode key frames alone."""
        if self._last is not None:
            self._distances.append(now - self._last)
        self._last = now
        return bool(self._distances) and max(self._distances) <= self._enough
