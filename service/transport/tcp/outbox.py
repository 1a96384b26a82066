"""Frames that wait to be written to one connection: bounded, in one write. Pure."""

from __future__ import annotations

from collections import deque

from schemas.sensor_wire.messages import Ack, encode

MOST_RESULTS = 256
"""Results that wait while the device does not read; older ones are dropped."""
MOST_OTHERS = 64
"""Other frames, such as faults, that wait at most."""


class Outbox:
    """Results first, then the newest ACK, which may be for them, then other frames.

    Attributes:
        dropped: results that were not sent.
    """

    def __init__(self) -> None:
        self._results: deque[bytes] = deque()
        self._others: deque[bytes] = deque(maxlen=MOST_OTHERS)
        self._ack: Ack | None = None
        self.dropped = 0

    def add_result(self, frame: bytes) -> None:
        """Queue a result; drop the oldest one if too many wait."""
        self._results.append(frame)
        if len(self._results) > MOST_RESULTS:
            self._results.popleft()
            self.dropped += 1

    def add(self, frame: bytes) -> None:
        """Queue another frame."""
        self._others.append(frame)

    def acknowledge(self, ack: Ack) -> None:
        """Queue an ACK, in place of one that waits."""
        self._ack = ack

    def take(self) -> bytes:
        """Return what waits, and empty the box."""
        frames = [*self._results]
        if self._ack is not None:
            frames.append(encode(self._ack))
        frames += self._others  # BYE, if there is one, is the last
        self._results.clear()
        self._others.clear()
        self._ack = None
        return b"".join(frames)
