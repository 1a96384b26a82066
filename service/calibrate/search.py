"""Search for the best settings and the knee, independent of a server.

Measurements drift on shared machines, so settings are compared in turns, and an improvement within
the noise is not taken.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.operator_error import OperatorError

WORTH = 1.03
"""Throughput ratio from which a setting replaces the one before."""
ROUNDS = 3
NOISY = 0.2
"""Spread of equal measurements from which a machine is too noisy to compare settings."""
TOLERATED_FAILURES = 0.01
PRECISION = 0.1
"""Relative precision of the number of images in flight at the knee."""


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Measurement of one load. ``failed``: share of requests without an answer of 200."""

    per_second: float
    p95: float
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class KneeFound:
    """The last load that met the objective: images in flight, images a second, p95 in seconds."""

    in_flight: int
    per_second: float
    p95: float


class TooSlow(OperatorError):
    """One image at a time misses the objective already. The message is for the user."""


class Comparison(NamedTuple):
    """Two settings compared.

    Attributes:
        ratio: throughput of the new one divided by that of the known one.
        noise: half the spread of that ratio over the rounds.
        is_noisy: whether the machine is too noisy to decide.
    """

    ratio: float
    noise: float
    is_noisy: bool

    @property
    def is_better(self) -> bool:
        """Whether the gain is worth the change, and larger than the noise."""
        return not self.is_noisy and self.ratio >= WORTH and self.ratio - 1 > self.noise


def compare(measure_known: Callable[[], float], measure_new: Callable[[], float]) -> Comparison:
    """Compare two throughputs, measured in turns."""
    knowns, ratios = [], []
    for _ in range(ROUNDS):
        known = measure_known()
        knowns.append(known)
        ratios.append(measure_new() / known)
    noise = (max(ratios) - min(ratios)) / 2
    spread = (max(knowns) - min(knowns)) / statistics.median(knowns)
    return Comparison(statistics.median(ratios), noise, max(spread, 2 * noise) > NOISY)


def find_knee(
    measure: Callable[[int], LoadPoint], objective: float, most: int, start: int = 1
) -> KneeFound:
    """Find the most images in flight at which p95 stays within ``objective`` seconds.

    Doubles the load until the objective is missed, then halves the interval. ``most``: upper limit.

    Raises:
        TooSlow: if one image at a time misses the objective.
    """
    good: tuple[int, LoadPoint] | None = None
    bad: int | None = None
    load = min(start, most)
    while bad is None or good is None or bad - good[0] > max(1, PRECISION * good[0]):
        measured = measure(load)
        if measured.p95 <= objective and measured.failed <= TOLERATED_FAILURES:
            good = (load, measured)
            if load == most:
                break
        elif load == 1:
            raise TooSlow(
                f"one image at a time has a p95 of {measured.p95 * 1000:.0f} ms already; the "
                f"objective is {objective * 1000:.0f} ms: take a faster model or machine, or more "
                "time"
            )
        else:
            bad = load
        if bad is None:
            load = min(2 * load, most)
        else:
            load = (bad + good[0]) // 2 if good else max(1, bad // 2)
    return KneeFound(good[0], good[1].per_second, good[1].p95)
