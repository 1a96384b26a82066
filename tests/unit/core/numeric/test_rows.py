"""Rows of numbers: chunks, types, files."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.errors import InvalidTensor, Unsupported
from schemas.manifest.numeric import NumericSpec
from service.core.numeric.rows import (
    CHUNK_NUMBERS,
    CHUNK_ROWS,
    RowPreprocessor,
    Rows,
    chunks,
    rows_of_npy,
)


def spec(columns: int = 3, **changes: object) -> NumericSpec:
    given = {"kind": "numeric", "name": "rows", "columns": columns}
    return NumericSpec.model_validate(given | changes)


@pytest.mark.parametrize(
    ("columns", "batch", "size"),
    [
        (3, "dynamic", CHUNK_ROWS),
        (1024, "dynamic", CHUNK_NUMBERS // 1024),
        (65_536, "dynamic", CHUNK_NUMBERS // 65_536),
        (3, 7, 7),
    ],
)
def test_chunks_are_bounded_in_rows_and_numbers(columns: int, batch: str | int, size: int) -> None:
    given = np.broadcast_to(np.float64(0), (2 * size + 1, columns))
    assert [len(one.rows_NC) for one in chunks(given, spec(columns, batch=batch))] == [
        *(size, size, 1)
    ]


def test_no_rows_are_no_chunks() -> None:
    assert chunks(np.zeros((0, 3)), spec()) == []


def test_rows_of_the_graphs_type_are_not_copied() -> None:
    given = np.ones((2, 3))
    assert np.shares_memory(RowPreprocessor(spec()).rows(Rows(given)).tensor, given)


def test_rows_in_another_order_become_contiguous() -> None:
    found = RowPreprocessor(spec()).rows(Rows(np.ones((3, 2)).T)).tensor
    assert found.flags.c_contiguous


def test_rows_are_rounded_to_a_graph_of_float32() -> None:
    given = np.array([[0.1, 1e300, np.nan]])
    found = RowPreprocessor(spec(dtype="float32")).rows(Rows(given)).tensor
    assert found.dtype == np.float32
    assert np.array_equal(found, np.array([[0.1, np.inf, np.nan]], np.float32), equal_nan=True)


def test_images_are_refused() -> None:
    with pytest.raises(Unsupported, match="takes rows of 3 numbers, not images"):
        RowPreprocessor(spec())(b"GIF89a")


def saved(array: NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_files_hold_float64_or_float32() -> None:
    assert rows_of_npy(saved(np.ones((2, 3), np.float32))).dtype == np.float64
    assert np.array_equal(rows_of_npy(saved(np.ones((2, 3)))), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no NumPy file"),
        (b"no file", "no NumPy file"),
        (saved(np.ones((2, 3)))[:-1], "no NumPy file"),
        (saved(np.ones((2, 3), np.int32)), "does not hold one array of float64"),
        (saved(np.array(["a"])), "does not hold one array of float64"),
    ],
)
def test_other_files_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidTensor, match=reason):
        rows_of_npy(data)
