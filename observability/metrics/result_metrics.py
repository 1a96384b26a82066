"""Prometheus metrics of the outputs that events of cameras are delivered to."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

Output = Literal["mqtt", "webhook", "mqtt_sensors", "mqtt_ingest"]
"""`mqtt` is of cameras; `mqtt_ingest` receives samples of sensors, and is only up or not."""
OUTCOMES: dict[Output, tuple[str, ...]] = {
    "mqtt": ("delivered", "dropped"),
    "mqtt_sensors": ("delivered", "dropped"),
    "mqtt_ingest": (),
    "webhook": ("delivered", "failed", "dead", "gone"),
}


class ResultMetrics:
    """The series of all outputs. An output that is not configured has none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deliveries = Counter(
            "potoo_result_deliveries",
            "Deliveries of camera events and sensor answers, by kind of output and outcome.",
            ["output", "outcome"],
            registry=registry,
        )
        self._waiting = Gauge(
            "potoo_result_queue_depth",
            "Events and answers that an output has not delivered yet.",
            ["output"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._oldest = Gauge(
            "potoo_result_oldest_timestamp_seconds",
            "When the oldest event or answer was kept that an output has not delivered; 0: none.",
            ["output"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._up = Gauge(
            "potoo_result_up",
            "1 while a process is connected with the MQTT broker.",
            ["output"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._backlogs: dict[Output, dict[str, tuple[int, float]]] = {}

    def output(self, kind: Output, name: str) -> OutputMetrics:
        """Return the metrics of one output, and create its series.

        Args:
            kind: the label.
            name: tells outputs of a kind apart; no label.
        """
        for outcome in OUTCOMES[kind]:
            self._deliveries.labels(kind, outcome)
        self.set_backlog(kind, name, 0, None)
        if kind != "webhook":
            self.set_up(kind, is_up=False)
        return OutputMetrics(self, kind, name)

    def count(self, kind: Output, outcome: str, number: int = 1) -> None:
        """Count deliveries; ``outcome`` is one of ``OUTCOMES``."""
        self._deliveries.labels(kind, outcome).inc(number)

    def set_backlog(self, kind: Output, name: str, waiting: int, oldest: float | None) -> None:
        """Set what waits for one output; the gauges show the worst output of its kind."""
        of_kind = self._backlogs.setdefault(kind, {})
        of_kind[name] = waiting, oldest or 0.0
        self._waiting.labels(kind).set(max(number for number, _ in of_kind.values()))
        waits_since = [time for _, time in of_kind.values() if time]
        self._oldest.labels(kind).set(min(waits_since, default=0.0))

    def set_up(self, kind: Output, *, is_up: bool) -> None:
        """Set whether the broker is connected."""
        self._up.labels(kind).set(is_up)


class OutputMetrics:
    """The metrics of one output."""

    def __init__(self, metrics: ResultMetrics, kind: Output, name: str) -> None:
        self._metrics, self._kind, self._name = metrics, kind, name

    def count(self, outcome: str, number: int = 1) -> None:
        """Count deliveries by outcome."""
        self._metrics.count(self._kind, outcome, number)

    def backlog(self, waiting: int, oldest: float | None) -> None:
        """Set how many events wait, and the Unix time of the oldest; None if none waits."""
        self._metrics.set_backlog(self._kind, self._name, waiting, oldest)

    def up(self, *, is_up: bool) -> None:
        """Set whether the broker is connected."""
        self._metrics.set_up(self._kind, is_up=is_up)
