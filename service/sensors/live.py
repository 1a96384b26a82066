"""Live facts of a sensor, known to the process that receives its samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.sensors import (
    SensorAnswer,
    SensorCounts,
    SensorFault,
    SensorGap,
    SensorWindow,
    SensorWindows,
)

POINTS = 256
"""Points of a channel that are sent of a window."""
MOST_WINDOWS = 8
MOST_GAPS = 20


class SensorReport(BaseModel):
    """The part of ``Sensor`` that only the receiving process knows."""

    model_config = ConfigDict(frozen=True)

    answer: SensorAnswer | None = None
    last_sample_at: datetime | None = None
    measured_rate: float | None = None
    lag_seconds: float | None = None
    door: Literal["tcp", "raw_tcp", "mqtt", "http"] | None = None
    fault: SensorFault | None = None
    counts: SensorCounts = SensorCounts()


@dataclass(frozen=True, slots=True)
class RecentWindow:
    """One of the last windows of a sensor.

    Attributes:
        values: shape [length, channels], float32; of a long window often the minimum and maximum of
            each of 256 parts, one after the other.
        filled: samples that the gap policy filled.
        answer: None if the window was not classified.
        length: samples in the window; 0: as many as ``values`` has.
    """

    epoch: int
    first: int
    values: NDArray[np.float32]
    filled: int
    answer: SensorAnswer | None
    length: int = 0


@dataclass(frozen=True, slots=True)
class Recent:
    """The last windows and gaps of a sensor, oldest first."""

    windows: Sequence[RecentWindow]
    gaps: Sequence[SensorGap]


class LiveGlance(NamedTuple):
    """The values of ``SensorReport`` that seldom change.

    Attributes:
        is_seen: whether there was a sample.
        model: of the last answer, with its version.
    """

    is_seen: bool
    fault: SensorFault | None
    model: str | None
    version: int | None


class LiveSensors(Protocol):
    """The sensors that this process has received samples of since it started."""

    def names(self) -> Collection[str]:
        """Return their names."""

    def report(self, sensor: str) -> SensorReport | None:
        """Return a copy of what is known of a sensor; None if nothing is."""

    def glance(self, sensor: str) -> LiveGlance | None:
        """Return a part of the report, at a tenth of its cost."""

    def recent(self, sensor: str) -> Recent | None:
        """Return the last windows of a sensor; None if nothing is known of it."""


class NoLiveSensors:
    """Implements ``LiveSensors`` where nothing is received."""

    def names(self) -> Collection[str]:
        """See ``LiveSensors``."""
        return ()

    def report(self, sensor: str) -> None:
        """See ``LiveSensors``."""

    def glance(self, sensor: str) -> None:
        """See ``LiveSensors``."""

    def recent(self, sensor: str) -> None:
        """See ``LiveSensors``."""


def drawn(recent: Recent) -> SensorWindows:
    """Return the windows with at most ``POINTS`` points a channel."""
    return SensorWindows(
        windows=[_drawn(window) for window in recent.windows[-MOST_WINDOWS:]],
        gaps=list(recent.gaps[-MOST_GAPS:]),
    )


def _drawn(window: RecentWindow) -> SensorWindow:
    low, high = extremes(window.values)
    return SensorWindow(
        epoch=window.epoch,
        first_sequence=window.first,
        length=window.length or len(window.values),
        low=low,
        high=high,
        filled=window.filled,
        answer=window.answer,
    )


def extremes(
    values: NDArray[np.float32],
) -> tuple[list[list[float | None]], list[list[float | None]]]:
    """Return the minima and maxima of at most ``POINTS`` equal parts of each channel.

    Args:
        values: shape [length, channels]; NaN and infinities are left out.
    """
    finite = np.isfinite(values)
    starts = np.linspace(0, len(values), min(POINTS, len(values)), endpoint=False).astype(int)
    low = np.minimum.reduceat(np.where(finite, values, np.inf), starts, axis=0)
    high = np.maximum.reduceat(np.where(finite, values, -np.inf), starts, axis=0)
    return _channels(low), _channels(high)


def _channels(points: NDArray[np.floating]) -> list[list[float | None]]:
    return [
        [point if np.isfinite(point) else None for point in channel]
        for channel in points.T.astype(np.float64).round(6).tolist()
    ]
