"""When frames are wanted. Imports nothing: the decoding process uses it too."""

from __future__ import annotations


class Due:
    """When the next frame is wanted: at most one each interval in the long run.

    A frame may come a quarter of the interval early, so that a camera which sends frames at just
    this interval loses none to jitter.

    Args:
        every: interval in seconds.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until the next frame may be taken."""
        return 0.0 if self._due is None else max(0.0, self._due - self._every / 4 - now)

    def take(self, now: float) -> None:
        """Record that a frame was taken."""
        due = now if self._due is None else self._due
        self._due = max(due, now - self._every / 4) + self._every
