"""Conversion of Open Inference Protocol messages to the core's types and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from schemas.errors import InvalidTensor, ModelNotFound
from schemas.http.inference import Datatype
from schemas.pb import open_inference_pb2 as pb
from service.core.imaging.answer import ModelRef
from service.core.scheduling.priority import Priority
from service.core.tensors.inference import InferResponse
from service.core.tensors.tensors import DTYPES, Tensor, of_bytes, to_raw
from service.transport.grpc.inference import codec
from service.transport.open_inference.inference_parameters import RequestedOutput

NUMERIC = [one for one in Datatype if one not in (Datatype.BYTES, Datatype.BF16)]
FIELDS = {
    **dict.fromkeys((Datatype.INT8, Datatype.INT16, Datatype.INT32), "int_contents"),
    **dict.fromkeys((Datatype.UINT8, Datatype.UINT16, Datatype.UINT32), "uint_contents"),
    Datatype.BOOL: "bool_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
}


def raw(datatype: str, shape: tuple[int, ...], data: bytes) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[data])
    request.inputs.add(name="x", datatype=datatype, shape=shape)
    return request


def typed(datatype: str, shape: tuple[int, ...], **contents: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m")
    one = request.inputs.add(name="x", datatype=datatype, shape=shape)
    one.contents.CopyFrom(pb.InferTensorContents(**contents))
    return request


def tensor(request: pb.ModelInferRequest) -> Tensor:
    (one,) = codec.read(request, None).request.inputs
    return one


@st.composite
def given_arrays(draw: st.DrawFn, datatypes: Sequence[Datatype]) -> tuple[Datatype, Any]:
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=4))
    return datatype, draw(arrays.arrays(DTYPES[datatype], shape))


@given(given_arrays(NUMERIC))
def test_raw_contents_give_the_array(case: tuple[Datatype, Any]) -> None:
    datatype, array = case
    found = tensor(raw(datatype, array.shape, array.tobytes()))
    assert (found.name, found.datatype) == ("x", datatype)
    assert np.array_equal(found.array, array, equal_nan=datatype.startswith("FP"))


@given(given_arrays(list(FIELDS)))
def test_typed_contents_give_the_array(case: tuple[Datatype, Any]) -> None:
    datatype, array = case
    found = tensor(typed(datatype, array.shape, **{FIELDS[datatype]: array.ravel().tolist()}))
    assert found.array.dtype == DTYPES[datatype]
    assert np.array_equal(found.array, array, equal_nan=datatype.startswith("FP"))


@given(st.lists(st.binary(max_size=10), max_size=10))
def test_bytes_elements_are_kept(elements: list[bytes]) -> None:
    shape = (len(elements),)
    packed = to_raw(of_bytes("x", elements, shape))
    for request in (typed("BYTES", shape, bytes_contents=elements), raw("BYTES", shape, packed)):
        assert tensor(request).array.tolist() == elements


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("INT8", "int_contents", 128),
        ("INT8", "int_contents", -129),
        ("INT16", "int_contents", 2**15),
        ("UINT8", "uint_contents", 256),
        ("UINT16", "uint_contents", 2**16),
    ],
)
def test_values_out_of_range_are_refused(datatype: str, field: str, value: int) -> None:
    with pytest.raises(InvalidTensor, match="cannot hold"):
        tensor(typed(datatype, (2,), **{field: [0, value]}))


@pytest.mark.parametrize("datatype", FIELDS)
def test_values_in_the_wrong_field_are_refused(datatype: Datatype) -> None:
    others = {name: [1] for name in FIELDS.values() if name != FIELDS[datatype]}
    for name, values in others.items():
        with pytest.raises(InvalidTensor, match=FIELDS[datatype]):
            tensor(typed(datatype, (1,), **{name: values}))


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_is_accepted_only_as_raw(datatype: str) -> None:
    with pytest.raises(InvalidTensor, match="raw_input_contents"):
        tensor(typed(datatype, (1,), fp32_contents=[1]))
    assert tensor(raw(datatype, (1,), b"\0\0")).datatype == datatype


def test_empty_typed_contents_beside_raw_ones_are_accepted() -> None:
    request = raw("INT8", (1,), b"\x05")
    request.inputs[0].contents.SetInParent()
    assert tensor(request).array.tolist() == [5]


def test_empty_tensor_is_accepted() -> None:
    assert tensor(typed("FP32", (0, 3))).array.shape == (0, 3)
    assert tensor(raw("FP32", (0, 3), b"")).array.shape == (0, 3)


def test_request_metadata_and_outputs_are_read() -> None:
    request = raw("INT8", (1,), b"\0")
    request.model_version, request.id = "3", "é 7"
    request.parameters["priority"].uint64_param = 1
    request.parameters["timeout"].int64_param = 2_000_000
    request.parameters["nothing"].SetInParent()
    request.outputs.add(name="a")
    request.outputs.add(name="b").parameters["classification"].int64_param = 5
    found = codec.read(request, None)
    assert (found.model, found.version, found.request.id) == ("m", 3, "é 7")
    assert (found.priority, found.timeout) == (Priority.INTERACTIVE, 2.0)
    assert found.outputs == (RequestedOutput("a"), RequestedOutput("b", 5))


@pytest.mark.parametrize(
    ("microseconds", "deadline", "expected"),
    [(0, None, None), (0, 3.0, 3.0), (2_000_000, None, 2), (2_000_000, 1, 1), (500_000, 1, 0.5)],
)
def test_earlier_of_deadline_and_timeout_applies(
    microseconds: int, deadline: float | None, expected: float | None
) -> None:
    request = raw("INT8", (1,), b"\0")
    request.parameters["timeout"].int64_param = microseconds
    assert codec.read(request, deadline).timeout == expected


def test_version_may_be_a_label() -> None:
    request = raw("INT8", (1,), b"\0")
    request.model_version = "stable"
    assert codec.read(request, None).version == "stable"


@pytest.mark.parametrize("version", ["Stable", "-1", "1.0", "٣", "1" * 19, "a" * 33, "stable\n"])
def test_malformed_version_is_not_found(version: str) -> None:
    request = raw("INT8", (1,), b"\0")
    request.model_version = version
    with pytest.raises(ModelNotFound):
        codec.read(request, None)


def test_outputs_are_raw_and_in_order() -> None:
    outputs = (
        Tensor("a", Datatype.FP32, np.array([[1.5]], np.float32)),
        of_bytes("b", [b"x", b"yz"], (2,)),
    )
    message = codec.write(InferResponse(ModelRef("m", 3), outputs, "é 7"))
    assert (message.model_name, message.model_version, message.id) == ("m", "3", "é 7")
    assert [(one.name, one.datatype, list(one.shape)) for one in message.outputs] == [
        ("a", "FP32", [1, 1]),
        ("b", "BYTES", [2]),
    ]
    assert list(message.raw_output_contents) == [
        np.float32(1.5).tobytes(),
        b"\x01\0\0\0x\x02\0\0\0yz",
    ]
    assert not any(one.contents.ListFields() for one in message.outputs)
