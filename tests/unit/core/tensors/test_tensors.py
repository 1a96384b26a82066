"""Conversion of tensors to bytes and values and back, and inconsistent input."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from schemas.errors import InvalidTensor
from schemas.http.inference import Datatype
from service.core.tensors.tensors import (
    DTYPES,
    RAW_ONLY,
    Tensor,
    check_shape,
    datatype_named,
    from_raw,
    from_values,
    of_bytes,
    to_raw,
)
from tests.support.suite.examples import examples

thorough = examples(200)
FIXED = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]
shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
texts = st.lists(st.binary(max_size=20), max_size=10)


def same(one: Tensor, other: Tensor) -> bool:
    return (one.name, one.datatype, one.shape) == (other.name, other.datatype, other.shape) and (
        to_raw(one) == to_raw(other)
    )


def test_every_datatype_has_its_size() -> None:
    sizes = {datatype: DTYPES[datatype].itemsize for datatype in FIXED}
    assert sizes == {
        **dict.fromkeys((Datatype.BOOL, Datatype.UINT8, Datatype.INT8), 1),
        **dict.fromkeys((Datatype.UINT16, Datatype.INT16, Datatype.FP16, Datatype.BF16), 2),
        **dict.fromkeys((Datatype.UINT32, Datatype.INT32, Datatype.FP32), 4),
        **dict.fromkeys((Datatype.UINT64, Datatype.INT64, Datatype.FP64), 8),
    }


@thorough
@given(st.data(), st.sampled_from(FIXED), shapes)
def test_raw_bytes_round_trip(data: st.DataObject, datatype: Datatype, shape: list[int]) -> None:
    array = data.draw(arrays.arrays(DTYPES[datatype], tuple(shape)))
    raw = to_raw(Tensor("x", datatype, array))
    assert len(raw) == array.size * array.itemsize
    found = from_raw("x", datatype, shape, raw)
    assert found.array.dtype == DTYPES[datatype]
    assert found.shape == tuple(shape)
    assert to_raw(found) == raw


@thorough
@given(texts)
def test_byte_strings_round_trip(elements: list[bytes]) -> None:
    tensor = of_bytes("x", elements, (len(elements),))
    raw = to_raw(tensor)
    assert len(raw) == sum(4 + len(element) for element in elements)
    found = from_raw("x", Datatype.BYTES, [len(elements)], raw)
    assert found.array.tolist() == elements


@thorough
@given(st.data(), st.sampled_from([one for one in FIXED if one not in RAW_ONLY]), shapes)
def test_flat_and_nested_values_are_equal(
    data: st.DataObject, datatype: Datatype, shape: list[int]
) -> None:
    array = data.draw(arrays.arrays(DTYPES[datatype], tuple(shape) or (1,)))
    flat = from_values("x", datatype, array.shape, array.ravel().tolist())
    assert same(flat, Tensor("x", datatype, array))
    assert same(from_values("x", datatype, array.shape, array.tolist()), flat)


@thorough
@given(texts)
def test_strings_are_accepted_as_values(elements: list[bytes]) -> None:
    words = [element.hex() for element in elements]
    found = from_values("x", Datatype.BYTES, [len(words)], words)
    assert found.array.tolist() == [word.encode() for word in words]


@thorough
@given(
    st.sampled_from(list(Datatype)),
    st.lists(st.integers(-(2**70), 2**70) | st.booleans() | st.none() | st.text(), max_size=10),
    st.binary(max_size=64),
)
def test_arbitrary_raw_data_is_a_tensor_or_refused(
    datatype: Datatype, shape: list[Any], data: bytes
) -> None:
    try:
        found = from_raw("x", datatype, shape, data)
    except InvalidTensor:
        return
    assert to_raw(found) == data
    assert list(found.shape) == shape


nested: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@thorough
@given(
    st.sampled_from(list(Datatype)),
    st.lists(st.integers(0, 4), max_size=4),
    st.lists(nested, max_size=6),
)
def test_arbitrary_json_values_are_a_tensor_or_refused(
    datatype: Datatype, shape: list[int], values: list[Any]
) -> None:
    try:
        found = from_values("x", datatype, shape, values)
    except InvalidTensor:
        return
    assert found.array.size == math.prod(shape)
    assert found.array.dtype == DTYPES[datatype]


@pytest.mark.parametrize(
    "shape",
    [[-1], [2**63], [1.0], [True], ["1"], [None], [[1]], [1] * 9, [-1, -1], [float("inf")]],
)
def test_invalid_shape_is_refused(shape: list[Any]) -> None:
    with pytest.raises(InvalidTensor):
        check_shape("x", shape)


@pytest.mark.parametrize(
    "shape",
    [
        [2**62, 4],  # 2 ** 64: overflows to 0 in 64 bits
        [2**32, 2**32],
        [2**63 - 1],
        [2**31, 2**31, 2**2],
        [0, 2**62],  # zero items, but four bytes
        [3],
        [],
    ],
)
@pytest.mark.parametrize("datatype", [Datatype.FP32, Datatype.BYTES, Datatype.UINT8])
def test_claimed_size_allocates_no_memory(datatype: Datatype, shape: list[int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTensor):
            from_raw("x", datatype, shape, bytes(7))
        with pytest.raises(InvalidTensor):
            from_values("x", datatype, shape, [0, 0])
        assert tracemalloc.get_traced_memory()[1] < 2**16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("count", "data"),
    [
        (1, b""),
        (1, b"\0\0\0"),
        (1, b"\1\0\0\0"),
        (1, b"\xff\xff\xff\xff" + b"abc"),
        (1, b"\1\0\0\0ab"),
        (2, b"\1\0\0\0a"),
        (0, b"\0\0\0\0"),
        (2**40, b"\0\0\0\0"),
    ],
)
def test_wrong_string_lengths_are_refused(count: int, data: bytes) -> None:
    with pytest.raises(InvalidTensor):
        from_raw("x", Datatype.BYTES, [count], data)


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        (Datatype.UINT8, [256]),
        (Datatype.UINT8, [-1]),
        (Datatype.UINT8, [1.0]),
        (Datatype.INT64, [2**63]),
        (Datatype.UINT64, [2**64]),
        (Datatype.UINT64, [True]),
        (Datatype.FP32, ["1.5"]),
        (Datatype.FP32, [None]),
        (Datatype.FP32, [True]),
        (Datatype.FP32, [10**400]),
        (Datatype.BOOL, [2]),
        (Datatype.BOOL, [0.0]),
        (Datatype.BYTES, [1]),
        (Datatype.BYTES, ["\ud800"]),
        (Datatype.FP16, [1.0]),
        (Datatype.BF16, [1.0]),
        (Datatype.FP32, [[1.0]]),
        (Datatype.FP32, [{}]),
    ],
)
def test_values_outside_the_datatype_are_refused(datatype: Datatype, values: list[Any]) -> None:
    with pytest.raises(InvalidTensor):
        from_values("x", datatype, [1], values)


def test_long_string_among_numbers_uses_little_memory() -> None:
    values = ["a" * 100_000, *range(10_000)]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTensor):
            from_values("x", Datatype.FP32, [len(values)], values)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "values", [[[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4]], [[1, 2], [3, 4], 5, 6], [[[1], [2]]] * 3]
)
def test_nesting_not_matching_the_shape_is_refused(values: list[Any]) -> None:
    with pytest.raises(InvalidTensor):
        from_values("x", Datatype.FP32, [3, 2], values)


def test_non_finite_numbers_are_accepted() -> None:
    found = from_values("x", Datatype.FP32, [4], [math.nan, math.inf, -math.inf, 1e39])
    assert np.isnan(found.array[0])
    assert np.isinf(found.array[1:]).all()


def test_unaligned_tensor_is_copied_to_alignment() -> None:
    body = b"{" + np.arange(4, dtype=np.float32).tobytes()
    found = from_raw("x", Datatype.FP32, [2, 2], memoryview(body)[1:])
    assert found.array.flags.aligned
    assert found.array.tolist() == [[0, 1], [2, 3]]


def test_invalid_boolean_byte_is_refused() -> None:
    assert from_raw("x", Datatype.BOOL, [2], b"\0\1").array.tolist() == [False, True]
    with pytest.raises(InvalidTensor):
        from_raw("x", Datatype.BOOL, [2], b"\0\2")


@pytest.mark.parametrize("name", ["FLOAT", "fp32", "", None, 3, [], "STRING", "TYPE_FP32"])
def test_datatype_names_are_exact(name: object) -> None:
    with pytest.raises(InvalidTensor) as caught:
        datatype_named(name)
    assert "FP32" in caught.value.detail


def test_tensor_name_in_a_message_is_truncated_and_escaped() -> None:
    with pytest.raises(InvalidTensor) as caught:
        check_shape("<b>\n\0é" + "x" * 1000, [-1])
    assert "'<b>\\n\\x00\\xe9xxx" in caught.value.detail
    assert len(caught.value.detail) < 200
