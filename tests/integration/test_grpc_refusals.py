"""Bad tokens and hostile messages over gRPC: the caller's fault, told so, with nothing of our insides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.core.tensors import MAX_RANK
from tests.integration.accounts import add_device
from tests.integration.hostile_files import webp
from tests.integration.rpc import METHODS, Client, connected, files, refused, tensor
from tests.integration.tensors import images
from tests.pictures import RED, plain
from tests.server import LiveServer
from tests.tiny_model import SIDE

OPEN = {"ServerLive", "ServerReady", "Check", "List", "Watch"}
WRITE = {"RepositoryModelLoad", "RepositoryModelUnload"}
READ = {
    *("ModelReady", "ServerMetadata", "ModelMetadata"),
    *("ModelConfig", "ModelStatistics", "RepositoryIndex"),
}
NEEDED = {
    **dict.fromkeys(WRITE, "models:write"),
    **dict.fromkeys(READ, "models:read"),
    "ModelInfer": "infer",
    "ModelStreamInfer": "infer",
    "Predict": "classify",
}
STREAMS = {"ModelStreamInfer"}
SHAPE = [1, 3, SIDE, SIDE]


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, "classify infer models:read models:write") as client:
        yield client


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refused(caught.value)


def anything(name: str) -> Message:
    """An empty message of the method's."""
    return GetMessageClass(METHODS[name][1].input_type)()


def try_it(client: Client, name: str) -> Any:
    if name in STREAMS:
        return list(client.stream(name, [anything(name)]))
    return client.ask(name, anything(name))


# Who may call


def test_every_method_says_who_may_call_it() -> None:
    assert set(NEEDED) | OPEN == set(METHODS)


@pytest.mark.parametrize("name", NEEDED)
def test_without_a_token_nothing_is_answered(server: LiveServer, name: str) -> None:
    with connected(server, None) as nobody:
        assert refusal(lambda: try_it(nobody, name)) == ("UNAUTHENTICATED", "unauthenticated")


@pytest.mark.parametrize("name", NEEDED)
def test_another_scope_is_not_enough(server: LiveServer, name: str) -> None:
    others = "classify infer models:read models:write".replace(NEEDED[name], "").strip()
    with connected(server, " ".join(others.split())) as client:
        assert refusal(lambda: try_it(client, name)) == ("PERMISSION_DENIED", "insufficient_scope")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer x",
        "{token}",
        "Token {token}",
        "Bearer {token}x",
    ],
)
def test_a_token_that_does_not_hold_is_refused(server: LiveServer, authorization: str) -> None:
    with connected(server, None) as nobody:
        given = authorization.format(token=server.token("models:read"))
        request = pb.ServerMetadataRequest()
        assert refusal(lambda: nobody.ask("ServerMetadata", request, authorization=given)) == (
            "UNAUTHENTICATED",
            "unauthenticated",
        )


@pytest.mark.parametrize("authorization", ["bearer {}", "BEARER {}", " Bearer {}", "Bearer  {} "])
def test_the_scheme_may_be_written_as_people_write_it(
    server: LiveServer, authorization: str
) -> None:
    with connected(server, None) as nobody:
        given = authorization.format(server.token("models:read"))
        request = pb.ServerMetadataRequest()
        assert nobody.ask("ServerMetadata", request, authorization=given).name == "potoo"


def test_two_tokens_are_refused(rpc: Client) -> None:
    path, _ = METHODS["ServerMetadata"]
    twice = (*rpc.metadata({}), *rpc.metadata({}))
    call = rpc.unary(path)
    assert refusal(lambda: call(b"", metadata=twice)) == ("UNAUTHENTICATED", "unauthenticated")


def test_a_caller_keeps_to_the_models_it_may_use(server: LiveServer) -> None:
    device = add_device(server, scopes=["classify", "infer", "models:read"], models=["others"])
    token = device.sign_in()["access_token"]
    with connected(server, None) as nobody:
        client = Client(nobody.channel, token)
        requests: dict[str, Message] = {
            "ModelInfer": tensor(images(1)),
            "ModelReady": pb.ModelReadyRequest(name="colours"),
            "ModelMetadata": pb.ModelMetadataRequest(name="colours"),
            "ModelConfig": pb.ModelConfigRequest(name="colours"),
            "ModelStatistics": pb.ModelStatisticsRequest(name="colours"),
            "Predict": potoo_pb2.PredictRequest(image_data=plain()),
        }
        for name, request in requests.items():
            refused_as = refusal(partial(client.ask, name, request))
            assert refused_as == ("PERMISSION_DENIED", "model_forbidden"), name
        assert not client.ask("ModelStatistics", pb.ModelStatisticsRequest()).model_stats
        assert not client.ask("RepositoryIndex", pb.RepositoryIndexRequest()).models
        (told,) = client.stream("ModelStreamInfer", [tensor(images(1), id="a")])
        assert told.error_message == "This account may not use that model."


# What there is not


@pytest.mark.parametrize(
    "path",
    [
        "/inference.GRPCInferenceService/SystemSharedMemoryStatus",
        "/inference.GRPCInferenceService/Nope",
        "/nope.Nope/Nope",
        "/nope",
    ],
)
def test_an_unknown_method_is_unimplemented(rpc: Client, path: str) -> None:
    assert refusal(lambda: rpc.unary(path)(b"")) == (
        "UNIMPLEMENTED",
        "method_not_allowed",
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(rpc.both_ways(path)(iter([b""])))
    assert refused(caught.value) == ("UNIMPLEMENTED", "method_not_allowed")


@pytest.mark.parametrize("members", [{"name": "nope"}, {"name": "colours", "version": "2"}, {}])
@pytest.mark.parametrize("name", ["ModelMetadata", "ModelConfig"])
def test_an_unknown_model_or_version_is_not_found(
    rpc: Client, name: str, members: dict[str, str]
) -> None:
    request = GetMessageClass(METHODS[name][1].input_type)(**members)
    assert refusal(lambda: rpc.ask(name, request)) == ("NOT_FOUND", "model_not_found")


@pytest.mark.parametrize(
    ("name", "refusal_of_it"),
    [("RepositoryModelLoad", None), ("RepositoryModelUnload", ("FAILED_PRECONDITION", "conflict"))],
)
def test_the_default_model_stays_loaded(
    rpc: Client, name: str, refusal_of_it: tuple[str, str] | None
) -> None:
    request = GetMessageClass(METHODS[name][1].input_type)(model_name="colours")
    if refusal_of_it is None:
        rpc.ask(name, request)
    else:
        assert refusal(lambda: rpc.ask(name, request)) == refusal_of_it


@pytest.mark.parametrize("name", WRITE)
def test_models_and_their_configuration_are_not_uploaded(rpc: Client, name: str) -> None:
    parameters = {"config": pb.ModelRepositoryParameter(string_param="{}")}
    kind = GetMessageClass(METHODS[name][1].input_type)
    request = kind(model_name="colours", parameters=parameters)
    assert refusal(lambda: rpc.ask(name, request)) == ("UNIMPLEMENTED", "unsupported")


def test_there_is_one_repository(rpc: Client) -> None:
    request = pb.RepositoryIndexRequest(repository_name="mine")
    assert refusal(lambda: rpc.ask("RepositoryIndex", request)) == ("UNIMPLEMENTED", "unsupported")


# What is wrong with a request


def request(**changes: Any) -> pb.ModelInferRequest:
    """A good one with something changed: members of the input, ``raw``, members of the request."""
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
    "values that do not fit": lambda: typed("UINT8", [2], uint_contents=[1, 256]),
    "negative values that do not fit": lambda: typed("INT8", [1], int_contents=[-129]),
    "typed half precision": lambda: typed("FP16", [1], fp32_contents=[1.0]),
    "a length that lies": lambda: request(datatype="BYTES", shape=[1], raw=[b"\xff\xff\xff\xffab"]),
    "elements that lie": lambda: request(datatype="BYTES", shape=[2**40], raw=[b"\0\0\0\0"]),
    "none of a batch": lambda: request(shape=[0, 3, SIDE, SIDE], raw=[b""]),
    "a negative priority": lambda: with_parameter("int64_param", "priority", -1),
    "a priority in words": lambda: with_parameter("string_param", "priority", "high"),
    "a negative time-out": lambda: with_parameter("int64_param", "timeout", -1),
    "a time-out that is no number": lambda: with_parameter("bool_param", "timeout", value=True),
    "negative classes": lambda: with_parameter("int64_param", "classification", -1, "output"),
    "classes in words": lambda: with_parameter("string_param", "classification", "5", "output"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_that_do_not_fit_are_the_callers_fault(rpc: Client, case: str) -> None:
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
    "a version in words": (
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
def test_every_other_fault_has_its_status(rpc: Client, case: str) -> None:
    make, expected = OTHERS[case]
    assert refusal(lambda: rpc.ask("ModelInfer", make())) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"image_data": b""}, ("INVALID_ARGUMENT", "unsupported_image")),
        ({"image_data": b"text"}, ("INVALID_ARGUMENT", "unsupported_image")),
        ({"image_data": plain()[:60]}, ("INVALID_ARGUMENT", "invalid_image")),
        ({"image_data": plain(), "top_k": 0}, ("INVALID_ARGUMENT", "invalid_parameter")),
        ({"image_data": plain(), "top_k": 101}, ("INVALID_ARGUMENT", "invalid_parameter")),
        ({"image_data": plain(), "model": "nope"}, ("NOT_FOUND", "model_not_found")),
    ],
)
def test_a_picture_that_cannot_be_named_is_refused(
    rpc: Client, members: dict[str, Any], expected: tuple[str, str]
) -> None:
    asked = potoo_pb2.PredictRequest(**members)
    assert refusal(lambda: rpc.ask("Predict", asked)) == expected


# Bytes that are no message


GARBAGE = (b"\xff", b"\x0a\xff", b"\x2a\x80", b"\x0b", b"\x3d\x00", bytes(100))


@pytest.mark.parametrize("data", GARBAGE)
@pytest.mark.parametrize("name", ["ModelInfer", "Predict", "ModelMetadata", "Check"])
def test_bytes_that_are_no_message_are_the_callers_fault(
    rpc: Client, name: str, data: bytes
) -> None:
    assert refusal(lambda: rpc.ask(name, data)) == ("INVALID_ARGUMENT", "invalid_request")


@pytest.mark.parametrize("name", ["ModelInfer", "ModelMetadata", "Check"])
def test_text_that_is_no_utf8_is_the_callers_fault(rpc: Client, name: str) -> None:
    data = b"\x0a\x01\xff"
    assert refusal(lambda: rpc.ask(name, data)) == ("INVALID_ARGUMENT", "invalid_request")


@pytest.mark.parametrize("name", ["ModelInfer", "Predict", "ServerLive"])
def test_a_call_without_a_message_is_told_so(rpc: Client, name: str) -> None:
    path, _ = METHODS[name]
    call = rpc.upload(path)
    assert refusal(lambda: call(iter([]), metadata=rpc.metadata({}))) == (
        "INVALID_ARGUMENT",
        "invalid_request",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\x2a\x00" * 100_000,  # inputs
        b"\x32\x00" * 100_000,  # outputs
        b"\x22\x00" * 100_000,  # parameters
        b"\x3a\x00" * 100_000,  # raw contents
        b"\x2a\x04\x22\x00\x22\x00" * 100_000,  # parameters of inputs
    ],
)
def test_a_small_message_that_makes_many_objects_is_refused_before_it_does(
    rpc: Client, data: bytes
) -> None:
    assert refusal(lambda: rpc.ask("ModelInfer", data)) == ("INVALID_ARGUMENT", "invalid_request")


def test_others_are_still_answered(rpc: Client) -> None:
    picture = potoo_pb2.PredictRequest(image_data=plain(RED))
    assert rpc.ask("Predict", picture).class_names[0] == "red"


def test_what_was_refused_is_not_our_fault(rpc: Client, server: LiveServer) -> None:
    assert refusal(lambda: rpc.ask("Predict", b"\xff"))[0] == "INVALID_ARGUMENT"
    assert "unexpected error" not in server.events()
    assert "Traceback" not in server.events()
