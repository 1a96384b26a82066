"""Counts of answers within a sliding window, made of two halves."""

from __future__ import annotations

from bisect import bisect_left

from schemas.drift import EDGES, Quantity

_EDGES = {quantity: list(edges) for quantity, edges in EDGES.items()}


def bin_of(quantity: Quantity, value: float) -> int:
    """Return the bin of a value."""
    return bisect_left(_EDGES[quantity], value)


class Window:
    """Counts of the last answers: those of between half and all of the window's length."""

    def __init__(self, seconds: float, now: float) -> None:
        """``seconds``: length; ``now``: on any clock that goes on."""
        self._half = seconds / 2
        self.since = self._began = now
        self._halves = [_empty(), _empty()]

    def count(self, values: dict[Quantity, float], now: float) -> None:
        """Count an answer."""
        self._turn(now)
        for quantity, value in values.items():
            self._halves[1][quantity][bin_of(quantity, value)] += 1

    def counts(self, now: float) -> dict[Quantity, tuple[int, ...]]:
        """Return the counts of each bin, of quantities that were counted."""
        self._turn(now)
        return {
            quantity: summed
            for quantity in Quantity
            if sum(
                summed := tuple(
                    a + b for a, b in zip(*(half[quantity] for half in self._halves), strict=True)
                )
            )
        }

    def _turn(self, now: float) -> None:
        halves = int((now - self._began) / self._half)
        if halves < 1:
            return
        self._halves = [self._halves[1] if halves == 1 else _empty(), _empty()]
        self.since = self._began + (halves - 1) * self._half
        self._began += halves * self._half


def _empty() -> dict[Quantity, list[int]]:
    return {quantity: [0] * (len(EDGES[quantity]) + 1) for quantity in Quantity}
