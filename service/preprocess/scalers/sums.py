"""Partial statistics of rows, which merge to those of the whole in any order.

Count, NaN, mean and sum of squared deviations, merged by the formula of T. F. Chan, G. H. Golub and
R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979):

    mean = mean_A + d n_B / n,   M2 = M2_A + M2_B + d**2 n_A n_B / n,   d = mean_B - mean_A

in unevaluated sums of two float64, so that the order makes no difference within 1e-12, also where
the mean is large against the deviation. Minimum, maximum, and the distinct numbers with their
counts, up to a bound, for medians and quartiles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from service.preprocess.numeric.rows import InvalidRows, Rows, Values, refuse_cell
from service.preprocess.scalers import double_double
from service.preprocess.scalers.double_double import Double, Float, exact, two_sum

Counts = NDArray[np.int64]
MAX_MAGNITUDE = 1e140
"""Larger numbers have squares whose sum may be too large for float64."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """Distinct numbers, ascending, and how often each occurs."""

    values: Values
    counts: Counts

    def __len__(self) -> int:
        """Return how many distinct numbers there are."""
        return self.values.size

    def __add__(self, other: Distinct) -> Distinct:
        """Return the numbers of both."""
        values, places = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(values.size, np.int64)
        np.add.at(counts, places, np.concatenate([self.counts, other.counts]))
        return Distinct(values, counts)


@dataclass(frozen=True, slots=True)
class RowSums:
    """Partial statistics of each column; arrays have one element for each.

    Attributes:
        counts: numbers that are no NaN, as ``nan_counts``; int64.
        squares: sums of the squared deviations from the mean.
        minima: infinite without numbers, as ``maxima``.
        distinct: None for a column with more distinct numbers than are kept.
    """

    columns: tuple[str, ...]
    counts: Counts
    nan_counts: Counts
    mean: Double
    squares: Double
    minima: Float
    maxima: Float
    distinct: tuple[Distinct | None, ...]

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.counts.size

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int((self.counts + self.nan_counts).max())


def sums_of(rows: Rows, max_distinct: int, *, first_row: int = 0) -> RowSums:
    """Return the partial statistics of rows. Blocks for as long as it takes.

    Args:
        max_distinct: distinct numbers that are kept of a column; 0 for none.
        first_row: number of rows before these ones, for the message.

    Raises:
        InvalidRows: a number is too large to be squared.
    """
    values_NC = rows.values_NC
    is_nan_NC = np.isnan(values_NC)
    _check_magnitude(rows, first_row)
    nan_counts = is_nan_NC.sum(axis=0, dtype=np.int64)
    counts = len(values_NC) - nan_counts
    divisor = np.maximum(counts, 1).astype(np.float64)
    mean = double_double.total(exact(np.where(is_nan_NC, 0, values_NC))) / divisor
    deviation_NC = Double(*two_sum(values_NC, -mean.high)) - Double(
        mean.low, np.zeros_like(mean.low)
    )
    for part in deviation_NC:
        part[is_nan_NC] = 0
    squares = double_double.total(deviation_NC * deviation_NC)
    return RowSums(
        rows.columns,
        counts,
        nan_counts,
        mean,
        squares,
        np.where(is_nan_NC, np.inf, values_NC).min(axis=0),
        np.where(is_nan_NC, -np.inf, values_NC).max(axis=0),
        tuple(
            _distinct(column[~is_nan], max_distinct)
            for column, is_nan in zip(values_NC.T, is_nan_NC.T, strict=True)
        ),
    )


def merged(parts: Iterable[RowSums], max_distinct: int) -> RowSums:
    """Return the statistics of all parts together; there is at least one.

    Raises:
        InvalidRows: their columns differ.
    """
    # Sums of callers may have any numbers; ``fit`` refuses what is not finite.
    with np.errstate(all="ignore"):
        return reduce(lambda left, right: _merge(left, right, max_distinct), parts)


def _merge(left: RowSums, right: RowSums, max_distinct: int) -> RowSums:
    if left.width != right.width:
        message = f"One part has {left.width} columns, another {right.width}."
        raise InvalidRows(message)
    for place, (one, other) in enumerate(zip(left.columns, right.columns, strict=False)):
        if one != other:
            message = f"Column {place + 1} is '{one}' in one part, '{other}' in another."
            raise InvalidRows(message)
    counts = left.counts + right.counts
    divisor = np.maximum(counts, 1).astype(np.float64)
    left_count, right_count = (each.counts.astype(np.float64) for each in (left, right))
    delta = right.mean - left.mean
    # A part without numbers has no mean, whatever it says.
    is_both = (left.counts > 0) & (right.counts > 0)
    delta = Double(*(np.where(is_both, part, 0) for part in delta))
    base = Double(
        *(
            np.where(left.counts > 0, one, other)
            for one, other in zip(left.mean, right.mean, strict=True)
        )
    )
    squares = left.squares + right.squares
    squares += delta * delta * exact(left_count) * exact(right_count) / divisor
    return RowSums(
        left.columns or right.columns,
        counts,
        left.nan_counts + right.nan_counts,
        base + delta * exact(right_count) / divisor,
        squares,
        np.minimum(left.minima, right.minima),
        np.maximum(left.maxima, right.maxima),
        tuple(
            _joined(one, other, max_distinct)
            for one, other in zip(left.distinct, right.distinct, strict=True)
        ),
    )


def _joined(left: Distinct | None, right: Distinct | None, most: int) -> Distinct | None:
    if left is None or right is None:
        return None
    both = left + right
    return both if len(both) <= most else None


def _distinct(numbers: Values, most: int) -> Distinct | None:
    if not most:
        return None
    values, counts = np.unique(numbers + 0.0, return_counts=True)  # no negative zero
    return Distinct(values, counts.astype(np.int64)) if values.size <= most else None


def _check_magnitude(rows: Rows, first_row: int) -> None:
    values_NC = rows.values_NC
    with np.errstate(invalid="ignore"):
        is_large_NC = np.abs(values_NC) > MAX_MAGNITUDE
    if is_large_NC.any():
        row, column = np.argwhere(is_large_NC)[0].tolist()
        reason = f"{values_NC[row, column]:g} is too large for statistics, which take numbers up to"
        refuse_cell(first_row + row, column, rows.columns, f"{reason} {MAX_MAGNITUDE:g}")
