"""Pauses between attempts to open a source."""

from __future__ import annotations

from collections.abc import Callable

from schemas.cameras import CameraFailure

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 2.0
"""So that a camera that returns is back within 5 s, its opening included."""
WAITED_SECONDS = 0.1
"""After a time-out, which was a pause already: see ``sources/silence.py``."""
LASTING_SECONDS = 15.0
"""After failures that people have to mend; cameras lock accounts after many attempts."""
LASTING = frozenset(
    {CameraFailure.ADDRESS_REFUSED, CameraFailure.UNAUTHORIZED, CameraFailure.UNSUPPORTED}
)
JITTER = 0.25
"""Part of a pause that is drawn, so that cameras of one switch do not return at one moment."""


class Backoff:
    """Doubles the pause with each failure since the last frame.

    Attributes:
        attempts: failures since the last frame.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        """``draw``: returns a number in [0, 1)."""
        self._draw = draw
        self.attempts = 0

    def reset(self) -> None:
        """Note a frame."""
        self.attempts = 0

    def fail(self, reason: CameraFailure) -> float:
        """Note a failure; return the pause before the next attempt, in seconds."""
        self.attempts += 1
        pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.attempts - 1, 10))
        if reason in LASTING:
            pause = LASTING_SECONDS
        elif reason is CameraFailure.TIMEOUT:
            pause = WAITED_SECONDS
        return pause * (1 - JITTER * self._draw())
