"""Samples as they arrive, and windows as they are classified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.sensors import GapPolicy, SensorSpec


@dataclass(slots=True)
class Samples:
    """Consecutive samples of one epoch.

    Attributes:
        first: sequence of the first sample; None for the one after the last that was offered (a
            device that does not number its samples).
        values: shape [n, channels], float32, C-contiguous. May be a read-only view of received
            bytes. Windows are views of it: never change the memory afterwards.
        at: when the first sample was taken, by the device, in seconds since the epoch; None if
            unknown. See ``SampleTimes`` for times that go back.
    """

    first: int | None
    values: NDArray[np.float32]
    at: float | None = None


class Window(NamedTuple):
    """A complete window.

    Attributes:
        first: sequence of its first sample: a multiple of the stride.
        values: shape [length, channels], float32, C-contiguous; do not change it.
        filled: number of samples that the gap policy made.
        sampled_at: when the last sample was taken, by the device, in seconds since the epoch.
        arrived: when the last sample was offered, on ``time.monotonic``.
    """

    first: int
    values: NDArray[np.float32]
    filled: int
    sampled_at: float | None
    arrived: float


@dataclass(frozen=True, slots=True)
class Cut:
    """How samples are cut into windows: window k has the samples from ``k * stride`` on.

    Attributes:
        length: samples in a window.
        stride: samples between the starts of two windows; may be above ``length``.
        rate: samples a second, for the time of a sample within a message.
        fill: most missing samples that the policy fills; never more than a window.
        late_after: seconds after which a window is dropped; None: never.
    """

    channels: int
    length: int
    stride: int
    rate: float
    gap: GapPolicy = "drop"
    fill: int = 0
    late_after: float | None = None

    @classmethod
    def of(cls, spec: SensorSpec, length: int) -> Cut:
        """Return the cut of a sensor whose model takes windows of ``length`` samples."""
        return cls(
            spec.channels,
            length,
            spec.stride or length,
            spec.rate,
            spec.gap,
            min(spec.gap_samples, length),
            spec.late_after_seconds,
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return 4 * self.channels

    def start_from(self, sequence: int) -> int:
        """Return the first start of a window at ``sequence`` or after it."""
        return -(-sequence // self.stride) * self.stride
