"""Scaled rows in the forms in which rows are read."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from schemas.errors import InvalidParameter, Violation
from service.preprocess.numeric.arrow_rows import arrow_stream
from service.preprocess.numeric.reading import RowFormat
from service.preprocess.numeric.rows import Values


def write_rows(values: NDArray[np.float64], columns: tuple[str, ...], form: RowFormat) -> bytes:
    """Return rows, or windows of rows, as CSV, ``.npy`` or an Arrow stream. Blocks.

    Raises:
        InvalidParameter: windows as CSV or Arrow, which have rows only.
        UnsupportedMediaType: Arrow without the extra ``arrow``.
    """
    if form is RowFormat.NPY:
        file = BytesIO()
        npy.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
        return file.getvalue()
    if values.ndim != 2:
        fault = Violation("/query/window", f"Windows cannot be answered as {form.value}.")
        raise InvalidParameter(violations=(fault,))
    if form is RowFormat.ARROW:
        return arrow_stream(values, columns)
    return csv_text(values, columns).encode()


def csv_text(values_NC: Values, columns: tuple[str, ...]) -> str:
    """Return rows as CSV, with a header if the columns have names; NaN is an empty cell."""

    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    for row in values_NC.tolist():
        writer.writerow(["" if number != number else repr(number) for number in row])  # noqa: PLR0124 - NaN
    return file.getvalue()
