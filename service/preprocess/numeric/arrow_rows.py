"""Rows of an Apache Arrow IPC stream, by nanoarrow: the extra ``arrow``.

Every column is of numbers; null is NaN. Dictionaries, nested types and compressed buffers are
refused: the body as a whole may be compressed.
"""

from __future__ import annotations

import importlib.util
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from schemas.errors import UnsupportedMediaType
from service.preprocess.numeric.rows import (
    InvalidRows,
    RowLimits,
    Rows,
    Values,
    check_finite,
    check_names,
    column_name,
)

if TYPE_CHECKING:
    from nanoarrow.c_array import CArrayView

_NUMBERS = {
    *("float", "double", "half_float", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}


def require_arrow() -> None:
    """Raise ``UnsupportedMediaType`` if the extra ``arrow`` is not installed."""
    if importlib.util.find_spec("nanoarrow") is None:
        raise UnsupportedMediaType(
            "This server cannot read Arrow streams: it needs potoo[arrow]. "
            "Send JSON, CSV or .npy."
        )
