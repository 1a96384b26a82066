"""Rows in NumPy's file format, ``.npy``: one array [rows, columns] of numbers.

The header is checked before anything is allocated: NumPy allocates what a header announces.
"""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
from numpy.lib import format as npy

from service.preprocess.numeric.rows import InvalidRows, RowLimits, Rows, Values, check_finite

_KINDS = "fiub"
"""Kinds of NumPy's types: floating point, signed, unsigned, Boolean."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(data: bytes | bytearray, limits: RowLimits) -> Rows:
    """Return the rows of a ``.npy`` file; they have no names.

    Raises:
        InvalidRows: it is no such file, holds no numbers, or is cut off.
        PayloadTooLarge: more rows or columns than are taken.
    """
    file = BytesIO(data)
    try:
        shape, is_fortran, dtype = _READERS[npy.read_magic(file)](file)
    except Exception as error:
        # The header is a Python literal, whose parser raises anything.
        raise InvalidRows("This is no NumPy file of a known version.") from error
    if dtype.kind not in _KINDS or dtype.itemsize > np.dtype(np.longdouble).itemsize:
        raise InvalidRows(f"The array holds {_named(dtype)}, not numbers.")
    if len(shape) != 2:
        raise InvalidRows(f"The array has {len(shape)} axes, not rows and columns.")
    limits.check(*shape)
    size = math.prod(shape) * dtype.itemsize
    if len(data) - file.tell() != size:
        raise InvalidRows(f"The array should have {size} bytes, not {len(data) - file.tell()}.")
    array = np.frombuffer(data, dtype, offset=file.tell())
    values_NC: Values = array.reshape(shape, order="F" if is_fortran else "C").astype(
        np.float64, order="C"
    )
    check_finite(values_NC, ())
    return Rows(values_NC)


def _named(dtype: np.dtype[np.generic]) -> str:
    return "Python objects" if dtype.hasobject else f"values of the type {dtype.name}"
