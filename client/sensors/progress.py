"""Choice of the samples to send next. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from client.sensors.queue.samples import part_of
from client.sensors.queue.segment import StoredFrame
from schemas.sensor_wire.messages import Ack
from schemas.sensor_wire.packing import FLOAT

_WORTHWHILE = 4
"""A frame is split to fill the credit if that sends at least a quarter of the credit.

The server gives credit for two windows at least: at three quarters of it a window is complete, so
its ACK is under way and waiting for it cannot last for ever.
"""


@dataclass(slots=True)
class Progress:
    """How far a connection is.

    Attributes:
        channels: numbers in a sample.
        safe: the server needs nothing below.
        credit: samples from ``safe`` on that may be under way.
        position: sequence of the sample to send next.
        gap_end: sequence after the samples that the queue had to drop: ``safe`` passes them only
            when a sample after them arrives, so credit counts from here.
    """

    channels: int
    safe: int = 0
    credit: int = 0
    position: int = 0
    gap_end: int = 0

    @property
    def limit(self) -> int:
        """Samples below may be sent: the rule of ``docs/tcp.md``, "Credit"."""
        return max(self.safe, self.gap_end) + self.credit

    @property
    def room_bytes(self) -> int:
        """Bytes of samples that may be sent."""
        return max(0, self.limit - self.position) * self.channels * FLOAT.itemsize

    @property
    def is_held_back(self) -> bool:
        """Whether credit is used up, or nearly."""
        return self.limit - self.position < max(1, self.credit // _WORTHWHILE)

    def acknowledge(self, ack: Ack) -> bool:
        """Take an ACK; return whether ``safe`` went on."""
        went_on = ack.safe > self.safe
        self.safe = max(self.safe, ack.safe)
        self.credit = ack.credit // (self.channels * FLOAT.itemsize)
        self.position = max(self.position, self.safe)
        return went_on

    def go_back(self) -> None:
        """Send again what is not confirmed."""
        self.position = self.safe

    def take(self, frames: Sequence[StoredFrame]) -> list[bytes]:
        """Return what may be sent of frames in order, the last one possibly split; go on after."""
        sent = []
        for frame in frames:
            if frame.first > self.position:
                self.gap_end = frame.first
            start, end = max(frame.first, self.position), min(frame.end, self.limit)
            if start >= end or (end < frame.end and self.is_held_back):
                break
            is_whole = start == frame.first and end == frame.end
            sent.append(frame.data if is_whole else part_of(frame, start, end, self.channels))
            self.position = end
            if end < frame.end:
                break
        return sent
