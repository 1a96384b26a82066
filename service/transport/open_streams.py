"""Streams that each principal has open in this process, of one kind, and their limit."""

from __future__ import annotations

from collections import Counter

from observability.metrics.metrics import Metrics
from schemas.errors import RateLimited


class OpenStreams:
    """Number of open streams by principal."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        """``most``: of one principal; 0 for no limit."""
        self._most, self._metrics = most, metrics
        self._open: Counter[str] = Counter()

    def enter(self, owner: str) -> None:
        """Count a stream; call ``leave`` when it ends.

        Raises:
            RateLimited: the owner has as many streams as permitted.
        """
        if self._most and self._open[owner] >= self._most:
            self._metrics.reject("streams")
            raise RateLimited(f"The account has {self._most} streams open, which is the limit.")
        self._open[owner] += 1

    def leave(self, owner: str) -> None:
        """Count the end of a stream."""
        self._open[owner] -= 1
        if not self._open[owner]:
            del self._open[owner]
