"""Rows in every form: JSON, CSV, Arrow streams, NumPy files; and what is refused."""

from __future__ import annotations

import contextlib
import json
import math
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy
from numpy.typing import NDArray

from schemas.errors import InvalidRequest, PayloadTooLarge, ServiceError
from service.preprocess.numeric.arrow_rows import arrow_stream
from service.preprocess.numeric.csv_rows import CsvOptions, lines_of
from service.preprocess.numeric.reading import RowFormat, read_rows, reading_bytes
from service.preprocess.numeric.rows import InvalidRows, RowLimits, Rows
from service.preprocess.numeric.writing import csv_text, write_rows

LIMITS = RowLimits(max_rows=100, max_columns=8, max_cell_characters=64)
NUMBERS = st.floats(allow_infinity=False, width=64)


def read(
    data: bytes | str,
    form: RowFormat,
    *,
    limits: RowLimits = LIMITS,
    csv: CsvOptions = CsvOptions(),  # noqa: B008 - frozen
) -> Rows:
    body = data.encode() if isinstance(data, str) else data
    assert reading_bytes(body, form, csv) > 0
    return read_rows(body, form, csv, limits)


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def equal(found: Rows, expected: object, columns: tuple[str, ...] = ()) -> None:
    assert found.values_NC.dtype == np.float64
    assert found.values_NC.flags.c_contiguous
    np.testing.assert_array_equal(found.values_NC, np.array(expected, np.float64))
    assert found.columns == columns


def test_json_null_is_nan_and_names_are_optional() -> None:
    equal(read('{"rows": [[1, null], [2.5, -3]]}', RowFormat.JSON), [[1, math.nan], [2.5, -3]])
    named = '{"rows": [[1]], "columns": ["age"]}'
    equal(read(named, RowFormat.JSON), [[1]], ("age",))


@pytest.mark.parametrize(
    ("body", "detail", "pointer"),
    [
        ('{"rows": [[1, 2], [3]]}', "Row 2 has 1 numbers, not 2.", "/body/rows/1"),
        (
            '{"rows": [[1, 2], [3, "4"]], "columns": ["a", "age"]}',
            "Row 2, column 'age': this is neither a number nor null.",
            "/body/rows/1/1",
        ),
        ('{"rows": [[true]]}', "Row 1, column 1: this is neither a number nor null.", None),
        ('{"rows": [1]}', "The rows must be a list of lists.", "/body/rows"),
        ('{"rows": []}', "The rows have no columns.", None),
        ('{"rows": [[]]}', "The rows have no columns.", None),
        ('{"rows": [[1]], "columns": ["a", "b"]}', "There are 2 names, but 1 columns.", None),
        ('{"rows": [[1, 2]], "columns": ["a", "a"]}', "Two columns have the name 'a'.", None),
        ('{"rows": [[1, 2]], "columns": ["a", ""]}', "Column 2 has no name, as others", None),
        ('{"rows": [[1]], "columns": [1]}', "The columns must be a list of names.", None),
        ('{"rows": [[1]], "more": 1}', "There is no such member.", "/body/more"),
        ("[[1]]", 'Send {"rows"', "/body"),
    ],
)
def test_json_that_is_refused(body: str, detail: str, pointer: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body, RowFormat.JSON)
    (fault,) = caught.value.violations
    assert detail in fault.detail
    assert pointer in {fault.pointer, None}


@pytest.mark.parametrize("body", ["", "{", '{"rows": [[1e999]]}', '{"rows": [[NaN]]}'])
def test_no_json(body: str) -> None:
    with pytest.raises(InvalidRequest):
        read_rows(body.encode(), RowFormat.JSON, CsvOptions(), LIMITS)


def test_csv_header_is_found() -> None:
    equal(
        read("age,fare\n22,7.25\n,1e3\n", RowFormat.CSV),
        [[22, 7.25], [math.nan, 1e3]],
        ("age", "fare"),
    )
    equal(read("22,7.25\r\n38,71\r\n", RowFormat.CSV), [[22, 7.25], [38, 71]])
    given = CsvOptions(header="present")
    equal(read("2019,2020\n1,2\n", RowFormat.CSV, csv=given), [[1, 2]], ("2019", "2020"))


def test_csv_quotes_separators_and_marks() -> None:
    text = '\ufeff"the ""age""";"a\nb"\n" 1 ";"2"\n\n NaN ;na\n'
    found = read(text, RowFormat.CSV, csv=CsvOptions(separator="semicolon"))
    equal(found, [[1, 2], [math.nan, math.nan]], ('the "age"', "a\nb"))
    equal(read("1\t2", RowFormat.CSV, csv=CsvOptions(separator="tab")), [[1, 2]])


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a,b\n1,2\n3,x\n", "Row 2, column 'b': 'x' is no number."),
        ("1,2\n3\n", "Row 2 has 1 cells, not 2 (line 2)."),
        ("1,2\n3,1_000\n", "Row 2, column 2: '1_000' is no number."),
        ("1,2\n3,1e999\n", "Row 2, column 2: the number is infinite, or too large for float64."),
        ("1,2\n3,inf\n", "Row 2, column 2: 'inf' is no number."),
        ("1\n\u0663\n", "Row 2, column 1: '\u0663' is no number."),
        ("1\n'\x1b[31m\n", "Row 2, column 1: ''?[31m' is no number."),
        ('1,"2\n', "is no CSV"),
        ('"1"2,3\n', "is no CSV"),
        ("1,2\n3,\0\n", "Line 2 has a NUL."),
        ("", "There are no rows."),
        ("a,b\n", "There are no rows."),
        ("a,a\n1,2\n", "Two columns have the name 'a'."),
    ],
)
def test_csv_that_is_refused(text: str, detail: str) -> None:
    with pytest.raises(InvalidRows) as caught:
        read(text, RowFormat.CSV)
    assert detail in caught.value.detail


def test_csv_in_another_encoding_is_refused() -> None:
    with pytest.raises(InvalidRows, match="no UTF-8"):
        read("größe\n1\n".encode("latin-1"), RowFormat.CSV)


@pytest.mark.parametrize(
    "text",
    [
        "1," + "9" * 65,
        "9" * 200_000,
        '"' + "9\n" * 200_000,
        "1,2,3,4,5,6,7,8,9",
        "1\n" * 101,
    ],
)
def test_csv_that_is_too_large(text: str) -> None:
    with pytest.raises(PayloadTooLarge):
        read(text, RowFormat.CSV)


def test_a_huge_cell_is_refused_before_it_is_read() -> None:
    """100 MB in one cell; the reader stops after a few pieces."""
    taken = 0

    def pieces() -> object:
        nonlocal taken
        for _ in range(1600):
            taken += 1
            yield b"9" * 2**16

    with pytest.raises(PayloadTooLarge):
        list(lines_of(pieces(), LIMITS))  # type: ignore[arg-type]
    assert taken < 3


def test_npy_of_every_kind_of_number() -> None:
    for dtype in ("<f4", ">f8", "<i2", "|u1", "|b1", "<f2"):
        array = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
        equal(read(npy_bytes(array), RowFormat.NPY), array)
    equal(read(npy_bytes(np.asfortranarray([[1.0, 2], [3, 4]])), RowFormat.NPY), [[1, 2], [3, 4]])


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    file = BytesIO()
    npy.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"\x93NUMPY", "no NumPy file"),
        (b"PK\x03\x04", "no NumPy file"),
        (npy_bytes(np.ones(3)), "has 1 axes"),
        (npy_bytes(np.ones((1, 1, 1))), "has 3 axes"),
        (npy_bytes(np.array([["a"]])), "not numbers"),
        (npy_bytes(np.array([[1j]])), "not numbers"),
        (npy_bytes(np.array([["2020-01-01"]], "M8[D]")), "not numbers"),
        (header((1, 1), "|O") + b"\x80\x04N.", "Python objects"),
        (header((2, 2)) + bytes(8), "should have 32 bytes, not 8"),
        (header((1, 1)) + bytes(16), "should have 8 bytes, not 16"),
        (npy_bytes(np.array([[1.0, np.inf]])), "Row 1, column 2: the number is infinite"),
        (npy_bytes(np.empty((0, 2))), "There are no rows."),
    ],
)
def test_npy_that_is_refused(data: bytes, detail: str) -> None:
    with pytest.raises(InvalidRows, match=detail):
        read(data, RowFormat.NPY)


@pytest.mark.parametrize("shape", [(10**12, 2), (1, 10**12), (2**62, 2**62)])
def test_npy_that_announces_too_much(shape: tuple[int, int]) -> None:
    with pytest.raises(PayloadTooLarge):
        read(header(shape), RowFormat.NPY)


def test_arrow_of_every_kind_of_number() -> None:
    na = pytest.importorskip("nanoarrow")
    from nanoarrow.ipc import StreamWriter

    kinds = {
        "double": (na.float64(), [1.5, None, 3.0]),
        "float": (na.float32(), [1.5, 2.5, None]),
        "whole": (na.int64(), [1, None, -3]),
        "byte": (na.uint8(), [1, 2, 255]),
        "flag": (na.bool_(), [True, False, None]),
    }
    children = [na.c_array(values, kind) for kind, values in kinds.values()]
    schema = na.struct({name: kind for name, (kind, _) in kinds.items()})
    batch = na.c_array_from_buffers(schema, 3, [None], children=children)
    file = BytesIO()
    with StreamWriter.from_writable(file) as writer:
        writer.write_stream(batch)
        writer.write_stream(batch)
    expected = np.array(
        [[np.nan if one is None else float(one) for one in each] for _, each in kinds.values()]
    ).T
    found = read(file.getvalue(), RowFormat.ARROW)
    equal(found, np.concatenate([expected, expected]), tuple(kinds))


def test_arrow_of_text_is_refused() -> None:
    na = pytest.importorskip("nanoarrow")
    from nanoarrow.ipc import StreamWriter

    text = na.c_array(["a"], na.string())
    batch = na.c_array_from_buffers(na.struct({"Name": na.string()}), 1, [None], children=[text])
    file = BytesIO()
    with StreamWriter.from_writable(file) as writer:
        writer.write_stream(batch)
    with pytest.raises(InvalidRows, match="The column 'Name' is not of numbers"):
        read(file.getvalue(), RowFormat.ARROW)


@given(st.data())
def test_damaged_arrow_streams_are_refused_or_read(data: st.DataObject) -> None:
    pytest.importorskip("nanoarrow")
    whole = bytearray(arrow_stream(np.arange(12.0).reshape(4, 3), ("a", "b", "c")))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = read_rows(cut, RowFormat.ARROW, CsvOptions(), LIMITS)
    except ServiceError:
        return
    assert found.values_NC.shape[0] <= LIMITS.max_rows


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
    st.sampled_from(list(RowFormat)),
)
def test_written_rows_are_read_to_the_bit(rows: list[list[float]], form: RowFormat) -> None:
    values_NC = np.array(rows)
    columns = tuple(f"column {place}" for place in range(values_NC.shape[1]))
    if form is RowFormat.JSON:
        shown = [[None if math.isnan(one) else one for one in row] for row in rows]
        data = json.dumps({"rows": shown, "columns": columns}).encode()
    else:
        if form is RowFormat.ARROW:
            pytest.importorskip("nanoarrow")
        data = write_rows(values_NC, columns, form)
    found = read_rows(data, form, CsvOptions(), LIMITS)
    np.testing.assert_array_equal(found.values_NC, values_NC)
    assert found.columns == (() if form is RowFormat.NPY else columns)


def test_csv_is_written_with_all_digits() -> None:
    assert csv_text(np.array([[0.1, np.nan], [1e308, -0.0]]), ("a", 'b,"')) == (
        'a,"b,"""\n0.1,\n1e+308,-0.0\n'
    )


@given(st.binary(max_size=200), st.sampled_from(list(RowFormat)))
def test_any_bytes_are_read_or_refused(data: bytes, form: RowFormat) -> None:
    if form is RowFormat.ARROW:
        pytest.importorskip("nanoarrow")
    with contextlib.suppress(ServiceError):
        read_rows(data, form, CsvOptions(), LIMITS)
