"""The affine map of each column that a scaler is, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""Rows of numbers, [N, columns] or [..., columns]; NaN where a number is missing."""
Columns = NDArray[np.float64]
"""One number for each column."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """``(x - offset) / scale``, or ``x * scale + offset``, after ``fill`` replaced NaN.

    The order of the operations is scikit-learn's, so that the results are equal to the last bit:
    its StandardScaler and RobustScaler subtract and divide, its MinMaxScaler multiplies and adds.

    Attributes:
        is_product: whether the map multiplies and adds.
        fill: None: NaN stays NaN.
    """

    offset: Columns
    scale: Columns
    fill: Columns | None = None
    is_product: bool = False

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.offset.size

    def __call__(self, rows: Rows, *, axis: int = -1) -> Rows:
        """Return the mapped rows as a new array; ``axis``: that of the columns.

        Results may be infinite or NaN where numbers are.
        """
        offset, scale = self._along(self.offset, rows, axis), self._along(self.scale, rows, axis)
        with np.errstate(over="ignore", invalid="ignore"):
            mapped = rows if self.fill is None else self._filled(rows, axis)
            if self.is_product:
                mapped = mapped * scale
                mapped += offset
            else:
                mapped = mapped - offset
                mapped /= scale
        return mapped

    def as_quotient(self) -> tuple[Columns, Columns]:
        """Return offset and scale of the same map as ``(x - offset) / scale``, rounded."""
        if not self.is_product:
            return self.offset, self.scale
        return (0 - self.offset) / self.scale, 1 / self.scale

    def _filled(self, rows: Rows, axis: int) -> Rows:
        assert self.fill is not None  # noqa: S101 - the caller checked
        return np.where(np.isnan(rows), self._along(self.fill, rows, axis), rows)

    @staticmethod
    def _along(numbers: Columns, rows: Rows, axis: int) -> Columns:
        """Return the numbers in a shape that broadcasts along an axis of the rows."""
        shape = [1] * rows.ndim
        shape[axis] = numbers.size
        return numbers.reshape(shape)
