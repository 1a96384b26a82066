"""Limit of the request bytes that the process holds, over all callers and transports."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from observability.metrics.metrics import Metrics
from schemas.errors import Overloaded


class BodyBudget:
    """Bytes of requests that the process may hold at a time, over all callers."""

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self._free = capacity
        self._metrics = metrics

    def hold(self) -> Reservation:
        """Return a share of the budget, released when its ``with`` block ends."""
        return Reservation(self)

    def take(self, count: int) -> None:
        """Take ``count`` bytes; raise ``Overloaded`` if fewer are free."""
        if count > self._free:
            self._metrics.reject("body_budget")
            message = "Too many uploads are being received."
            raise Overloaded(message, retry_after=1)
        self._free -= count

    def give_back(self, count: int) -> None:
        """Release ``count`` bytes that ``take`` reserved."""
        self._free += count


class Reservation:
    """One request's share of the budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give all of it back."""
        self._budget.give_back(self._held)
        self._held = 0

    def reserve(self, count: int) -> None:
        """Reserve at least ``count`` bytes in all; raise ``Overloaded`` as ``take`` does."""
        if count > self._held:
            self._budget.take(count - self._held)
            self._held = count
