"""Live facts of the sensors that this process receives."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas.sensors import SensorAnswer, SensorCounts, SensorFault, SensorGap
from service.sensors.ingest.ports import Door, SensorMetrics
from service.sensors.ingest.states import StateVotes
from service.sensors.live import (
    MOST_GAPS,
    MOST_WINDOWS,
    LiveGlance,
    Recent,
    RecentWindow,
    SensorReport,
)
from service.sensors.windows.samples import Window
from service.sensors.windows.times import RateMeter

KEEP_SECONDS = 1.0
"""Between two windows that are kept for people."""
MOST_CHANNELS = 64
"""Channels of a window that are kept for people."""
PARTS = 256
WANTED_SECONDS = 60.0
"""After the last look of people all windows are kept for so long; else the last ``UNSEEN``."""
UNSEEN = 2
SMALL_BYTES = 16_384
"""A window that is copied as it is: that takes a tenth of the time of ``coarse``."""


class Tracked:
    """A sensor that this process receives.

    Attributes:
        seen: when the last sample arrived, in seconds since the epoch; None before the first.
        is_silent: as stored.
        votes: of messages without a channel.
        former: ``owner`` of the last channel that has ended.
        lag: seconds from the arrival of the last window's last sample to its commit.
    """

    def __init__(self, name: str, metrics: SensorMetrics, *, is_silent: bool) -> None:
        self.name, self._metrics, self.is_silent = name, metrics, is_silent
        self.door: Door | None = None
        self.seen: float | None = None
        self.answer: SensorAnswer | None = None
        self.fault: SensorFault | None = None
        self.lag: float | None = None
        self.votes: StateVotes | None = None
        self.former: str | None = None
        self.rate = RateMeter()
        self.samples = self.windows = self.gaps = self.missing = 0
        self._faults: dict[SensorFault, int] = {}
        self._uncounted = 0
        self._windows: deque[RecentWindow] = deque(maxlen=MOST_WINDOWS)
        self._gaps: deque[SensorGap] = deque(maxlen=MOST_GAPS)
        self._kept_at = self._wanted_until = -KEEP_SECONDS

    def take(self, samples: int, *, arrived: float, now: float) -> None:
        """Note samples. ``arrived``: on ``time.monotonic``; ``now``: since the epoch."""
        self.seen = now
        self.samples += samples
        self._uncounted += samples
        self.rate.add(samples, arrived)

    def take_fault(self, fault: SensorFault, times: int = 1) -> None:
        """Note faults."""
        self.fault = fault
        self._faults[fault] = self._faults.get(fault, 0) + times
        self._metrics.count_fault(self.name, fault, times)

    def take_gap(self, gap: SensorGap) -> None:
        """Note missing samples."""
        self.gaps, self.missing = self.gaps + 1, self.missing + gap.missing
        self._gaps.append(gap)
        self._metrics.count_gap(self.name, gap.missing)

    def take_answer(self, window: Window, answer: SensorAnswer, now: float) -> None:
        """Note a committed answer. ``now``: on ``time.monotonic``."""
        self.answer, self.fault = answer, None
        self.windows += 1
        self.lag = now - window.arrived
        self._metrics.observe_lag(self.lag)
        self.keep(answer.epoch, window, answer, now)

    def keep(self, epoch: int, window: Window, answer: SensorAnswer | None, now: float) -> None:
        """Keep a copy of a window for people, at most one a second."""
        if now - self._kept_at >= KEEP_SECONDS:
            self._kept_at = now
            values, length = window.values, len(window.values)
            if now < self._wanted_until or values.nbytes > SMALL_BYTES:
                values = coarse(values)
            else:
                values = values[:, :MOST_CHANNELS].copy()
                while len(self._windows) >= UNSEEN:
                    self._windows.popleft()
            kept = RecentWindow(epoch, window.first, values, window.filled, answer, length)
            self._windows.append(kept)

    def flush(self) -> None:
        """Add the samples since the last call to the metrics."""
        if self._uncounted and self.door is not None:
            self._metrics.count_samples(self.name, self.door, self._uncounted)
            self._uncounted = 0

    def report(self, monotonic: float) -> SensorReport:
        """Return a copy of what is known."""
        return SensorReport(
            answer=self.answer,
            last_sample_at=None if self.seen is None else datetime.fromtimestamp(self.seen, UTC),
            measured_rate=self.rate.rate(monotonic),
            lag_seconds=self.lag,
            door=self.door,
            fault=self.fault,
            counts=SensorCounts(
                samples=self.samples,
                windows=self.windows,
                gaps=self.gaps,
                missing=self.missing,
                faults=dict(self._faults),
            ),
        )

    def recent(self, now: float) -> Recent:
        """Return copies of the last windows and gaps. ``now``: on ``time.monotonic``."""
        self._wanted_until = now + WANTED_SECONDS
        return Recent(tuple(self._windows), tuple(self._gaps))


class Tracker:
    """The sensors that this process receives, by name; implements ``LiveSensors``."""

    def __init__(
        self, metrics: SensorMetrics, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics, self._monotonic = metrics, monotonic
        self._sensors: dict[str, Tracked] = {}

    def begin(self, name: str, *, is_silent: bool) -> Tracked:
        """Return a sensor, which is tracked from now on."""
        if (found := self._sensors.get(name)) is None:
            self._metrics.begin(name)
            found = self._sensors[name] = Tracked(name, self._metrics, is_silent=is_silent)
        found.is_silent = is_silent
        self._metrics.set_silent(name, is_silent=is_silent)
        return found

    def get(self, name: str) -> Tracked | None:
        """Return a tracked sensor, or None."""
        return self._sensors.get(name)

    def forget(self, name: str, *, is_removed: bool = False) -> None:
        """Forget a sensor that another process receives now, or that was removed."""
        if (found := self._sensors.pop(name, None)) is not None:
            found.flush()
            if is_removed:
                self._metrics.end(name)

    def flush(self) -> None:
        """Add the samples of all sensors to the metrics."""
        for one in self._sensors.values():
            one.flush()

    def names(self) -> Collection[str]:
        """See ``LiveSensors``."""
        return tuple(self._sensors)

    def report(self, sensor: str) -> SensorReport | None:
        """See ``LiveSensors``."""
        found = self._sensors.get(sensor)
        return None if found is None else found.report(self._monotonic())

    def glance(self, sensor: str) -> LiveGlance | None:
        """See ``LiveSensors``."""
        found = self._sensors.get(sensor)
        if found is None:
            return None
        answer = found.answer
        return LiveGlance(
            found.seen is not None,
            found.fault,
            answer.model if answer else None,
            answer.version if answer else None,
        )

    def recent(self, sensor: str) -> Recent | None:
        """See ``LiveSensors``."""
        found = self._sensors.get(sensor)
        return None if found is None else found.recent(self._monotonic())


def coarse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a small copy of a window that looks the same when it is drawn.

    Args:
        values: shape [length, channels].

    Returns:
        At most 64 channels of the window; of a long one the minima and maxima of 256 equal parts,
        shape [512, channels].
    """
    values = values[:, :MOST_CHANNELS]
    if len(values) <= 2 * PARTS:
        return values.copy()
    if not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, np.float32(np.nan))
    both = np.empty((2 * PARTS, values.shape[1]), np.float32)
    if len(values) % PARTS:
        starts = np.arange(PARTS) * len(values) // PARTS
        np.fmin.reduceat(values, starts, axis=0, out=both[0::2])
        np.fmax.reduceat(values, starts, axis=0, out=both[1::2])
    else:  # four times as fast
        parts = values.reshape(PARTS, -1, values.shape[1])
        np.fmin.reduce(parts, axis=1, out=both[0::2])
        np.fmax.reduce(parts, axis=1, out=both[1::2])
    return both
