"""Invalid gRPC requests: errors of the caller, without internal details."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.core.tensors.tensors import MAX_RANK
from tests.support.callers.rpc import (
    SCOPES,
    Client,
    check_unharmed,
    connected,
    files,
    refusal,
    tensor,
)
from tests.support.callers.tensors import images
from tests.support.models.hostile_files import webp
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer

SHAPE = [1, 3, SIDE, SIDE]


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, SCOPES) as client:
        yield client


def request(**changes: Any) -> pb.ModelInferRequest:
    """A valid request with changes: members of the input, ``raw``, members of the request."""
    raw = changes.pop("raw", [images(1).tobytes()])
    of_input = {"name": "image", "datatype": "FP32", "shape": SHAPE}
    of_input |= {key: changes.pop(key) for key in tuple(of_input) if key in changes}
    made = pb.ModelInferRequest(**{"model_name": "colours"} | changes)
    made.inputs.add(**of_input)
    made.raw_input_contents.extend(raw)
    return made


def with_parameter(
    kind: str, name: str, value: object, of: str = "request"
) -> pb.ModelInferRequest:
    made = request()
    holder: Any = made
    if of != "request":
        holder = made.inputs[0] if of == "input" else made.outputs.add(name="logits")
    setattr(holder.parameters[name], kind, value)
    return made


def mixed() -> pb.ModelInferRequest:
    made = request()
    made.inputs[0].contents.fp32_contents.append(1)
    return made


def typed(datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest:
    made = request(datatype=datatype, shape=shape, raw=[])
    made.inputs[0].contents.CopyFrom(pb.InferTensorContents(**contents))
    return made


BAD_TENSORS: dict[str, Callable[[], pb.ModelInferRequest]] = {
    "no input": lambda: pb.ModelInferRequest(model_name="colours"),
    "unknown input": lambda: request(name="pixels"),
    "no datatype": lambda: request(datatype=""),
    "unknown datatype": lambda: request(datatype="FP128"),
    "another datatype": lambda: request(datatype="INT32"),
    "no shape": lambda: request(shape=[]),
    "negative shape": lambda: request(shape=[-1, 3, SIDE, SIDE]),
    "two negative axes": lambda: request(shape=[-1, -3, SIDE, SIDE]),
    "overflowing shape": lambda: request(shape=[2**62, 2**62, 2**62, 4]),
    "a shape that wraps around to the right size": lambda: request(shape=[2**32, 2**32, 3, 1024]),
    "too many axes": lambda: request(shape=[1] * (MAX_RANK + 1)),
    "another shape": lambda: request(shape=[1, 3, SIDE * SIDE]),
    "a byte too few": lambda: request(raw=[images(1).tobytes()[:-1]]),
    "no byte": lambda: request(raw=[b""]),
    "too many raw contents": lambda: request(raw=[images(1).tobytes(), b""]),
    "raw and typed contents": mixed,
    "no contents": lambda: request(raw=[]),
    "values of another type": lambda: typed("FP32", SHAPE, fp64_contents=[1.0]),
    "too few values": lambda: typed("FP32", SHAPE, fp32_contents=[1.0]),
    "values out of range": lambda: typed("UINT8", [2], uint_contents=[1, 256]),
    "negative values out of range": lambda: typed("INT8", [1], int_contents=[-129]),
    "typed half precision": lambda: typed("FP16", [1], fp32_contents=[1.0]),
    "a wrong length": lambda: request(datatype="BYTES", shape=[1], raw=[b"\xff\xff\xff\xffab"]),
    "wrong element lengths": lambda: request(datatype="BYTES", shape=[2**40], raw=[b"\0\0\0\0"]),
    "an empty batch": lambda: request(shape=[0, 3, SIDE, SIDE], raw=[b""]),
    "a negative priority": lambda: with_parameter("int64_param", "priority", -1),
    "a priority as text": lambda: with_parameter("string_param", "priority", "high"),
    "a negative time-out": lambda: with_parameter("int64_param", "timeout", -1),
    "a time-out as a boolean": lambda: with_parameter("bool_param", "timeout", value=True),
    "negative classes": lambda: with_parameter("int64_param", "classification", -1, "output"),
    "classes as text": lambda: with_parameter("string_param", "classification", "5", "output"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_mismatched_tensors_are_invalid(rpc: Client, case: str) -> None:
    assert refusal(lambda: rpc.ask("ModelInfer", BAD_TENSORS[case]())) == (
        "INVALID_ARGUMENT",
        "invalid_tensor",
    )


def doubled() -> pb.ModelInferRequest:
    made = request(raw=[images(1).tobytes()] * 2)
    made.inputs.append(made.inputs[0])
    return made


def too_many_rows() -> pb.ModelInferRequest:
    return tensor(np.zeros((65, 3, SIDE, SIDE), np.float32))


OTHERS: dict[str, tuple[Callable[[], pb.ModelInferRequest], tuple[str, str]]] = {
    "unknown model": (
        lambda: request(model_name="nope"),
        ("NOT_FOUND", "model_not_found"),
    ),
    "no model": (lambda: request(model_name=""), ("NOT_FOUND", "model_not_found")),
    "a path for a model": (
        lambda: request(model_name="../../etc/passwd"),
        ("NOT_FOUND", "model_not_found"),
    ),
    "unknown version": (
        lambda: request(model_version="2"),
        ("NOT_FOUND", "model_not_found"),
    ),
    "a version as text": (
        lambda: request(model_version="latest"),
        ("NOT_FOUND", "model_not_found"),
    ),
    "an endless id": (lambda: request(id="x" * 5000), ("INVALID_ARGUMENT", "invalid_request")),
    "an input twice": (doubled, ("INVALID_ARGUMENT", "invalid_tensor")),
    "too many rows": (too_many_rows, ("INVALID_ARGUMENT", "invalid_tensor")),
    "unknown output": (
        lambda: request(outputs=[{"name": "nope"}]),
        ("INVALID_ARGUMENT", "invalid_tensor"),
    ),
    "a sequence": (
        lambda: with_parameter("uint64_param", "sequence_id", 5),
        ("UNIMPLEMENTED", "unsupported"),
    ),
    "shared memory": (
        lambda: with_parameter("string_param", "shared_memory_region", "r", "input"),
        ("UNIMPLEMENTED", "unsupported"),
    ),
    "shared memory for an answer": (
        lambda: with_parameter("string_param", "shared_memory_region", "r", "output"),
        ("UNIMPLEMENTED", "unsupported"),
    ),
    "no image": (lambda: files(b"text"), ("INVALID_ARGUMENT", "unsupported_image")),
    "a damaged image": (lambda: files(plain()[:60]), ("INVALID_ARGUMENT", "invalid_image")),
    "a bomb": (lambda: files(webp(16_383, 16_383)), ("INVALID_ARGUMENT", "image_too_large")),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_faults_have_their_grpc_status(rpc: Client, case: str) -> None:
    make, expected = OTHERS[case]
    assert refusal(lambda: rpc.ask("ModelInfer", make())) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"image_data": b""}, ("INVALID_ARGUMENT", "invalid_image")),
        ({"image_data": b"text"}, ("INVALID_ARGUMENT", "unsupported_image")),
        ({"image_data": plain()[:60]}, ("INVALID_ARGUMENT", "invalid_image")),
        ({"image_data": plain(), "top_k": 0}, ("INVALID_ARGUMENT", "invalid_parameter")),
        ({"image_data": plain(), "top_k": 101}, ("INVALID_ARGUMENT", "invalid_parameter")),
        ({"image_data": plain(), "model": "nope"}, ("NOT_FOUND", "model_not_found")),
    ],
)
def test_invalid_predict_request_is_refused(
    rpc: Client, members: dict[str, Any], expected: tuple[str, str]
) -> None:
    asked = potoo_pb2.PredictRequest(**members)
    assert refusal(lambda: rpc.ask("Predict", asked)) == expected


def test_refusals_leave_the_server_unharmed(rpc: Client, server: LiveServer) -> None:
    check_unharmed(rpc, server)
