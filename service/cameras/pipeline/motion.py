"""Motion gate: which frames are worth a classification."""

from __future__ import annotations

import numpy as np

GREY_SIZE = (64, 48)
"""Width and height of the grey copy, in pixels."""


def difference(one: bytes, other: bytes) -> float:
    """Return the mean absolute difference of two grey copies of one size, in grey levels."""
    first, second = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    return float(np.abs(first.astype(np.int16) - second).mean())


class MotionGate:
    """Passes a frame that differs from the last classified one.

    It also lets one through after ``still_seconds`` without a classification, and, after either,
    up to ``follow`` frames more while the state is not settled: a state needs several answers.

    Attributes:
        motion: of the last frame, in grey levels; None before the second.
    """

    def __init__(self, *, threshold: float, still_seconds: float, follow: int) -> None:
        """``threshold``: in grey levels; 0 lets every frame through that is not the same."""
        self._threshold, self._still, self._follow = threshold, still_seconds, follow
        self._classified: bytes | None = None
        self._at = 0.0
        self._left = 0
        self.motion: float | None = None

    def passes(self, grey: bytes, now: float, *, is_settled: bool) -> bool:
        """Return whether the frame is to be classified; ``classified`` is to follow if it was.

        Args:
            grey: the frame's copy of ``GREY_SIZE``, a byte a pixel.
            now: monotonic seconds.
            is_settled: whether the last answer agrees with the state.
        """
        if self._classified is None:
            self._left = self._follow
            return True
        self.motion = difference(grey, self._classified)
        if self.motion > self._threshold or now - self._at >= self._still:
            self._left = self._follow
            return True
        return not is_settled and self._left > 0

    def classified(self, grey: bytes, now: float) -> None:
        """Compare with this frame from now on."""
        self._classified, self._at = grey, now
        self._left -= 1
