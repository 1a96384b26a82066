"""Frames per second of each principal, over all its streams in this process."""

from __future__ import annotations

from collections import OrderedDict

MOST_OWNERS = 10_000
"""Owners that are counted; the one that sent nothing for longest is forgotten first."""


class FramePace:
    """Token buckets that hold the frames of one second."""

    def __init__(self, per_second: int) -> None:
        """``per_second``: frames of one owner; 0 for no limit."""
        self._per_second = per_second
        # By owner: frames left, and when that was so.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, owner: str, now: float) -> float:
        """Count a frame; return 0, or the seconds after which it would be allowed."""
        if not self._per_second:
            return 0.0
        left, since = self._buckets.pop(owner, (float(self._per_second), now))
        left = min(self._per_second, left + (now - since) * self._per_second)
        is_allowed = left >= 1
        self._buckets[owner] = (left - 1 if is_allowed else left), now
        if len(self._buckets) > MOST_OWNERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1 - left) / self._per_second
