"""Windows of one epoch: samples in any cut, with gaps, repeats and late ones.

::

      window k-1      window k (open)
    ├────────────┼────────────┤
                 ▲     ▲
               open   next        memory holds the samples [open, next): less than a window
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.sensors import MAX_SEQUENCE, SensorFault
from service.sensors.windows.samples import Cut, Samples, Window
from service.sensors.windows.times import SampleTimes

_LEAST_BUFFER_BYTES = 8192


class Found(NamedTuple):
    """A fault of samples or windows: how many times, and in words."""

    fault: SensorFault
    times: int
    detail: str


class SampleStream:
    """Cuts the samples of one epoch into windows.

    Windows are views of the offered samples where a message holds all of them; the rest is copied
    once or twice into buffers that are never written again where a window sees them. NaN and
    infinities pass: the model's manifest decides about them.

    A gap that the policy fills needs the sample before it: the stream knows that one from its
    first message on. A device that resumes after a gap at the very point where it was confirmed
    leaves the gap open.

    Attributes:
        open: start of the first window that is not complete.
        next: sequence after the last sample that arrived.
        samples: that arrived, without repeats.
        faults, breaks: faults and gaps (first missing sequence, number) since the caller last
            cleared the lists.
    """

    def __init__(self, cut: Cut, *, start: int) -> None:
        """``start``: sequence of the first sample that is needed."""
        self._cut, self._times = cut, SampleTimes(cut.rate)
        self.next, self.open = start, cut.start_from(start)
        self.samples = 0
        self.faults: list[Found] = []
        self.breaks: list[tuple[int, int]] = []
        self._filled: deque[tuple[int, int]] = deque()
        self._last: NDArray[np.float32] | None = None
        rows = max(2 * cut.length, _LEAST_BUFFER_BYTES // cut.row_bytes)
        self._rows = rows
        self._buffer: NDArray[np.float32] | None = None
        self._begin = self._end = 0  # rows of the buffer that hold [open, next)

    @property
    def held_rows(self) -> int:
        """Samples in memory that belong to no complete window."""
        return max(0, self.next - self.open)

    def feed(self, samples: Samples, *, arrived: float, now: float) -> list[Window]:
        """Take samples and return the windows that they complete, in order.

        Args:
            arrived: on ``time.monotonic``.
            now: in seconds since the epoch, for windows that are late.

        Raises:
            ValueError: ``values`` has another shape or dtype than the sensor.
            OverflowError: the sequence is out of range.
        """
        values, first = samples.values, samples.first
        if values.ndim != 2 or values.shape[1] != self._cut.channels or values.dtype != np.float32:
            message = f"samples must be float32 of shape [n, {self._cut.channels}]"
            raise ValueError(message)
        if first is None:
            first = self.next
        end = first + len(values)
        if first < 0 or end > MAX_SEQUENCE:
            message = "the sequence is out of range"
            raise OverflowError(message)
        if not len(values):
            return []
        windows: list[Window] = []
        begin = first
        if first != self.next:
            if first < self.next:
                repeated = min(end, self.next) - first
                self._find(SensorFault.DUPLICATE, repeated, "samples arrived before")
                values, first = values[repeated:], first + repeated
                if first >= end:
                    return []
            else:
                self._bridge(values[0], first, windows, arrived)
        if samples.at is not None:
            self._times.note(first, samples.at + (first - begin) / self._cut.rate)
        self.samples += len(values)
        self._append(values, first, windows, arrived)
        if self._cut.gap != "drop":
            self._last = values[-1].copy()
        return windows if self._cut.late_after is None else self._timely(windows, now)

    def _append(
        self, values: NDArray[np.float32], first: int, windows: list[Window], arrived: float
    ) -> None:
        """Add the samples after ``next``; append complete windows."""
        length, stride = self._cut.length, self._cut.stride
        start, end = self.open, first + len(values)
        self.next = end
        if start < first:  # windows that begin in the buffer
            last = (first - 1) // stride * stride
            taken = min(end, last + length) - first
            buffer = self._keep(values[:taken])
            origin = start - self._begin
            while start < first and start + length <= first + taken:
                self._complete(buffer, start, origin, windows, arrived)
                start += stride
            if start < first:
                self._begin = start - origin
                self.open = start
                return
            self._begin = self._end
        while start + length <= end:
            self._complete(values, start, first, windows, arrived)
            start += stride
        self.open = start
        if start < end:
            self._keep(values[start - first :] if start > first else values)

    def _complete(
        self,
        rows: NDArray[np.float32],
        start: int,
        origin: int,
        windows: list[Window],
        arrived: float,
    ) -> None:
        """Append the window from ``start`` on; ``origin``: sequence of the first row."""
        end = start + self._cut.length
        filled = self._count_filled(start, end) if self._filled else 0
        at = self._times.of(end - 1)
        windows.append(Window(start, rows[start - origin : end - origin], filled, at, arrived))

    def _keep(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Copy samples behind those in the buffer; return the buffer.

        Rows behind ``_end`` were never part of a window. If there are not enough of them, the kept
        rows move to a new buffer: windows may still see the old one.
        """
        buffer, count = self._buffer, len(values)
        if buffer is None or self._end + count > len(buffer):
            kept = self._end - self._begin
            moved = np.empty((max(self._rows, kept + count), self._cut.channels), np.float32)
            if buffer is not None and kept:
                moved[:kept] = buffer[self._begin : self._end]
            self._buffer = buffer = moved
            self._begin, self._end = 0, kept
        buffer[self._end : self._end + count] = values
        self._end += count
        return buffer

    def _bridge(
        self, after: NDArray[np.float32], first: int, windows: list[Window], arrived: float
    ) -> None:
        """Fill the gap before ``first``, or drop the windows that it is in."""
        missing = first - self.next
        self.breaks.append((self.next, missing))
        if self._last is not None and missing <= self._cut.fill:
            self._filled.append((self.next, first))
            self._append(self._made(missing, self._last, after), self.next, windows, arrived)
            return
        dropped = max(0, -(-(first - self.open) // self._cut.stride))
        self.open, self.next = max(self.open, self._cut.start_from(first)), first
        self._begin = self._end
        self._filled.clear()
        self._find(SensorFault.GAP, dropped, f"{missing} samples are missing")

    def _made(
        self, count: int, before: NDArray[np.float32], after: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return made samples between two real ones, shape [count, channels]."""
        if self._cut.gap == "hold":
            return np.repeat(before[np.newaxis], count, axis=0)
        steps = (np.arange(1, count + 1) / (count + 1))[:, np.newaxis]
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinities pass
            made = before.astype(np.float64) * (1 - steps) + after.astype(np.float64) * steps
            return made.astype(np.float32)

    def _count_filled(self, start: int, end: int) -> int:
        while self._filled and self._filled[0][1] <= start:
            self._filled.popleft()
        return sum(max(0, min(end, last) - max(start, at)) for at, last in self._filled)

    def _timely(self, windows: list[Window], now: float) -> list[Window]:
        """Drop and count windows that are late."""
        oldest = now - (self._cut.late_after or 0)
        kept = [one for one in windows if one.sampled_at is None or one.sampled_at >= oldest]
        if late := len(windows) - len(kept):
            self._find(SensorFault.LATE, late, "the window is late")
        return kept

    def _find(self, fault: SensorFault, times: int, detail: str) -> None:
        if times:
            self.faults.append(Found(fault, times, detail))
