"""Prometheus metrics of cameras. Cameras are few: the setting ``cameras.max_cameras`` bounds them.

With worker processes a series cannot be removed (its value is in a file), so it is set to 0.
"""

from __future__ import annotations

import os
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge

from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER

MAX_STATES = 20
"""States with a series of their own for each camera; further ones share ``other``."""
KINDS = ("state", "silent", "back")


class CameraMetrics:
    """The series of cameras; those of one camera are created when it is watched."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.frames = Counter(
            "potoo_camera_frames", "Frames received.", ["camera"], registry=registry
        )
        self.classified = Counter(
            "potoo_camera_classified", "Frames classified.", ["camera"], registry=registry
        )
        self.failures = Counter(
            "potoo_camera_failures",
            "Attempts that gave no frame or no answer, by reason.",
            ["camera", "reason"],
            registry=registry,
        )
        self.reconnects = Counter(
            "potoo_camera_reconnects",
            "Times that the source of a camera was opened again.",
            ["camera"],
            registry=registry,
        )
        self.last_frame = Gauge(
            "potoo_camera_last_frame_timestamp_seconds",
            "When the last frame was received.",
            ["camera"],
            multiprocess_mode="max",
            registry=registry,
        )
        self.silent = Gauge(
            "potoo_camera_silent",
            "1 while a camera gives no frames.",
            ["camera"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.state = Gauge(
            "potoo_camera_state",
            "1 for the state that a camera is in.",
            ["camera", "state"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.stretch = Gauge(
            "potoo_camera_interval_ratio",
            "Interval of cameras in relation to the wanted one; above 1 to keep to their share.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._events = Counter(
            "potoo_camera_events", "Events kept, by kind.", ["kind"], registry=registry
        )
        for kind in KINDS:
            self._events.labels(kind)
        self.stretch.set(1)
        self._is_shared = MULTIPROCESS_FOLDER in os.environ
        self._states: dict[str, set[str]] = {}

    def begin(self, camera: str) -> None:
        """Create the series of a camera."""
        for series in (self.frames, self.classified, self.reconnects, self.silent):
            series.labels(camera)

    def end(self, camera: str) -> None:
        """Remove the series of a camera that is not watched any more."""
        states = self._states.pop(camera, set())
        self.silent.labels(camera).set(0)
        for state in states:
            self.state.labels(camera, state).set(0)
        if self._is_shared:
            return
        for series in (self.frames, self.classified, self.reconnects, self.last_frame, self.silent):
            with suppress(KeyError):
                series.remove(camera)
        for state in states:
            self.state.remove(camera, state)
        self.failures.remove_by_labels({"camera": camera})

    def set_state(self, camera: str, state: str) -> None:
        """Set the state of a camera; the series of its other states become 0."""
        states = self._states.setdefault(camera, set())
        label = state if state in states or len(states) < MAX_STATES else "other"
        states.add(label)
        for one in states:
            self.state.labels(camera, one).set(one == label)

    def count_event(self, kind: str) -> None:
        """Count a kept event; ``kind`` is one of ``KINDS``."""
        self._events.labels(kind).inc()
