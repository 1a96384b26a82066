"""Plays a file at its own pace. Imports nothing of ours: the decoding process uses it."""

from __future__ import annotations

MAX_STEP = 2.0
"""Seconds between two frames; larger steps, none and steps back are errors of the file's clock."""


class Playback:
    """When each frame of a file is shown.

    Args:
        now: monotonic seconds.
        rate: frames a second, for files without timestamps.
    """

    def __init__(self, now: float, rate: float) -> None:
        self._step = 1 / rate if rate > 0 else 0.04
        self._at = now
        self._last: float | None = None

    def wait(self, timestamp: float | None, now: float) -> float:
        """Return the seconds until the next frame is shown.

        Args:
            timestamp: of the frame, in seconds; None if it has none.
            now: monotonic seconds.
        """
        step = self._step
        if timestamp is not None:
            if self._last is not None and 0 < timestamp - self._last <= MAX_STEP:
                step = timestamp - self._last
            self._last = timestamp
        # A player that fell behind goes on from where it is.
        self._at = max(self._at + step, now - MAX_STEP)
        return max(0.0, self._at - now)

    def rewind(self) -> None:
        """The next frame is the first one again."""
        self._last = None
