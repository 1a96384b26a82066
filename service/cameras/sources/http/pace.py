"""Ends what arrives too slowly: one byte a second keeps a connection open for ever."""

from __future__ import annotations

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed

MIN_RATE = 1024
"""Bytes a second, from the first time-out on."""
FRAME_TIMEOUTS = 4
"""Time-outs within which a frame must be complete."""


class Pace:
    """Watches the arrival of one frame after another.

    Args:
        timeout: seconds between two pieces of data.
        now: monotonic seconds.
    """

    def __init__(self, timeout: float, now: float) -> None:
        self._timeout = timeout
        self._began, self._bytes = now, 0

    @property
    def deadline(self) -> float:
        """When the frame must be complete, in monotonic seconds."""
        return self._began + FRAME_TIMEOUTS * self._timeout

    def receive(self, size: int, now: float) -> None:
        """Count bytes.

        Raises:
            SourceFailed: ``timeout``: the frame comes too slowly.
        """
        self._bytes += size
        seconds = now - self._began
        if now > self.deadline or (seconds > self._timeout and self._bytes < MIN_RATE * seconds):
            raise too_slow()

    def complete(self, now: float) -> None:
        """Begin the next frame."""
        self._began, self._bytes = now, 0


def too_slow() -> SourceFailed:
    """Return the failure of a camera that sends too slowly."""
    return SourceFailed(CameraFailure.TIMEOUT, "The camera sends too slowly")
