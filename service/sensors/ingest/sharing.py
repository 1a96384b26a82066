"""Shared by the channels of a process: memory, the model's queue, the commit, clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.sensors import SensorAnswer
from service.sensors.ingest.committing import Committer
from service.sensors.ingest.lanes import Dispatcher
from service.sensors.records import Fate, Outcome

TIGHT = 0.5
"""Part of the memory that may be held before credit falls."""
FULL = 0.9
"""Part from which transports stop reading, until it is below ``TIGHT``."""
HARD = 1.25
"""Part beyond which samples are refused: transports that cannot stop reading."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the intake of a process; see ``SensorSettings``."""

    channels: int = 2000
    channel_bytes: int = 2**20
    buffer_bytes: int = 256 * 2**20
    idle_seconds: float = 60.0


class Memory:
    """Bytes that the windows and the open parts of all channels hold.

    Attributes:
        held: bytes.
        limit: bytes that may be held.
        full: bytes from which transports must stop reading.
        channels: that share it.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.channels = limit, 0, 0
        self.full = int(FULL * limit)

    @property
    def is_tight(self) -> bool:
        """Whether transports that stopped reading must wait."""
        return self.held > TIGHT * self.limit

    def has_room(self, size: int) -> bool:
        """Return whether so many more bytes may be held."""
        return self.held + size <= HARD * self.limit

    def share(self, most: int, least: int) -> int:
        """Return what a channel may hold: ``most``, or a share of what is left when it is tight."""
        if not self.is_tight:
            return most
        share = max(0, self.limit - self.held) // max(1, self.channels)
        return max(least, min(most, share))


class Paused(Protocol):
    """A channel whose transport stopped reading."""

    def resume(self) -> None:
        """Let the transport read on, if there is room."""


class Ended(Protocol):
    """A channel that ends."""

    @property
    def sensor(self) -> str:
        """Name of its sensor."""

    @property
    def least_bytes(self) -> int:
        """Bytes that it needed."""


class Tools:
    """Shared by the channels of a process.

    Attributes:
        paused: channels whose transports stopped reading.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        committer: Committer,
        memory: Memory,
        *,
        on_outcome: Callable[[str, Sequence[SensorAnswer], Outcome], None],
        on_end: Callable[[Ended, Fate | None], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_outcome``: called after each commit. ``on_end``: once for each channel."""
        self.dispatcher, self.committer, self.memory = dispatcher, committer, memory
        self.on_outcome, self.on_end = on_outcome, on_end
        self.clock, self.monotonic = clock, monotonic
        self.paused: dict[Paused, None] = {}

    def resume(self) -> None:
        """Let the transports read on that wait, after memory was freed."""
        if self.paused and not self.memory.is_tight:
            for channel in list(self.paused):
                channel.resume()
