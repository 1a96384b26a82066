"""One simulated device, whatever it is connected by."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.streams.sensors import windows
from schemas.sensor_wire.messages import data_of, encode

DOORS = ("tcp", "mqtt")
_ACK = struct.Struct("<QI")
"""First sequence that is needed, and credit."""
_WINDOWS = windows.samples()


@dataclass
class Tally:
    """Answers of all devices while it is open."""

    is_open: bool = False
    answers: int = 0
    errors: int = 0
    seconds: list[float] = field(default_factory=list)

    def count(self, sent: float | None) -> None:
        """Count an answer; ``sent``: when its window was sent."""
        if self.is_open and sent is not None:
            self.answers += 1
            self.seconds.append(time.monotonic() - sent)


class Device:
    """One sensor's windows: numbers them, and remembers when each was sent."""

    def __init__(self, door: str, number: int, epoch: int, tally: Tally) -> None:
        self.name, self.epoch, self.tally = name_of(door, number), epoch, tally
        self.send: Callable[[bytes], None] = lambda _: None
        self.is_paced = False
        self.is_ready = asyncio.get_running_loop().create_future()
        self._sent: dict[int, float] = {}
        self._next, self._window = 0, number

    def acknowledged(self, payload: bytes) -> None:
        """Go on where the run before has ended; of the first ACK."""
        if not self.is_ready.done():
            self._next = _ACK.unpack(payload)[0]
            self.is_ready.set_result(None)

    def send_window(self) -> None:
        """Send the next window."""
        values = _WINDOWS[self._window % len(_WINDOWS)]
        first, self._next, self._window = self._next, self._next + len(values), self._window + 1
        self._sent[first] = time.monotonic()
        self.send(encode(data_of(first, values)))

    def answered(self, first: int) -> None:
        """Take the answer for a window."""
        self.tally.count(self._sent.pop(first, None))
        if not self.is_paced:
            self.send_window()


def name_of(door: str, number: int) -> str:
    """Return the name of a sensor; each door has its own."""
    return f"{door}-{number:04d}"
