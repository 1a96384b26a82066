"""Bodies of infer: requests of clients and attackers, and responses."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.errors import CallerError, InvalidRequest, InvalidTensor, Unsupported
from schemas.http.inference import Datatype
from service.core.imaging.answer import ModelRef
from service.core.scheduling.priority import Priority
from service.core.tensors.inference import InferRequest, InferResponse
from service.core.tensors.tensors import Tensor, of_bytes, to_raw
from service.transport.http.v2.codec import ParsedInfer, header_length, read, write
from service.transport.open_inference.inference_parameters import RequestedOutput
from tests.support.suite.examples import examples

thorough = examples(300)
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def given_input(**members: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": ARRAY.tolist()} | members


def packed(document: Any, *blobs: bytes) -> tuple[bytes, int]:
    """A binary body and the length of its JSON."""
    head = json.dumps(document).encode()
    return b"".join((head, *blobs)), len(head)


def binary_input(size: int = ARRAY.nbytes, **members: Any) -> dict[str, Any]:
    one = given_input(parameters={"binary_data_size": size}, **members)
    del one["data"]
    return one


def asked(document: Any) -> ParsedInfer:
    return read(json.dumps(document).encode(), None)


def tensor_of(found: ParsedInfer) -> NDArray[Any]:
    (tensor,) = found.request.inputs
    return tensor.array


def test_flat_and_nested_json_data_are_equal() -> None:
    for data in (ARRAY.tolist(), ARRAY.ravel().tolist()):
        found = asked({"inputs": [given_input(data=data)]})
        assert np.array_equal(tensor_of(found), ARRAY)
        assert (found.is_binary, found.binary) == (False, {})


def test_request_options_and_outputs_are_read() -> None:
    found = asked(
        {
            "id": "my id é",
            "model_name": "kserve puts it here",
            "parameters": {
                "priority": 1,
                "timeout": 2_000_000,
                "binary_data_output": True,
                "sequence_id": 0,
                "mine": 1.5,
            },
            "inputs": [given_input()],
            "outputs": [
                {"name": "a", "parameters": {"binary_data": False, "classification": 2}},
                {"name": "b"},
            ],
        }
    )
    request = found.request
    assert request.id == "my id é"
    assert (found.priority, found.timeout) == (Priority.INTERACTIVE, 2.0)
    assert found.outputs == (RequestedOutput("a", 2), RequestedOutput("b"))
    assert (found.is_binary, found.binary) == (True, {"a": False})


def test_null_members_are_treated_as_absent() -> None:
    nothing = {"id": None, "parameters": None, "outputs": None}
    found = asked(nothing | {"inputs": [given_input(parameters=None)]})
    assert (found.request.id, found.request.outputs) == ("", ())


def test_binary_tensors_are_read_in_order_among_json_ones() -> None:
    body, length = packed(
        {
            "inputs": [
                binary_input(name="a"),
                given_input(name="b"),
                binary_input(7, name="c", datatype="BYTES", shape=[1]),
                binary_input(0, name="d", datatype="INT8", shape=[0]),
            ]
        },
        ARRAY.tobytes(),
        b"\3\0\0\0abc",
    )
    tensors = {tensor.name: tensor for tensor in read(body, length).request.inputs}
    assert np.array_equal(tensors["a"].array, ARRAY)
    assert np.array_equal(tensors["b"].array, ARRAY)
    assert tensors["c"].array.tolist() == [b"abc"]
    assert tensors["d"].shape == (0,)


def test_header_length_equal_to_the_body_is_plain_json() -> None:
    body, length = packed({"inputs": [given_input()]})
    assert np.array_equal(tensor_of(read(body, length)), ARRAY)


def test_zero_header_length_is_a_raw_request() -> None:
    found = read(b"\1\2\3", 0)
    assert bytes(found.request.raw or b"") == b"\1\2\3"
    assert found.is_binary


def test_non_finite_numbers_in_json_are_read() -> None:
    numbers = [math.nan, math.inf, -math.inf, 1.5]
    found = tensor_of(asked({"inputs": [given_input(shape=[4], data=numbers)]}))
    assert np.array_equal(found, np.array(numbers, np.float32), equal_nan=True)


@pytest.mark.parametrize("value", [b"-1", b"abc", b"", b"1.0", b"0x1", b"\xb2", b"1" * 19, b" 1"])
def test_invalid_header_length_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length"):
        header_length([value])


def test_repeated_length_header_is_refused() -> None:
    assert header_length([]) is None
    assert header_length([b"0"]) == 0
    with pytest.raises(InvalidRequest):
        header_length([b"1", b"1"])


def test_header_length_beyond_the_body_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length says 900"):
        read(b"{}", 900)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"1", b"null", b'"a"', b"NaN", b"\xff", b"\0", b"{}{}"),
        *(b'{"inputs": NaN', b'{"a": ' * 100_000, b"[" * 100_000, b'{"NaN": ' * 100_000),
        *(b'{"id": "\\ud800", "inputs": []}', b'{"id": "\\ud800", "inputs": [], "x": NaN}'),
        b'{"inputs": [], "x": NaN, "y": ' + b"1" * 5000 + b"}",
    ],
)
def test_body_other_than_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body, None)


WRONG: dict[str, Any] = {
    "no inputs": {},
    "inputs that are not a list": {"inputs": {}},
    "an input that is not an object": {"inputs": [1]},
    "too many inputs": {"inputs": [given_input()] * 65},
    "an input without a name": {"inputs": [given_input(name=None)]},
    "an input with an empty name": {"inputs": [given_input(name="")]},
    "an input whose name is a number": {"inputs": [given_input(name=1)]},
    "an input without a shape": {"inputs": [given_input(shape=None)]},
    "a shape that is a number": {"inputs": [given_input(shape=6)]},
    "a negative shape": {"inputs": [given_input(shape=[-2, -3])]},
    "a shape that overflows": {"inputs": [given_input(shape=[2**62, 4, 2, 3])]},
    "a shape of another size": {"inputs": [given_input(shape=[2, 4])]},
    "a shape of the same size": {"inputs": [given_input(shape=[3, 2])]},
    "an unknown datatype": {"inputs": [given_input(datatype="FLOAT")]},
    "no datatype": {"inputs": [given_input(datatype=None)]},
    "no data": {"inputs": [given_input(data=None)]},
    "data that is a string": {"inputs": [given_input(data="AAAA")]},
    "data that is an object": {"inputs": [given_input(data={})]},
    "data of strings": {"inputs": [given_input(data=["1"] * 6)]},
    "half precision in JSON": {"inputs": [given_input(datatype="FP16")]},
    "a size without binary data": {"inputs": [binary_input()]},
    "an id that is a number": {"id": 1, "inputs": [given_input()]},
    "an id that is too long": {"id": "a" * 5000, "inputs": [given_input()]},
    "parameters that are a list": {"parameters": [], "inputs": [given_input()]},
    "a parameter that is a list": {"parameters": {"a": []}, "inputs": [given_input()]},
    "a priority that is negative": {"parameters": {"priority": -1}, "inputs": [given_input()]},
    "a flag that is a number": {"parameters": {"binary_data_output": 1}, "inputs": [given_input()]},
    "outputs that are not a list": {"outputs": {}, "inputs": [given_input()]},
    "an output without a name": {"outputs": [{}], "inputs": [given_input()]},
    "classes that are negative": {
        "outputs": [{"name": "y", "parameters": {"classification": -1}}],
        "inputs": [given_input()],
    },
    "a flag of an output that is a string": {
        "outputs": [{"name": "y", "parameters": {"binary_data": "true"}}],
        "inputs": [given_input()],
    },
}


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
def test_request_outside_the_protocol_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRequest):
        asked(document)


@pytest.mark.parametrize(
    "where",
    [
        {"parameters": {"sequence_id": 3}},
        {"inputs": [given_input(parameters={"shared_memory_region": "a"})]},
    ],
)
def test_unsupported_extensions_are_refused(where: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        asked({"inputs": [given_input()]} | where)


@pytest.mark.parametrize(
    ("one", "blob"),
    [
        (binary_input(), b""),
        (binary_input(), ARRAY.tobytes()[:-1]),
        (binary_input(), ARRAY.tobytes() + b"\0"),
        (binary_input(-1), ARRAY.tobytes()),
        (binary_input(2**63), ARRAY.tobytes()),
        (binary_input(23), ARRAY.tobytes()),
        (binary_input() | {"parameters": {"binary_data_size": True}}, b"\0"),
        (binary_input(shape=[2**61, 3]), ARRAY.tobytes()),
        (binary_input(data=[1] * 6) | {"data": [1] * 6}, ARRAY.tobytes()),
        (given_input(), ARRAY.tobytes()),
        (binary_input(datatype="BYTES"), ARRAY.tobytes()),
    ],
)
def test_wrong_binary_lengths_are_refused(one: dict[str, Any], blob: bytes) -> None:
    body, length = packed({"inputs": [one]}, blob)
    with pytest.raises(InvalidTensor):
        read(body, length)


@thorough
@given(st.binary(max_size=200), st.none() | st.integers(0, 250))
def test_arbitrary_bytes_are_read_or_refused(body: bytes, length: int | None) -> None:
    try:
        found = read(body, length)
    except CallerError:
        return
    assert found.request.raw is not None or found.request.inputs == ()


scraps = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 9)
    | st.floats()
    | st.sampled_from(["x", "FP32", "BYTES"]),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "shape",
                    "datatype",
                    "data",
                    "parameters",
                    "binary_data_size",
                    "classification",
                ]
            ),
            inner,
        )
    ),
    max_leaves=25,
)


@thorough
@given(
    st.fixed_dictionaries(
        {"inputs": scraps}, optional={"outputs": scraps, "parameters": scraps, "id": scraps}
    ),
    st.binary(max_size=30),
)
def test_arbitrary_protocol_json_is_read_or_refused(document: Any, blob: bytes) -> None:
    body, length = packed(document, blob)
    try:
        found = read(body, length)
    except CallerError:
        return
    assert isinstance(found.request, InferRequest)


def answer(*outputs: Tensor, id: str = "") -> InferResponse:  # noqa: A002 - the protocol's word
    return InferResponse(ModelRef("m", 3), outputs, id)


def ask(*, is_binary: bool = False, **binary: bool) -> ParsedInfer:
    return ParsedInfer(InferRequest(), is_binary=is_binary, binary=binary)


OUTPUT = Tensor("y", Datatype.FP32, ARRAY)


def test_json_response_has_the_protocols_members() -> None:
    body, headers = write(answer(OUTPUT, id='"\n\té'), ask())
    assert headers == {"content-type": "application/json"}
    assert json.loads(body) == {
        "model_name": "m",
        "model_version": "3",
        "id": '"\n\té',
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": ARRAY.ravel().tolist()}
        ],
    }


def test_binary_response_has_header_length_and_raw_data() -> None:
    classes = of_bytes("z", ["1.5:0:é".encode(), b""], (1, 2))
    body, headers = write(answer(OUTPUT, classes), ask(is_binary=True))
    assert headers["content-type"] == "application/octet-stream"
    length = int(headers["inference-header-content-length"])
    document = json.loads(body[:length])
    assert "id" not in document
    sizes = [one["parameters"]["binary_data_size"] for one in document["outputs"]]
    assert sizes == [24, 4 + 8 + 4]
    assert body[length:] == to_raw(OUTPUT) + to_raw(classes)
    assert "data" not in document["outputs"][0]


def test_every_output_has_its_requested_form() -> None:
    other = Tensor("z", Datatype.FP32, ARRAY)
    for wanted in (ask(is_binary=True, y=False), ask(z=True)):
        body, headers = write(answer(OUTPUT, other), wanted)
        length = int(headers["inference-header-content-length"])
        first, second = json.loads(body[:length])["outputs"]
        assert first["data"] == ARRAY.ravel().tolist()
        assert second["parameters"] == {"binary_data_size": 24}
        assert body[length:] == ARRAY.tobytes()


def test_class_outputs_in_json_are_strings() -> None:
    body, _ = write(answer(of_bytes("y", ["0.500000:1:é".encode()], (1, 1))), ask())
    assert json.loads(body)["outputs"][0]["data"] == ["0.500000:1:é"]


@thorough
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_float_outputs_round_trip_through_json(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    body, _ = write(answer(Tensor("y", Datatype.FP32, array)), ask())
    found = np.array(json.loads(body)["outputs"][0]["data"], np.float32)
    assert np.array_equal(found, array)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_outputs_require_binary(bad: float) -> None:
    tensor = Tensor("y", Datatype.FP32, np.array([1, bad], np.float32))
    with pytest.raises(InvalidTensor, match="binary"):
        write(answer(tensor), ask())
    body, _ = write(answer(tensor), ask(is_binary=True))
    assert body.endswith(tensor.array.tobytes())


def test_binary_tensor_is_not_copied() -> None:
    array = np.zeros((1, 3, 224, 224), np.float32)
    one = binary_input(array.nbytes, shape=list(array.shape))
    head = json.dumps({"inputs": [one]}).encode()
    head += b" " * (-len(head) % 16)
    body = head + array.tobytes()
    tracemalloc.start()
    found = read(body, len(head))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(tensor_of(found), array)
    assert peak < 2**16
