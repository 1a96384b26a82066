"""Simulated Prometheus: scrapes every five seconds, and the queries of the thresholds.

Counters are kept as increments from scrape to scrape, summed over replicas: ``rate`` and
``increase`` over a window are the growth between its scrapes, extrapolated to the whole window as
Prometheus does. Unlike there, the counts of a new replica before its first scrape, a few seconds'
worth, are not lost.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from observability.metrics.metrics import LATENCY_BUCKETS
from observability.metrics.model_metrics import STAGE_BUCKETS
from tools.autoscaling.books import Counts

SCRAPE_SECONDS = 5.0
LONGEST_WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape. ``depths``: images accepted and not yet answered, by ready replica."""

    depths: list[int]
    counts: Counts


class Prometheus:
    """Evaluator of queries by name; None where PromQL has no number."""

    def __init__(self) -> None:
        self._scrapes: deque[Scrape] = deque(maxlen=int(LONGEST_WINDOW / SCRAPE_SECONDS))

    def scraped(self, depths: list[int], counts: Counts) -> None:
        """Add a scrape of all replicas."""
        self._scrapes.append(Scrape(depths, counts))

    def ask(self, query: str, *arguments: float) -> float | None:
        """Return the current value of one of the queries below, by name."""
        answer: float | None = getattr(self, query)(*arguments)
        return None if answer is None or math.isnan(answer) else answer

    def in_flight(self, most: float = math.inf) -> float | None:
        """Evaluate ``sum(clamp_max(potoo_queue_depth, most))``."""
        if not self._scrapes:
            return None
        return sum(min(depth, most) for depth in self._scrapes[-1].depths)

    def queue_wait(self) -> float | None:
        """Return the 95th percentile of the stage ``queue`` over 1 min."""
        return quantile(0.95, STAGE_BUCKETS, sum(count.waits for count in self._within(60)))

    def queue_ratio(self) -> float | None:
        """Return time in the stage ``queue`` over time in all others, 1 min."""
        counts = self._within(60)
        computed = sum(count.compute_seconds for count in counts)
        return sum(count.wait_seconds for count in counts) / computed if computed else None

    def demand(self, busy: float) -> float | None:
        """Return images requested a second, 20 s: answers, and rejections of busy replicas."""
        counts = self._within(20)
        answers = sum(int(count.latencies.sum()) for count in counts)
        refused = sum(count.rejections for count in counts) if self._was_busy(busy) else 0
        return (answers + refused) / (SCRAPE_SECONDS * len(counts)) if counts else None

    def rejections(self, busy: float) -> float | None:
        """Return the ``increase`` of rejections over 30 s, if a replica was busy."""
        counts = self._within(30)
        refused = sum(count.rejections for count in counts) if self._was_busy(busy) else 0
        return refused * 30 / (SCRAPE_SECONDS * len(counts)) if counts else None

    def _was_busy(self, busy: float) -> bool:
        """Return whether any replica held at least ``busy`` images within 30 s."""
        recent = list(self._scrapes)[-int(30 / SCRAPE_SECONDS) :]
        return any(max(scrape.depths) >= busy for scrape in recent)

    def latency(self) -> float | None:
        """Return the 95th percentile of answers of 200 over 1 min."""
        return quantile(0.95, LATENCY_BUCKETS, sum(count.latencies for count in self._within(60)))

    def _within(self, seconds: float) -> list[Counts]:
        """Return the increments in a window: n scrapes hold n - 1 steps."""
        steps = int(seconds / SCRAPE_SECONDS) - 1
        return [scrape.counts for scrape in self._scrapes][-steps:]


def quantile(
    share: float, bounds: tuple[float, ...], counts: NDArray[np.int64] | int
) -> float | None:
    """Evaluate ``histogram_quantile``: linear within a bucket, the last bound beyond it."""
    if isinstance(counts, int) or not counts.sum():
        return None
    reached = np.cumsum(counts)
    rank = share * reached[-1]
    place = int(np.searchsorted(reached, rank))
    if place >= len(bounds):
        return bounds[-1]
    lower = bounds[place - 1] if place else 0.0
    before = reached[place - 1] if place else 0
    return lower + (bounds[place] - lower) * float(rank - before) / float(counts[place])
