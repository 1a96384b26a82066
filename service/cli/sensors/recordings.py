"""Recorded samples in files: CSV, .npy and .npz."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.operator_error import OperatorError

DEFAULT_KEY = "windows"
_SNIFFED_BYTES = 64 * 1024


def read_recording(path: Path, key: str | None = None) -> NDArray[np.float32]:
    """Return the samples of a file, of shape [n, channels].

    CSV has a sample in each line, and may have a header; .npy and .npz have an array of shape [n],
    [n, channels], or [windows, length, channels], whose windows follow each other.

    Args:
        key: name of the array in an .npz.

    Raises:
        OperatorError: the file cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix == ".npz":
            array = _from_archive(path, key or DEFAULT_KEY)
        else:
            array = _from_csv(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise OperatorError(f"{path}: {error}") from error
    return _samples(path, array)


def _samples(path: Path, array: NDArray[np.generic]) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiu" or not 1 <= array.ndim <= 3 or not array.size:
        shape = " x ".join(map(str, array.shape))
        raise OperatorError(f"{path}: {array.dtype} of shape {shape} are no samples")
    if array.ndim == 1:
        return array.reshape(-1, 1).astype(np.float32, copy=False)
    return array.reshape(-1, array.shape[-1]).astype(np.float32, copy=False)


def _from_archive(path: Path, key: str) -> NDArray[np.generic]:
    with np.load(path, allow_pickle=False) as arrays:
        if key not in arrays:
            names = ", ".join(arrays.files)
            raise OperatorError(
                f"{path}: no array '{key}'; there are: {names}. Choose one by --key"
            )
        found: NDArray[np.generic] = arrays[key]
        return found


def _from_csv(path: Path) -> NDArray[np.float32]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        begin = file.read(_SNIFFED_BYTES)
        file.seek(0)
        try:
            dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(begin, ",;\t ")
        except csv.Error:  # one column
            dialect = csv.excel
        rows = [row for row in csv.reader(file, dialect) if row]
    if rows and not _are_numbers(rows[0]):
        rows = rows[1:]
    return np.array(list(_numbers(rows)), np.float32)


def _numbers(rows: list[list[str]]) -> Iterator[list[float]]:
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            message = f"row {number} has {len(row)} numbers, the first {len(rows[0])}"
            raise ValueError(message)
        yield [float(field) for field in row]


def _are_numbers(row: list[str]) -> bool:
    try:
        [float(field) for field in row]
    except ValueError:
        return False
    return True
