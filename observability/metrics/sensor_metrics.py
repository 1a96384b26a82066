"""Prometheus metrics of sensors.

Up to ``LABELLED`` sensors of a process have series of their own; further ones share the label
``other``, so that thousands of sensors do not become tens of thousands of series.
With worker processes a series cannot be removed (its value is in a file), so it is set to 0.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER

LABELLED = 100
"""Sensors with a label of their own in a process."""
OTHER = "other"
KINDS = ("state", "silent", "back")
DOORS = ("tcp", "raw_tcp", "mqtt", "http")
Door = Literal["tcp", "raw_tcp", "mqtt", "http"]
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class SensorMetrics:
    """The series of sensors; those of one sensor are created when it first sends."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples = Counter(
            "potoo_sensor_samples", "Samples received.", ["sensor"], registry=registry
        )
        self._windows = Counter(
            "potoo_sensor_windows", "Windows answered.", ["sensor"], registry=registry
        )
        self._missing = Counter(
            "potoo_sensor_missing_samples",
            "Samples that never arrived.",
            ["sensor"],
            registry=registry,
        )
        self._faults = Counter(
            "potoo_sensor_faults",
            "Samples or windows that were not classified, by reason.",
            ["sensor", "reason"],
            registry=registry,
        )
        self._last_sample = Gauge(
            "potoo_sensor_last_sample_timestamp_seconds",
            "When the last sample was received.",
            ["sensor"],
            multiprocess_mode="max",
            registry=registry,
        )
        self._silent = Gauge(
            "potoo_sensor_silent",
            "1 while a sensor that sent samples is silent; of the label `other`, their number.",
            ["sensor"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._lag = Histogram(
            "potoo_sensor_lag_seconds",
            "From the arrival of a window's last sample to its stored answer.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._channels = Gauge(
            "potoo_sensor_channels_in_flight",
            "Channels open: sensors that send, by how their samples arrive.",
            ["door"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._buffered = Gauge(
            "potoo_sensor_buffered_bytes",
            "Samples that wait for their window or its answer.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._commits = Counter(
            "potoo_sensor_commits",
            "Transactions that stored windows.",
            ["outcome"],
            registry=registry,
        )
        self._events = Counter(
            "potoo_sensor_events", "Events kept, by kind.", ["kind"], registry=registry
        )
        for kind in KINDS:
            self._events.labels(kind)
        for door in DOORS:
            self._channels.labels(door)
        for outcome in ("stored", "failed"):
            self._commits.labels(outcome)
        self._is_shared = MULTIPROCESS_FOLDER in os.environ
        self._labelled: set[str] = set()
        self._others_silent: set[str] = set()

    def of(self, sensor: str) -> OneSensor:
        """Return the series of a sensor; create them."""
        if len(self._labelled) < LABELLED:
            self._labelled.add(sensor)
        label = sensor if sensor in self._labelled else OTHER
        return OneSensor(
            self._samples.labels(label),
            self._windows.labels(label),
            self._missing.labels(label),
            self._last_sample.labels(label),
            self._faults,
            label,
        )

    def end(self, sensor: str) -> None:
        """Remove the series of a sensor that was removed."""
        self.set_silent(sensor, is_silent=False)
        if self._is_shared or sensor not in self._labelled:
            return
        self._labelled.discard(sensor)
        for series in (
            self._samples,
            self._windows,
            self._missing,
            self._last_sample,
            self._silent,
        ):
            with suppress(KeyError):
                series.remove(sensor)
        self._faults.remove_by_labels({"sensor": sensor})

    def set_silent(self, sensor: str, *, is_silent: bool) -> None:
        """Note whether samples of a sensor stopped."""
        if sensor in self._labelled:
            self._silent.labels(sensor).set(is_silent)
            return
        (self._others_silent.add if is_silent else self._others_silent.discard)(sensor)
        self._silent.labels(OTHER).set(len(self._others_silent))

    def observe_lag(self, seconds: float) -> None:
        """Count the lag of a window."""
        self._lag.observe(seconds)

    def set_channels(self, door: Door, number: int) -> None:
        """Set how many channels are open."""
        self._channels.labels(door).set(number)

    def set_buffered(self, size: int) -> None:
        """Set the bytes of samples that wait."""
        self._buffered.set(size)

    def count_commit(self, *, is_stored: bool) -> None:
        """Count a transaction of windows."""
        self._commits.labels("stored" if is_stored else "failed").inc()

    def count_event(self, kind: str) -> None:
        """Count a kept event; ``kind`` is one of ``KINDS``."""
        self._events.labels(kind).inc()


class OneSensor:
    """The series of one sensor, looked up once; those of many sensors may be the same."""

    __slots__ = ("_faults", "_label", "last_sample", "missing", "samples", "windows")

    def __init__(
        self,
        samples: Counter,
        windows: Counter,
        missing: Counter,
        last_sample: Gauge,
        faults: Counter,
        label: str,
    ) -> None:
        self.samples, self.windows, self.missing = samples, windows, missing
        self.last_sample, self._faults, self._label = last_sample, faults, label

    def count_fault(self, reason: str, number: int = 1) -> None:
        """Count samples or windows that were not classified; ``reason``: a ``SensorFault``."""
        self._faults.labels(self._label, reason).inc(number)
