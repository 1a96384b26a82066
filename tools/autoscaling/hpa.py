"""The Horizontal Pod Autoscaler's arithmetic, which KEDA uses too.

After ``replica_calculator.go`` and ``horizontal.go`` of Kubernetes, and its documentation: each
metric proposes a number of replicas, the highest proposal counts, and ``behavior`` limits the rate
of change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.1
SYNC_SECONDS = 15.0


def of_average_value(total: float, target: float, current: int) -> int:
    """Return the proposal for an external metric with ``AverageValue``, KEDA's default."""
    if abs(total / (target * current) - 1) <= TOLERANCE:
        return current
    return math.ceil(total / target)


def of_value(value: float, target: float, current: int, ready: int) -> int:
    """Return the proposal for an external metric with ``Value``: ready replicas times a ratio."""
    if abs(value / target - 1) <= TOLERANCE:
        return current
    return math.ceil(value / target * ready)


def of_utilisation(used: Sequence[float], target: float, current: int) -> int:
    """Return the proposal for a resource metric, given as shares of the request.

    Pods without a sample count as idle when scaling up and as busy when scaling down.
    """
    if not used:
        return current
    missing = max(0, current - len(used))
    ratio = sum(used) / len(used) / target
    if not missing:
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * len(used))
    filled = sum(used) + missing * (0.0 if ratio > 1 else 1.0)
    careful = filled / current / target
    if abs(careful - 1) <= TOLERANCE or (ratio > 1) != (careful > 1):
        return current
    wanted = math.ceil(careful * current)
    return current if (careful > 1) != (wanted > current) else wanted


@dataclass(frozen=True, slots=True)
class Direction:
    """``behavior.scaleUp`` or ``scaleDown``: the greater change of both policies is allowed."""

    stabilisation_seconds: float
    percent: float
    pods: int
    period_seconds: float


class Behaviour:
    """Rate limiter for proposals; stateful, for one run.

    Args:
        least, most: bounds on the replicas.
    """

    def __init__(self, up: Direction, down: Direction, least: int, most: int) -> None:
        self._up, self._down, self._least, self._most = up, down, least, most
        self._proposals: list[tuple[float, int]] = []
        self._changes: list[tuple[float, int]] = []

    def follow(self, now: float, current: int, proposal: int) -> int:
        """Return the number of replicas to run from now on."""
        wanted = self._stabilised(now, current, proposal)
        if wanted > current:
            wanted = min(wanted, max(current, self._ceiling(now, current)))
        elif wanted < current:
            wanted = max(wanted, min(current, self._floor(now, current)))
        wanted = min(max(wanted, self._least), self._most)
        if wanted != current:
            self._changes.append((now, wanted - current))
        return wanted

    def _stabilised(self, now: float, current: int, proposal: int) -> int:
        """Scale down to the highest of the recent proposals, up to the lowest."""
        self._proposals.append((now, proposal))
        upward = min(self._since(now - self._up.stabilisation_seconds), default=proposal)
        downward = max(self._since(now - self._down.stabilisation_seconds), default=proposal)
        oldest = now - max(self._up.stabilisation_seconds, self._down.stabilisation_seconds)
        self._proposals = [entry for entry in self._proposals if entry[0] >= oldest]
        if current < upward:
            return upward
        return min(current, downward)

    def _since(self, time: float) -> list[int]:
        return [proposal for at, proposal in self._proposals if at >= time]

    def _ceiling(self, now: float, current: int) -> int:
        start = current - self._changed(now - self._up.period_seconds)
        return max(start + self._up.pods, math.ceil(start * (1 + self._up.percent / 100)))

    def _floor(self, now: float, current: int) -> int:
        start = current - self._changed(now - self._down.period_seconds)
        return min(start - self._down.pods, int(start * (1 - self._down.percent / 100)))

    def _changed(self, since: float) -> int:
        """Return the change in replicas since then."""
        return sum(change for at, change in self._changes if at > since)
