"""The search itself: which settings are best, and where the knee is. Knows no server.

Measurements drift on shared machines, so settings are compared in turns, and what is no more than
noise better is not taken.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from schemas.operator_error import OperatorError

WORTH = 1.03
"""Throughput must grow by so much for a setting other than the default to be taken."""
ROUNDS = 3
TOLERATED_FAILURES = 0.01
PRECISION = 0.1
"""Of the number of images in flight at the knee."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One load. ``failed``: share of requests that got no answer of 200."""

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
    """Even one image at a time misses the objective. The message is for people."""


def is_better(
    measure_known: Callable[[], float], measure_new: Callable[[], float]
) -> tuple[bool, float]:
    """Whether the new throughput is worth the change, and its ratio to the known one."""
    ratios = []
    for _ in range(ROUNDS):
        known = measure_known()
        ratios.append(measure_new() / known)
    ratio = statistics.median(ratios)
    return ratio >= WORTH, ratio


def find_knee(
    measure: Callable[[int], Measured], objective: float, most: int, start: int = 1
) -> KneeFound:
    """The most images in flight at which p95 stays within ``objective`` seconds.

    Doubles the load until it is missed, then halves the interval. ``most``: not to be exceeded.

    Raises:
        TooSlow: if one image at a time misses it.
    """
    good: tuple[int, Measured] | None = None
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
