"""Request counts and durations of a model, for the statistics extension.

They start at zero when the model is loaded, and cover one process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Duration:
    """A number of observations and their total duration."""

    count: int = 0
    seconds: float = 0.0

    @property
    def ns(self) -> int:
        """The total duration in nanoseconds."""
        return round(self.seconds * 1e9)

    def add(self, seconds: float) -> None:
        """Add one observation."""
        self.count += 1
        self.seconds += seconds


@dataclass(slots=True)
class BatchDurations:
    """Durations of the runs of one batch size."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


class RequestDurations(NamedTuple):
    """Durations of a request's stages, in seconds.

    The stages are those of its slowest row: rows run in parallel, and the sum is within ``total``.
    """

    total: float
    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float


class StatisticsCollector:
    """Statistics of one model. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.success, self.fail, self.queue = Duration(), Duration(), Duration()
        self.compute_input, self.compute_infer = Duration(), Duration()
        self.compute_output = Duration()
        # In the order of ``RequestDurations``.
        self._parts = (
            *(self.success, self.queue),
            *(self.compute_input, self.compute_infer, self.compute_output),
        )
        self.inference_count = 0
        """Number of items answered: images, or rows of tensors."""
        self.execution_count = 0
        """Number of runs of the network; fewer than items if they are batched."""
        self.last_inference_ms = 0
        """Time of the last answered request, in ms since the epoch; 0 if there was none."""
        self.batches: dict[int, BatchDurations] = {}

    def succeeded(self, course: RequestDurations, *, items: int) -> None:
        """Count an answered request."""
        with self._lock:
            for part, seconds in zip(self._parts, course, strict=True):
                part.count += 1
                part.seconds += seconds
            self.inference_count += items
            self.last_inference_ms = time.time_ns() // 1_000_000

    def succeeded_each(self, courses: Sequence[RequestDurations]) -> None:
        """Count answered requests of one item each."""
        with self._lock:
            for course in courses:
                for part, seconds in zip(self._parts, course, strict=True):
                    part.count += 1
                    part.seconds += seconds
            self.inference_count += len(courses)
            if courses:
                self.last_inference_ms = time.time_ns() // 1_000_000

    def failed(self, seconds: float) -> None:
        """Count a request that was refused or failed."""
        with self._lock:
            self.fail.add(seconds)

    def executed(self, size: int, put: float, ran: float, got: float) -> None:
        """Count a run of ``size`` items, with the seconds to stack, run and postprocess it."""
        with self._lock:
            self.execution_count += 1
            batch = self.batches.get(size)
            if batch is None:
                batch = self.batches[size] = BatchDurations()
            batch.compute_input.add(put)
            batch.compute_infer.add(ran)
            batch.compute_output.add(got)
