"""Windows of a series of rows, which may overlap."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from schemas.errors import PayloadTooLarge
from service.preprocess.numeric.rows import InvalidRows, RowLimits, Values

Windows = NDArray[np.float64]
MAX_NUMBERS = 4 * 2**20
"""Numbers that overlapping windows may have in all, if the rows have fewer: 32 MiB."""


def windows_of(values_NC: Values, window: int, stride: int | None, limits: RowLimits) -> Windows:
    """Return the whole windows of rows, [windows, window, columns]; a view, not a copy.

    Rows after the last whole window are left out.

    Args:
        window: rows in a window, at least 1.
        stride: rows between the starts of two windows, at least 1; None for ``window``.

    Raises:
        InvalidRows: there are fewer rows than in one window.
        PayloadTooLarge: all windows together have more rows than are taken, or more numbers than
            the rows and ``MAX_NUMBERS``.
    """
    if len(values_NC) < window:
        raise InvalidRows(f"A window has {window} rows, but there are {len(values_NC)} in all.")
    step = window if stride is None else stride
    windows_WCL = sliding_window_view(values_NC, window, axis=0)[::step]
    if len(windows_WCL) * window > limits.max_rows:
        raise PayloadTooLarge(
            f"{len(windows_WCL)} windows of {window} rows have more than the {limits.max_rows} "
            "rows that are taken."
        )
    if windows_WCL.size > max(MAX_NUMBERS, values_NC.size):
        raise PayloadTooLarge(f"The windows have more than {MAX_NUMBERS} numbers in all.")
    return windows_WCL.transpose(0, 2, 1)
