"""Rows of one call, scaled: by a published scaler, or by statistics, given or those of the rows.

The door of every transport. Without numbers, a column has no statistics: then it is NaN. A scale of
0 counts as 1, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidParameter, Unsupported, Violation
from schemas.manifest.numeric import NumericSpec
from schemas.preprocess.numeric import Impute, Method, ScalerKind
from service.core.engine.pool import WorkerPool
from service.core.imaging.answer import ModelRef
from service.core.numeric.column_map import Columns
from service.core.serving.classifier import Classifier
from service.core.serving.ticket import Ticket
from service.preprocess.numeric.rows import (
    InvalidRows,
    RowLimits,
    Rows,
    check_columns,
    check_results,
)
from service.preprocess.numeric.windows import windows_of
from service.preprocess.scalers.fitting import fill, map_of, statistics
from service.preprocess.scalers.sums import sums_of

Result = TypeVar("Result")
Array = NDArray[np.float64]
KINDS: Final[dict[Method, ScalerKind]] = {
    "standardise": "standard",
    "min-max": "min-max",
    "robust": "robust",
}
INLINE_BYTES = 64 * 2**10
"""Larger bodies and arrays are worked on in the pool, so that they do not delay others."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Treatment of rows: a scaling without a scaler, and windows.

    Attributes:
        method: None: the rows stay as they are.
        offset: one number for each column, as ``scale``; None for those of the rows themselves.
        window: see ``windows_of``, as ``stride``; None for no windows.
    """

    method: Method | None = None
    impute: Impute = "none"
    offset: Columns | None = None
    scale: Columns | None = None
    window: int | None = None
    stride: int | None = None


@dataclass(frozen=True, slots=True)
class ScaledRows:
    """Scaled rows, and how they were scaled.

    Attributes:
        values: float64 [N, columns], or [windows, window, columns].
        nan_counts: NaN of each column before they were replaced.
        imputed_counts: NaN of each column that were replaced.
        offset: with a method: what was subtracted, and ``scale`` what was divided by.
        scaler: the scaler that was applied.
    """

    values: Array
    columns: tuple[str, ...]
    nan_counts: NDArray[np.int64]
    imputed_counts: NDArray[np.int64]
    offset: Columns | None = None
    scale: Columns | None = None
    scaler: ModelRef | None = None


class NumberScaling:
    """Reading and scaling of rows; the long parts run in the pool."""

    def __init__(self, classifier: Classifier, pool: WorkerPool, limits: RowLimits) -> None:
        self.limits = limits
        self._classifier, self._pool = classifier, pool

    async def prepare(
        self, read: Callable[[], Rows], size: int, how: Scaling, ticket: Ticket | None
    ) -> ScaledRows:
        """Return scaled rows.

        Args:
            read: returns the rows, from so many bytes; blocks.
            ticket: of a scaler; ``how`` has no method then.

        Raises:
            Unsupported: the model of the ticket is no scaler.
            InvalidRows: the rows cannot be used, have other columns than the scaler or the given
                numbers, or a result is infinite.
            PayloadTooLarge: there are more rows, columns or windows than are taken.
            Overloaded, DeadlineExceeded, NotReady, InferenceFailed: see ``Classifier.transform``.
            ServiceError: those of ``read``.
        """
        rows = await self.offload(size, read)
        if ticket is None:
            found = await self.offload(rows.values_NC.nbytes, partial(scaled, rows, how))
        else:
            found = await self._by_scaler(rows, ticket)
        if how.window is None:
            return found
        windows = windows_of(found.values, how.window, how.stride, self.limits)
        return replace(found, values=windows)

    async def offload(self, size: int, work: Callable[[], Result]) -> Result:
        """Run work on so many bytes here if they are few, else in the pool."""
        return work() if size <= INLINE_BYTES else await self._pool.run(work)

    async def _by_scaler(self, rows: Rows, ticket: Ticket) -> ScaledRows:
        check_scaler(rows, ticket)
        ref, values_NC = await self._classifier.transform(rows.values_NC, ticket)
        return ScaledRows(
            check_results(values_NC, rows),
            rows.columns,
            rows.nan_counts,
            _imputed(rows, values_NC),
            scaler=ref,
        )


def scaled(rows: Rows, how: Scaling) -> ScaledRows:
    """Return rows scaled by statistics; their own or given ones. Blocks.

    Raises:
        InvalidRows: there are not as many given numbers as columns, or a result is infinite.
    """
    nan_counts = rows.nan_counts
    if how.method is None:
        return ScaledRows(rows.values_NC, rows.columns, nan_counts, np.zeros_like(nan_counts))
    kind = KINDS[how.method]
    _check_given(rows, how)
    needs_own = how.offset is None or how.impute != "none"
    needs_all = how.impute == "median" or (kind == "robust" and how.offset is None)
    sums = sums_of(rows, rows.values_NC.size if needs_all else 0) if needs_own else None
    offset, scale = how.offset, how.scale
    if sums is not None and (offset is None or scale is None):
        offset, scale = statistics(sums, kind)
    assert offset is not None  # noqa: S101 - given or computed
    assert scale is not None  # noqa: S101 - the same
    columns = map_of(kind, offset, scale, fill(sums, how.impute) if sums is not None else None)
    values_NC = check_results(columns(rows.values_NC), rows)
    shown = np.where(scale == 0, 1.0, scale)
    imputed = np.zeros_like(nan_counts) if columns.fill is None else _imputed(rows, values_NC)
    return ScaledRows(values_NC, rows.columns, nan_counts, imputed, offset, shown)


def to_document(scaled: ScaledRows, method: Method | None) -> dict[str, object]:
    """Return the answer as JSON, with NumPy arrays; ``PreparedNumeric`` describes it."""
    scaler, values = scaled.scaler, np.ascontiguousarray(scaled.values)
    has_windows = values.ndim == 3
    return {
        "scaler": None if scaler is None else {"name": scaler.name, "version": scaler.version},
        "method": method,
        "columns": scaled.columns,
        "nan_counts": scaled.nan_counts,
        "imputed_counts": scaled.imputed_counts,
        "offset": scaled.offset,
        "scale": scaled.scale,
        "rows": None if has_windows else values,
        "windows": values if has_windows else None,
    }


def check_scaler(rows: Rows, ticket: Ticket) -> None:
    """Check that rows have the columns of the scaler of a ticket.

    Raises:
        Unsupported: the model is no scaler.
        InvalidRows: the columns differ.
    """
    name, manifest = ticket.model.ref.name, ticket.model.manifest
    spec = manifest.input
    if not isinstance(spec, NumericSpec) or manifest.output.kind != "values":
        raise Unsupported(f"The model '{name}' is no scaler: it does not map rows to rows.")
    check_columns(rows, name, spec.columns, spec.column_names)


def parse_numbers(text: str | None, pointer: str) -> Columns | None:
    """Return numbers with commas between them; None for None.

    Raises:
        InvalidParameter: one is no finite number.
    """
    if text is None:
        return None
    try:
        numbers = np.array([float(part) for part in text.split(",")], np.float64)
    except ValueError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        fault = Violation(pointer, "It must be finite numbers with commas between them.")
        raise InvalidParameter(violations=(fault,))
    return numbers


def _check_given(rows: Rows, how: Scaling) -> None:
    for name, numbers in (("offset", how.offset), ("scale", how.scale)):
        if numbers is not None and numbers.size != rows.width:
            message = f"There are {numbers.size} numbers of {name}, but {rows.width} columns."
            raise InvalidRows(message)


def _imputed(rows: Rows, values_NC: Array) -> NDArray[np.int64]:
    was_replaced_NC = np.isnan(rows.values_NC) & ~np.isnan(values_NC)
    found: NDArray[np.int64] = was_replaced_NC.sum(axis=0, dtype=np.int64)
    return found
