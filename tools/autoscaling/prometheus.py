"""What Prometheus knows: scrapes every five seconds, and the queries of the thresholds over them.

Counters are kept as what they grew by from scrape to scrape, summed over replicas: ``rate`` and
``increase`` over a window are the growth between the scrapes in it, stretched to its whole length
as Prometheus does. What a new replica counted before its first scrape is not lost here, as it is
there; it is a few seconds' worth.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from observability.metrics import LATENCY_BUCKETS
from observability.model_metrics import STAGE_BUCKETS
from tools.autoscaling.books import Counts

SCRAPE_SECONDS = 5.0
LONGEST_WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """``depths``: images accepted and not yet answered, at that moment, by each ready replica."""

    depths: list[int]
    counts: Counts


class Prometheus:
    """Answers queries by name; None is what PromQL has no number for."""

    def __init__(self) -> None:
        self._scrapes: deque[Scrape] = deque(maxlen=int(LONGEST_WINDOW / SCRAPE_SECONDS))

    def scraped(self, depths: list[int], counts: Counts) -> None:
        """One more round of all replicas."""
        self._scrapes.append(Scrape(depths, counts))

    def ask(self, query: str, *arguments: float) -> float | None:
        """The value now of one of the queries below, by name."""
        answer: float | None = getattr(self, query)(*arguments)
        return None if answer is None or math.isnan(answer) else answer

    def in_flight(self, most: float = math.inf) -> float | None:
        """``sum(clamp_max(potoo_queue_depth, most))``."""
        if not self._scrapes:
            return None
        return sum(min(depth, most) for depth in self._scrapes[-1].depths)

    def queue_wait(self) -> float | None:
        """The 95th percentile of the stage ``queue`` over 1 min."""
        return quantile(0.95, STAGE_BUCKETS, sum(count.waits for count in self._within(60)))

    def queue_ratio(self) -> float | None:
        """Time in the stage ``queue`` over time in all others, 1 min."""
        counts = self._within(60)
        computed = sum(count.compute_seconds for count in counts)
        return sum(count.wait_seconds for count in counts) / computed if computed else None

    def demand(self, busy: float) -> float | None:
        """Images asked for a second, 20 s: rate of answers, and of rejections where it is busy."""
        counts = self._within(20)
        answers = sum(int(count.latencies.sum()) for count in counts)
        refused = sum(count.rejections for count in counts) if self._was_busy(busy) else 0
        return (answers + refused) / (SCRAPE_SECONDS * len(counts)) if counts else None

    def rejections(self, busy: float) -> float | None:
        """``increase`` of rejections over 30 s, where it is busy."""
        counts = self._within(30)
        refused = sum(count.rejections for count in counts) if self._was_busy(busy) else 0
        return refused * 30 / (SCRAPE_SECONDS * len(counts)) if counts else None

    def _was_busy(self, busy: float) -> bool:
        """Whether some replica held so much within 30 s."""
        recent = list(self._scrapes)[-int(30 / SCRAPE_SECONDS) :]
        return any(max(scrape.depths) >= busy for scrape in recent)

    def latency(self) -> float | None:
        """The 95th percentile of answers of 200 over 1 min."""
        return quantile(0.95, LATENCY_BUCKETS, sum(count.latencies for count in self._within(60)))

    def _within(self, seconds: float) -> list[Counts]:
        """A window of n scrapes holds n - 1 steps."""
        steps = int(seconds / SCRAPE_SECONDS) - 1
        return [scrape.counts for scrape in self._scrapes][-steps:]


def quantile(
    share: float, bounds: tuple[float, ...], counts: NDArray[np.int64] | int
) -> float | None:
    """``histogram_quantile``: linear within a bucket, the last bound beyond it."""
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
