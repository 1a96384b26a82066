"""Fitting of scalers to partial statistics.

The statistics ignore NaN, as scikit-learn's scalers do. A column without deviation, whose minimum
is its maximum, is divided by 1, as scikit-learn does it. A column without numbers is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.errors import Conflict
from schemas.preprocess.numeric import Impute, ScalerKind
from service.core.numeric.column_map import ColumnMap, Columns
from service.core.numeric.scaler_graph import ScalerFacts, ScalerGraph
from service.preprocess.numeric.rows import InvalidRows, Values, column_name
from service.preprocess.scalers.sums import Distinct, RowSums

QUARTILES: Final = (0.25, 0.75)


class TooManyDistinct(Conflict):
    """A median or quartiles are asked for, but not all distinct numbers were kept."""


@dataclass(frozen=True, slots=True)
class FittedScaler:
    """A scaler, and the names of its columns; empty if they have none."""

    graph: ScalerGraph
    columns: tuple[str, ...]


def fit(sums: RowSums, kind: ScalerKind, impute: Impute) -> FittedScaler:
    """Return the scaler that partial statistics make.

    Raises:
        InvalidRows: a column has no numbers, or too large ones.
        TooManyDistinct: a column has too many distinct numbers for its median or quartiles.
    """
    for place in range(sums.width):
        if not sums.counts[place]:
            name = column_name(sums.columns, place)
            raise InvalidRows(f"All numbers of {name} are NaN: there is nothing to fit.")
    columns = map_of(kind, *statistics(sums, kind), fill(sums, impute))
    filled = columns.offset if columns.fill is None else columns.fill
    for place, numbers in enumerate(zip(columns.offset, columns.scale, filled, strict=True)):
        if not np.isfinite(numbers).all():
            raise InvalidRows(f"The sums of {column_name(sums.columns, place)} are too large.")
    return FittedScaler(ScalerGraph(columns, ScalerFacts(kind, impute, sums.rows)), sums.columns)


def map_of(kind: ScalerKind, offset: Columns, scale: Columns, filled: Columns | None) -> ColumnMap:
    """Return the map of a scaler.

    Args:
        offset: mean, minimum or median of each column; see ``statistics``.
        scale: standard deviation, range or interquartile range; 0 counts as 1.
        filled: what replaces NaN; None: nothing does.
    """
    if kind == "min-max":
        return _min_max_map(offset, scale, filled)
    return ColumnMap(offset, not_zero(scale), filled)


def statistics(sums: RowSums, kind: ScalerKind) -> tuple[Columns, Columns]:
    """Return offset and scale of each column, as ``map_of`` takes them; NaN without numbers.

    Raises:
        TooManyDistinct: of the kind robust, not all distinct numbers of a column were kept.
    """
    if kind == "robust":
        return medians(sums), interquartile_ranges(sums)
    with np.errstate(invalid="ignore"):
        offset, scale = (
            (sums.minima, sums.maxima - sums.minima)
            if kind == "min-max"
            else (sums.mean.high, deviations(sums))
        )
    has_numbers = sums.counts > 0
    return np.where(has_numbers, offset, np.nan), np.where(has_numbers, scale, np.nan)


def fill(sums: RowSums, impute: Impute) -> Columns | None:
    """Return what replaces NaN; NaN for columns without numbers.

    Raises:
        TooManyDistinct: see ``medians``.
    """
    if impute == "none":
        return None
    if impute == "median":
        return medians(sums)
    return np.where(sums.counts > 0, sums.mean.high, np.nan)


def _min_max_map(minima: Columns, ranges: Columns, filled: Columns | None) -> ColumnMap:
    """Return the map to 0..1, with scikit-learn's operations: multiply, then add."""
    with np.errstate(over="ignore"):
        factor = 1 / not_zero(ranges)
    factor = np.where(np.isinf(factor), 1.0, factor)  # the range is below 1e-308
    return ColumnMap(0 - minima * factor, factor, filled, is_product=True)


def not_zero(scale: Columns) -> Columns:
    """Return divisors, with 1 in place of 0."""
    return np.where(scale == 0, 1.0, scale)


def deviations(sums: RowSums) -> Columns:
    """Return the standard deviation of the population of each column; 0 if all are equal."""
    divisor = np.maximum(sums.counts, 1).astype(np.float64)
    found = np.sqrt((sums.squares / divisor).high)
    return np.where(sums.minima == sums.maxima, 0.0, found)


def medians(sums: RowSums) -> Columns:
    """Return the median of each column; NaN without numbers.

    Raises:
        TooManyDistinct: not all distinct numbers of a column were kept.
    """
    return np.array(
        [
            _median(_kept(sums, place)) if count else np.nan
            for place, count in enumerate(sums.counts)
        ]
    )


def interquartile_ranges(sums: RowSums) -> Columns:
    """Return the distance of the quartiles of each column; NaN and errors as ``medians``."""
    ranges = []
    for place, count in enumerate(sums.counts):
        lower, upper = (
            (_quantile(_kept(sums, place), share) for share in QUARTILES)
            if count
            else (np.nan, np.nan)
        )
        ranges.append(upper - lower)
    return np.array(ranges)


def _kept(sums: RowSums, place: int) -> Distinct:
    found = sums.distinct[place]
    if found is None:
        name = column_name(sums.columns, place)
        raise TooManyDistinct(
            f"The sums of {name} hold no distinct numbers: there are more of them than are kept, "
            "or they were not asked for. Medians and quartiles need them: take another kind, or a "
            "larger preprocess.max_distinct."
        )
    return found


def _median(distinct: Distinct) -> float:
    last = int(distinct.counts.sum()) - 1
    lower, upper = _ordered(distinct, last // 2), _ordered(distinct, (last + 1) // 2)
    return (lower + upper) / 2


def _quantile(distinct: Distinct, share: float) -> float:
    """Return a quantile as NumPy computes it: linear between the two nearest numbers."""
    place = (int(distinct.counts.sum()) - 1) * share
    lower, upper = _ordered(distinct, int(place)), _ordered(distinct, int(np.ceil(place)))
    part, distance = place - int(place), upper - lower
    if part >= 0.5:
        return upper - distance * (1 - part)
    return lower + distance * part


def _ordered(distinct: Distinct, place: int) -> float:
    """Return the number at a place, from 0 on, if all were sorted."""
    ends = np.cumsum(distinct.counts)
    values: Values = distinct.values
    return float(values[np.searchsorted(ends, place, side="right")])
