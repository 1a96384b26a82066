"""Rows of numbers as they run: in chunks of one caller's rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidTensor, Unsupported
from schemas.manifest.numeric import NumericSpec
from service.core.numeric.column_map import ColumnMap

CHUNK_ROWS = 8192
CHUNK_NUMBERS = 2**20
"""Limits of what runs at once: other callers take turns between chunks."""

_TYPES = {np.dtype(np.float64), np.dtype(np.float32)}
Numbers = NDArray[np.float64] | NDArray[np.float32]


@dataclass(slots=True)
class Rows:
    """Rows [N, columns] of one caller, which run together. They must not change meanwhile."""

    rows_NC: Numbers


@dataclass(slots=True)
class PreparedRows:
    """A tensor ready for the engine, [N, columns], and a duration in seconds."""

    decode_seconds: ClassVar[float] = 0.0

    tensor: Numbers
    preprocess_seconds: float


class RowPreprocessor:
    """A converter of rows to tensors for one model. Pure and lock-free, for all threads."""

    def __init__(self, spec: NumericSpec, scaler: ColumnMap | None = None) -> None:
        """``scaler``: the one that the manifest names.

        Raises:
            Unsupported: the manifest names a scaler, but none is given.
        """
        if spec.scaler is not None and scaler is None:
            raise Unsupported("The model has a scaler, which is not applied here.")
        self._spec, self._scaler = spec, scaler

    def __call__(self, data: bytes, *, may_be_slow: bool = True) -> NoReturn:  # noqa: ARG002
        """Refuse an encoded image.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"The model takes {self._spec.takes}, not images.")

    def rows(self, given: Rows) -> PreparedRows:
        """Return rows in the type of the graph, C-contiguous; numbers beyond float32 overflow.

        Where the manifest names a scaler, that is applied before.

        Raises:
            InvalidTensor: see ``check_rows``.
        """
        began = time.perf_counter()
        check_rows(given.rows_NC, self._spec)
        rows_NC = given.rows_NC
        if self._scaler is not None:
            rows_NC = self._scaler(rows_NC.astype(np.float64, copy=False))
        with np.errstate(over="ignore"):
            tensor: Numbers = np.ascontiguousarray(rows_NC, self._spec.dtype)
        return PreparedRows(tensor, time.perf_counter() - began)


def check_rows(rows_NC: NDArray[Any], spec: NumericSpec) -> None:
    """Raise ``InvalidTensor`` if rows have not the type and shape that a model takes."""
    if rows_NC.dtype not in _TYPES or rows_NC.ndim != 2 or rows_NC.shape[1] != spec.columns:
        raise InvalidTensor(
            f"Rows are float64 of shape ['N', {spec.columns}], not {rows_NC.dtype} of shape "
            f"{list(rows_NC.shape)}."
        )


def chunks(rows_NC: Numbers, spec: NumericSpec) -> list[Rows]:
    """Cut rows into chunks; of the graph's own batch size, if that is fixed."""
    if spec.batch == "dynamic":
        size = max(1, min(CHUNK_ROWS, CHUNK_NUMBERS // spec.columns))
    else:
        size = spec.batch
    return [Rows(rows_NC[begin : begin + size]) for begin in range(0, len(rows_NC), size)]


def rows_of_npy(data: bytes) -> NDArray[np.float64]:
    """Parse rows in NumPy's file format; their shape is not checked.

    Raises:
        InvalidTensor: it is no such file, or its numbers are not float64 or float32.
    """
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InvalidTensor(f"This is no NumPy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype not in _TYPES:
        raise InvalidTensor("The file does not hold one array of float64 or float32.")
    return array.astype(np.float64)
