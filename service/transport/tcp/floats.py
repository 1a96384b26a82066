"""Plain float32 bytes as samples, at any boundaries of the pieces. Pure."""

from __future__ import annotations

import numpy as np

from schemas.sensor_wire.packing import FLOAT, Samples


class FloatAssembler:
    """Joins pieces to whole samples; keeps the bytes of an incomplete one."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._rest = b""

    @property
    def held_bytes(self) -> int:
        """Bytes of the incomplete sample that are held: fewer than a sample has."""
        return len(self._rest)

    def feed(self, piece: bytes) -> Samples:
        """Return the samples that ``piece`` completes: shape [n, channels], n may be 0.

        They are a read-only view, without a copy unless bytes were held.
        """
        data = self._rest + piece if self._rest else piece
        count = len(data) // (self._channels * FLOAT.itemsize)
        whole = count * self._channels
        self._rest = data[whole * FLOAT.itemsize :]
        return np.frombuffer(data, FLOAT, whole).reshape(count, self._channels)
