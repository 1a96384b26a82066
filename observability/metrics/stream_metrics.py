"""Prometheus metrics of WebSocket streams."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OUTCOMES = ("answered", "failed", "dropped")
CODES = frozenset(
    {
        *(1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013),
        *(4400, 4401, 4403, 4404, 4408, 4409, 4410, 4420, 4422, 4429, 4500, 4503),
    }
)
"""Close codes with a series of their own; clients may send any other."""
AGE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)


class StreamMetrics:
    """The series of streams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.in_flight = Gauge(
            "potoo_streams_in_flight",
            "WebSocket streams that are open.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._ended = Counter(
            "potoo_streams", "WebSocket streams ended, by close code.", ["code"], registry=registry
        )
        self._frames = Counter(
            "potoo_stream_frames", "Frames of streams, by outcome.", ["outcome"], registry=registry
        )
        self.age = Histogram(
            "potoo_stream_frame_age_seconds",
            "From the arrival of a frame to its result.",
            buckets=AGE_BUCKETS,
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._frames.labels(outcome)
        for code in (1000, 1011, 1012):
            self._ended.labels(str(code))

    def count_end(self, code: int) -> None:
        """Count a stream that ended with a close code."""
        self._ended.labels(str(code) if code in CODES else "other").inc()

    def count_frames(self, outcome: str, count: int) -> None:
        """Count frames; ``outcome`` is one of ``OUTCOMES``."""
        self._frames.labels(outcome).inc(count)
