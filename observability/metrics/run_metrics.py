"""Prometheus metrics of runs of teaching."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

RESULTS = ("done", "failed", "cancelled")
BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class RunMetrics:
    """The series of runs. No label names a dataset or a model: callers choose those."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "potoo_teach_run_seconds",
            "From the begin of a run to its end, by how it ended.",
            ["result"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._interrupted = Counter(
            "potoo_teach_runs_interrupted",
            "Runs whose process ended in the middle; most begin again.",
            registry=registry,
        )
        for result in RESULTS:
            self._seconds.labels(result)

    def finished(self, result: str, seconds: float) -> None:
        """Count a run; ``result``: one of ``RESULTS``."""
        if result in RESULTS:
            self._seconds.labels(result).observe(seconds)

    def interrupted(self) -> None:
        """Count an interruption."""
        self._interrupted.inc()
