"""Pauses between attempts to connect: exponential, with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause doubles from ``first`` to ``longest`` seconds; a random half of it is left out.

    Devices that failed together so do not return together.
    """

    first: float = 0.5
    longest: float = 60.0
    jitter: Callable[[], float] = random.random

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, from 1."""
        whole = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + self.jitter() / 2)
