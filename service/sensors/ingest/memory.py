"""Bytes of samples that wait, over all channels, and the credit that devices get."""

from __future__ import annotations

TIGHT = 0.5
"""Part of the memory that may be held before credit falls."""
FULL = 0.9
"""Part from which transports stop reading, until it is below ``TIGHT``."""
HARD = 1.25
"""Part beyond which samples are refused: transports that cannot stop reading."""


class Memory:
    """What the windows and the open parts of all channels hold.

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

    def credit(self, most: int, least: int) -> int:
        """Return the credit of a channel: ``most``, or a share of what is left when it is tight."""
        if not self.is_tight:
            return most
        share = max(0, self.limit - self.held) // max(1, self.channels)
        return max(least, min(most, share))
