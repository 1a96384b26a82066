"""Memory of one channel, the credit of its device, and when its transport stops reading."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Overloaded
from service.sensors.ingest.ports import Listener
from service.sensors.ingest.sharing import Tools
from service.sensors.windows.samples import Cut

WINDOW_BYTES = 512
"""Of a window that waits, beside its samples."""


class Budget(NamedTuple):
    """Bytes that the samples and windows of one channel hold.

    Attributes:
        row: of one sample.
        window: of one window that waits, without the samples that it shares with the next one.
    """

    row: int
    window: int
    length: int
    stride: int

    @classmethod
    def of(cls, cut: Cut) -> Budget:
        """Return the budget of windows of this cut."""
        own = min(cut.length, cut.stride) * cut.row_bytes
        return cls(cut.row_bytes, own + WINDOW_BYTES, cut.length, cut.stride)

    def bytes_of(self, windows: int) -> int:
        """Return what an open window and so many that wait hold."""
        return self.length * self.row + windows * self.window

    def size_of(self, samples: int) -> int:
        """Return what samples hold, with the windows that they complete."""
        return samples * self.row + samples // self.stride * WINDOW_BYTES

    def credit(self, held: int) -> int:
        """Return the credit of a device whose channel may hold so much: bytes of samples."""
        windows = max(2, (held - self.length * self.row) // self.window)
        return (self.length + windows * self.stride) * self.row


class Load:
    """Bytes that the samples and windows of one channel hold.

    Attributes:
        least: bytes that the channel needs.
        credit: see ``Channel``.
    """

    def __init__(self, cut: Cut, most: int, tools: Tools, listener: Listener) -> None:
        """``most``: bytes that the channel may hold, if it does not need more."""
        self._budget, self._tools, self._listener = Budget.of(cut), tools, listener
        self.least = self._budget.bytes_of(2)
        self._most = max(most, self._budget.bytes_of(4))
        self._held = 0
        self._is_paused = False
        self.credit = 0
        self.grant()

    def grant(self) -> int:
        """Measure the credit again, and return it."""
        share = self._tools.memory.share(self._most, self.least)
        self.credit = self._budget.credit(share)
        return self.credit

    def check(self, values: NDArray[np.float32]) -> None:
        """Check that there is room for samples.

        Raises:
            Overloaded: the device sent far beyond its credit, or all channels hold too much.
        """
        size = self._budget.size_of(len(values))
        is_beyond = self._held > 0 or values.nbytes > self.credit
        if is_beyond and self._held + size > 2 * self._most:
            raise Overloaded("The device sends more than its credit.", retry_after=1)
        if not self._tools.memory.has_room(size):
            raise Overloaded("The server holds as many samples as it may.", retry_after=1)

    def weigh(self, windows: int, rows: int) -> None:
        """Note what is held: windows that wait, and samples of none; pause or resume reading."""
        memory = self._tools.memory
        held = windows * self._budget.window + rows * self._budget.row
        if held != self._held:
            memory.held += held - self._held
            self._held = held
        if self._is_paused:
            self.resume()
        elif held > self._most or (memory.held > memory.full and held >= self.least // 2):
            self._is_paused = True
            self._tools.paused[self] = None
            self._listener.pause()

    def resume(self) -> None:
        """Let the transport read on, if there is room."""
        if not self._is_paused or self._held > self._most // 2:
            return
        # A channel that holds less than a window may go on: only its samples can complete it.
        if not self._tools.memory.is_tight or self._held < self.least // 2:
            self._is_paused = False
            self._tools.paused.pop(self, None)
            self._listener.resume()

    def drop(self) -> None:
        """Note that the channel holds nothing any more."""
        self._tools.memory.held -= self._held
        self._held = 0
        self._tools.paused.pop(self, None)
