"""Estimate of a message's memory from its bytes; messages of real clients are accepted."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidRequest, PayloadTooLarge
from schemas.pb import open_inference_pb2 as pb
from service.transport.grpc.shape import GROWTH, MAX_FIELDS, estimate_parsed_bytes

MANY = 10**9
NAMES = st.text(max_size=20)
PARAMETERS = st.dictionaries(
    NAMES,
    st.one_of(
        st.builds(pb.InferParameter, bool_param=st.booleans()),
        st.builds(pb.InferParameter, int64_param=st.integers(-(2**63), 2**63 - 1)),
        st.builds(pb.InferParameter, string_param=NAMES),
        st.builds(pb.InferParameter, double_param=st.floats()),
    ),
    max_size=4,
)
CONTENTS = st.builds(
    pb.InferTensorContents,
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=50),
    uint64_contents=st.lists(st.integers(0, 2**64 - 1), max_size=50),
    fp32_contents=st.lists(st.floats(width=32), max_size=50),
    bool_contents=st.lists(st.booleans(), max_size=50),
    bytes_contents=st.lists(st.binary(max_size=20), max_size=10),
)
INPUTS = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=NAMES,
    datatype=NAMES,
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9),
    parameters=PARAMETERS,
    contents=CONTENTS,
)
OUTPUTS = st.builds(
    pb.ModelInferRequest.InferRequestedOutputTensor, name=NAMES, parameters=PARAMETERS
)
REQUESTS = st.builds(
    pb.ModelInferRequest,
    model_name=NAMES,
    id=NAMES,
    parameters=PARAMETERS,
    inputs=st.lists(INPUTS, max_size=5),
    outputs=st.lists(OUTPUTS, max_size=5),
    raw_input_contents=st.lists(st.binary(max_size=50), max_size=5),
)


@given(REQUESTS)
def test_size_of_a_valid_request_is_bounded(request: pb.ModelInferRequest) -> None:
    data = request.SerializeToString()
    typed = [one.contents for one in request.inputs]
    for contents in typed:
        contents.ClearField("bytes_contents")
    numbers = sum(contents.ByteSize() for contents in typed)
    assert len(data) <= estimate_parsed_bytes(data, MANY) <= len(data) + GROWTH * numbers


def is_read(data: bytes) -> bool:
    try:
        pb.ModelInferRequest.FromString(data)
    except DecodeError:
        return False
    return True


def may_have_group(data: bytes) -> bool:
    """A kind of field that is read as unknown; no client has sent one for fifteen years."""
    return any(byte & 7 in (3, 4) for byte in data)


@given(st.binary(max_size=200))
def test_parsable_bytes_are_not_refused(data: bytes) -> None:
    try:
        assert estimate_parsed_bytes(data, MANY) >= len(data)
    except InvalidRequest:
        assert not is_read(data) or may_have_group(data)


@given(REQUESTS, st.data())
def test_truncated_request_is_refused_if_unparsable(
    request: pb.ModelInferRequest, data: st.DataObject
) -> None:
    whole = request.SerializeToString()
    cut = whole[: data.draw(st.integers(0, max(0, len(whole) - 1)))]
    try:
        estimate_parsed_bytes(cut, MANY)
    except InvalidRequest:
        assert not is_read(cut)


def test_raw_data_is_skipped_not_counted() -> None:
    request = pb.ModelInferRequest(raw_input_contents=[bytes(10_000_000)])
    request.inputs.add().contents.bytes_contents.append(bytes(10_000_000))
    data = request.SerializeToString()
    assert estimate_parsed_bytes(data, 0) == len(data)


@pytest.mark.parametrize(
    "data",
    [
        *(tag * (MAX_FIELDS + 1) for tag in (b"\x2a\x00", b"\x32\x00", b"\x22\x00", b"\x3a\x00")),
        b"\x08\x00" * (MAX_FIELDS + 1),
        b"\x2a\x04\x22\x00\x22\x00" * MAX_FIELDS,
    ],
)
def test_many_small_fields_are_refused(data: bytes) -> None:
    assert len(data) < 100_000
    with pytest.raises(InvalidRequest, match="fields"):
        estimate_parsed_bytes(data, MANY)


def test_shape_with_too_many_axes_is_refused() -> None:
    request = pb.ModelInferRequest()
    request.inputs.add(shape=[1] * 300)
    with pytest.raises(InvalidRequest, match="axes"):
        estimate_parsed_bytes(request.SerializeToString(), MANY)


def test_typed_numbers_are_counted_by_their_expanded_size() -> None:
    request = pb.ModelInferRequest()
    request.inputs.add().contents.int64_contents.extend(np.ones(1000, np.int64))
    data = request.SerializeToString()
    assert estimate_parsed_bytes(data, 1000) == len(data) + GROWTH * 1000
    with pytest.raises(PayloadTooLarge):
        estimate_parsed_bytes(data, 999)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xff" * 20,
        b"\x0b",
        b"\x3d\x00",
        b"\x39" + bytes(7),
        b"\x2a\x02\x0a\x05",
        b"\x07",
    ],
)
def test_malformed_fields_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        estimate_parsed_bytes(data, MANY)
