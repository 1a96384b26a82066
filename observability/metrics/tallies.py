"""Metrics that each thread counts for itself, and that are summed when they are scraped.

prometheus-client takes a lock for each number, and an observation has two. Here a thread adds to
numbers of its own. With worker processes the numbers are in shared files, which other processes
read at any time, so they are counted there at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock, get_ident
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.samples import Sample


class _Number(Protocol):
    """A number of prometheus-client."""

    _multiprocess: bool

    def inc(self, amount: float) -> None: ...


class _Tally:
    """The numbers of one series by thread.

    Attributes:
        by_thread: numbers in the order of ``totals``. A thread that reuses the id of one that ended
            goes on with its numbers.
    """

    __slots__ = ("_folded", "_lock", "_totals", "by_thread")

    def __init__(self, totals: Sequence[_Number]) -> None:
        self._totals, self._folded = totals, [0.0] * len(totals)
        self._lock = Lock()
        self.by_thread: dict[int, list[float]] = {}

    def mine(self) -> list[float]:
        """Create the numbers of this thread."""
        with self._lock:
            return self.by_thread.setdefault(get_ident(), [0.0] * len(self._totals))

    def fold(self) -> None:
        """Add what threads counted since the last time to the totals."""
        with self._lock:
            for place, total in enumerate(self._totals):
                counted = sum(numbers[place] for numbers in self.by_thread.values())
                total.inc(counted - self._folded[place])
                self._folded[place] = counted


def _tally_of(*totals: _Number) -> _Tally | None:
    """Return the tally of a series; None if its numbers are in shared files."""
    return None if totals[0]._multiprocess else _Tally(totals)  # noqa: SLF001 - no other way


class TalliedCounter(Counter):
    """A counter; ``inc`` takes no lock unless it has an exemplar."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._tally = _tally_of(self._value)

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is not negative."""
        tally = self._tally
        if tally is None or exemplar is not None:
            super().inc(amount, exemplar)
            return
        numbers = tally.by_thread.get(get_ident()) or tally.mine()
        numbers[0] += amount

    def _child_samples(self) -> Iterable[Sample]:
        if self._tally is not None:
            self._tally.fold()
        return super()._child_samples()


class TalliedGauge(Gauge):
    """A gauge that is only increased and decreased."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._tally = _tally_of(self._value)

    def inc(self, amount: float = 1) -> None:
        """Increase the gauge."""
        tally = self._tally
        if tally is None:
            super().inc(amount)
            return
        numbers = tally.by_thread.get(get_ident()) or tally.mine()
        numbers[0] += amount

    def dec(self, amount: float = 1) -> None:
        """Decrease the gauge."""
        self.inc(-amount)

    def _child_samples(self) -> Iterable[Sample]:
        if self._tally is not None:
            self._tally.fold()
        return super()._child_samples()


class LatestGauge(Gauge):
    """A gauge that is only set, by one thread: the last value counts."""

    _latest: float | None = None

    def _metric_init(self) -> None:
        super()._metric_init()
        self._is_shared: bool = self._value._multiprocess  # noqa: SLF001 - no other way

    def set(self, value: float) -> None:
        """Set the gauge."""
        if self._is_shared:
            super().set(value)
        else:
            self._latest = value

    def _child_samples(self) -> Iterable[Sample]:
        if self._latest is not None:
            super().set(self._latest)
        return super()._child_samples()


class TalliedHistogram(Histogram):
    """A histogram; ``observe`` takes no lock unless it has an exemplar."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._tally = _tally_of(*self._buckets, self._sum)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Observe an amount, which is a number."""
        tally = self._tally
        if tally is None or exemplar is not None:
            super().observe(amount, exemplar)
            return
        numbers = tally.by_thread.get(get_ident()) or tally.mine()
        numbers[bisect_left(self._upper_bounds, amount)] += 1
        numbers[-1] += amount

    def observe_each(self, amount: float, times: int) -> None:
        """Observe the same amount several times."""
        tally = self._tally
        if tally is None:
            for _ in range(times):
                super().observe(amount)
            return
        numbers = tally.by_thread.get(get_ident()) or tally.mine()
        numbers[bisect_left(self._upper_bounds, amount)] += times
        numbers[-1] += amount * times

    def _child_samples(self) -> Iterable[Sample]:
        if self._tally is not None:
            self._tally.fold()
        return super()._child_samples()
