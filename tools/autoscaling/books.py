"""Outcomes of all requests: for the score at the end, and between scrapes for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from observability.metrics.metrics import LATENCY_BUCKETS
from observability.metrics.model_metrics import STAGE_BUCKETS

REFUSED, LATE = -1.0, -2.0
"""Markers in place of a latency."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Increments of counters between two scrapes, over all replicas."""

    waits: NDArray[np.int64]
    latencies: NDArray[np.int64]
    wait_seconds: float
    compute_seconds: float
    rejections: int


@dataclass(slots=True)
class Books:
    """Record of requests: ``arrived``, ``latency`` and ``owner`` in parallel, one item each."""

    arrived: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    owner: list[str] = field(default_factory=list)
    _waits: list[float] = field(default_factory=list)
    _latencies: list[float] = field(default_factory=list)
    _compute: float = 0.0
    _rejections: int = 0

    def answered(
        self, arrived: float, now: float, waited: float, seconds: float, owner: str
    ) -> None:
        """Record an answer of 200."""
        self._end(arrived, now - arrived, owner)
        self._waits.append(waited)
        self._latencies.append(now - arrived)
        self._compute += seconds

    def refused(self, arrived: float, owner: str) -> None:
        """Record a request refused because the queue is full or it would be late."""
        self._end(arrived, REFUSED, owner)
        self._rejections += 1

    def late(self, arrived: float, owner: str) -> None:
        """Record a request that was accepted and missed its deadline."""
        self._end(arrived, LATE, owner)

    def counted(self) -> Counts:
        """Return the counts since the last call."""
        counts = Counts(
            waits=_histogram(self._waits, STAGE_BUCKETS),
            latencies=_histogram(self._latencies, LATENCY_BUCKETS),
            wait_seconds=sum(self._waits),
            compute_seconds=self._compute,
            rejections=self._rejections,
        )
        self._waits, self._latencies = [], []
        self._compute, self._rejections = 0.0, 0
        return counts

    def _end(self, arrived: float, latency: float, owner: str) -> None:
        self.arrived.append(arrived)
        self.latency.append(latency)
        self.owner.append(owner)


def _histogram(values: list[float], bounds: tuple[float, ...]) -> NDArray[np.int64]:
    """Count values by bucket, the last one unbounded."""
    places = np.searchsorted(bounds, values)
    return np.bincount(places, minlength=len(bounds) + 1).astype(np.int64)
