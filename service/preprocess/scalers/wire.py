"""Partial statistics as JSON, without loss: floats are written with all their digits."""

from __future__ import annotations

import numpy as np

from schemas.preprocess.numeric import ColumnSums, Sums
from service.preprocess.numeric.rows import InvalidRows, check_names
from service.preprocess.scalers.double_double import Double
from service.preprocess.scalers.sums import MAX_MAGNITUDE, Distinct, RowSums


def to_wire(sums: RowSums) -> Sums:
    """Return partial statistics as a document."""
    names = sums.columns or ("",) * sums.width
    return Sums(columns=tuple(_column(sums, place, name) for place, name in enumerate(names)))


def from_wire(document: Sums) -> RowSums:
    """Return the partial statistics of a document, which may come from anybody.

    Raises:
        InvalidRows: the names are not unique, or a number is too large.
    """
    columns = document.columns
    names = [column.name for column in columns]
    numbers = [one for each in columns for one in (each.minimum, each.maximum) if one is not None]
    if max(map(abs, numbers), default=0) > MAX_MAGNITUDE:
        raise InvalidRows(f"The sums have numbers above {MAX_MAGNITUDE:g}.")
    return RowSums(
        check_names(names) if any(names) else (),
        np.array([column.count for column in columns], np.int64),
        np.array([column.nan_count for column in columns], np.int64),
        Double(*np.array([column.mean for column in columns]).T),
        Double(*np.array([column.squares for column in columns]).T),
        np.array([np.inf if one.minimum is None else one.minimum for one in columns]),
        np.array([-np.inf if one.maximum is None else one.maximum for one in columns]),
        tuple(_distinct(column) for column in columns),
    )


def _column(sums: RowSums, place: int, name: str) -> ColumnSums:
    count, distinct = int(sums.counts[place]), sums.distinct[place]
    return ColumnSums.model_construct(
        name=name,
        count=count,
        nan_count=int(sums.nan_counts[place]),
        mean=(float(sums.mean.high[place]), float(sums.mean.low[place])),
        squares=(float(sums.squares.high[place]), float(sums.squares.low[place])),
        minimum=float(sums.minima[place]) if count else None,
        maximum=float(sums.maxima[place]) if count else None,
        distinct=None
        if distinct is None
        else list(zip(distinct.values.tolist(), distinct.counts.tolist(), strict=True)),
    )


def _distinct(column: ColumnSums) -> Distinct | None:
    if column.distinct is None:
        return None
    values, counts = [one for one, _ in column.distinct], [each for _, each in column.distinct]
    return Distinct(np.array(values, np.float64), np.array(counts, np.int64))
