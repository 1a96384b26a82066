"""Prometheus metrics of sensors.

Up to ``LABELLED`` sensors of a process have series of their own; further ones share the label
``other``, so that thousands of sensors do not become tens of thousands of series.
With worker processes a series cannot be removed (its value is in a file), so it is set to 0.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from observability.metrics.tallies import TalliedCounter, TalliedHistogram
from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER

LABELLED = 100
"""Sensors with a label of their own in a process."""
MAX_STATES = 20
"""States with a series of their own for each sensor; further ones share ``other``."""
OTHER = "other"
MQTT_OUTCOMES = ("received", "unknown", "refused", "malformed", "dropped", "early")
KINDS = ("state", "silent", "back")
Door = Literal["tcp", "raw_tcp", "mqtt", "http"]
DOORS: tuple[Door, ...] = ("tcp", "raw_tcp", "mqtt", "http")
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class SensorMetrics:
    """The series of sensors. Implements the port of the intake of samples."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples = Counter(
            "potoo_sensor_samples",
            "Samples received, by how they arrive.",
            ["sensor", "door"],
            registry=registry,
        )
        self._windows = TalliedCounter(
            "potoo_sensor_windows", "Windows answered.", ["sensor"], registry=registry
        )
        self._gaps = Counter(
            "potoo_sensor_gaps", "Times that samples were missing.", ["sensor"], registry=registry
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
            "When samples last arrived.",
            ["sensor"],
            multiprocess_mode="max",
            registry=registry,
        )
        self._silent = Gauge(
            "potoo_sensor_silent",
            "1 while a sensor that sent samples is silent; of the label `other`, their number.",
            ["sensor"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._state = Gauge(
            "potoo_sensor_state",
            "1 for the state that a sensor is in.",
            ["sensor", "state"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._lag = TalliedHistogram(
            "potoo_sensor_lag_seconds",
            "From the arrival of a window's last sample to its stored answer.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._channels = Gauge(
            "potoo_sensor_channels_in_flight",
            "Devices that send, by how their samples arrive.",
            ["door"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._buffer = Gauge(
            "potoo_sensor_buffer_bytes",
            "Samples in memory: of windows that are not complete, or not answered.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._buffer_limit = Gauge(
            "potoo_sensor_buffer_limit_bytes",
            "Bytes of samples that may be in memory.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._events = Counter(
            "potoo_sensor_events", "Events kept, by kind.", ["kind"], registry=registry
        )
        self._mqtt_messages = Counter(
            "potoo_sensor_mqtt_messages",
            "Messages with samples from the MQTT broker, by outcome: all are `received`.",
            ["outcome"],
            registry=registry,
        )
        for outcome in MQTT_OUTCOMES:
            self._mqtt_messages.labels(outcome)
        for kind in KINDS:
            self._events.labels(kind)
        for door in DOORS:
            self._channels.labels(door)
        self._is_shared = MULTIPROCESS_FOLDER in os.environ
        self._labelled: set[str] = set()
        self._counters: dict[str, TalliedCounter] = {}
        self._states: dict[str, set[str]] = {}
        self._others_silent: set[str] = set()

    def begin(self, sensor: str) -> None:
        """Create the series of a sensor that this process receives."""
        label = self._label(sensor)
        for series in (self._windows, self._gaps, self._missing, self._silent):
            series.labels(label)

    def end(self, sensor: str) -> None:
        """Remove the series of a sensor that was removed."""
        self.set_silent(sensor, is_silent=False)
        self._counters.pop(sensor, None)
        states = self._states.pop(sensor, set())
        for state in states:
            self._state.labels(sensor, state).set(0)
        if self._is_shared or sensor not in self._labelled:
            return
        self._labelled.discard(sensor)
        for series in (
            self._windows,
            self._gaps,
            self._missing,
            self._last_sample,
            self._silent,
        ):
            with suppress(KeyError):
                series.remove(sensor)
        for state in states:
            self._state.remove(sensor, state)
        self._samples.remove_by_labels({"sensor": sensor})
        self._faults.remove_by_labels({"sensor": sensor})

    def count_samples(self, sensor: str, door: Door, samples: int) -> None:
        """Count samples that arrived now."""
        label = self._label(sensor)
        self._samples.labels(label, door).inc(samples)
        self._last_sample.labels(label).set_to_current_time()

    def count_windows(self, sensor: str, windows: int) -> None:
        """Count windows whose answers were stored."""
        counter = self._counters.get(sensor)  # ``labels`` takes longer than all the rest
        if counter is None:
            counter = self._windows.labels(self._label(sensor))
            self._counters[sensor] = counter
        counter.inc(windows)

    def count_fault(self, sensor: str, fault: str, times: int = 1) -> None:
        """Count samples or windows that were not classified; ``fault``: a ``SensorFault``."""
        self._faults.labels(self._label(sensor), fault).inc(times)

    def count_gap(self, sensor: str, missing: int) -> None:
        """Count a gap of so many samples."""
        label = self._label(sensor)
        self._gaps.labels(label).inc()
        self._missing.labels(label).inc(missing)

    def observe_lag(self, seconds: float) -> None:
        """Count the lag of a window."""
        self._lag.observe(seconds)

    def set_channels(self, door: Door, channels: int) -> None:
        """Set how many devices send."""
        self._channels.labels(door).set(channels)

    def set_buffer(self, held: int, limit: int) -> None:
        """Set the bytes of samples in memory, and how many are allowed."""
        self._buffer.set(held)
        self._buffer_limit.set(limit)

    def set_silent(self, sensor: str, *, is_silent: bool) -> None:
        """Set whether samples of a sensor stopped."""
        if self._label(sensor) == sensor:
            self._silent.labels(sensor).set(is_silent)
            return
        (self._others_silent.add if is_silent else self._others_silent.discard)(sensor)
        self._silent.labels(OTHER).set(len(self._others_silent))

    def set_state(self, sensor: str, state: str) -> None:
        """Set the state of a sensor with a label; the series of its other states become 0."""
        if self._label(sensor) != sensor:
            return
        states = self._states.setdefault(sensor, set())
        label = state if state in states or len(states) < MAX_STATES else OTHER
        states.add(label)
        for one in states:
            self._state.labels(sensor, one).set(one == label)

    def count_event(self, kind: str) -> None:
        """Count a kept event; ``kind`` is one of ``KINDS``."""
        self._events.labels(kind).inc()

    def count_mqtt_messages(self, outcome: str, messages: int = 1) -> None:
        """Count messages; ``outcome`` is ``received``, or why a message was not taken."""
        self._mqtt_messages.labels(outcome).inc(messages)

    def _label(self, sensor: str) -> str:
        """Return the label of a sensor; the first ones get their own."""
        if sensor in self._labelled:
            return sensor
        if len(self._labelled) >= LABELLED or sensor == OTHER:
            return OTHER
        self._labelled.add(sensor)
        return sensor
