"""Authorisation of gRPC methods, and methods that do not exist."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.support.callers.accounts import add_device
from tests.support.callers.rpc import (
    METHODS,
    Client,
    connected,
    refusal,
    refused,
    tensor,
)
from tests.support.callers.tensors import images
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

OPEN = {"ServerLive", "ServerReady", "Check", "List", "Watch"}
WRITE = {"RepositoryModelLoad", "RepositoryModelUnload"}
READ = {
    *("ModelReady", "ServerMetadata", "ModelMetadata"),
    *("ModelConfig", "ModelStatistics", "RepositoryIndex"),
}
NEEDED = {
    **dict.fromkeys(sorted(WRITE), "models:write"),
    **dict.fromkeys(sorted(READ), "models:read"),
    "ModelInfer": "infer",
    "ModelStreamInfer": "infer",
    **dict.fromkeys(("Predict", "ClassifyText", "Embed"), "classify"),
    **dict.fromkeys(("Image", "Numeric", "Text", "Items"), "preprocess"),
}
STREAMS = {"ModelStreamInfer", "Items"}


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, "classify infer models:read models:write") as client:
        yield client


def anything(name: str) -> Message:
    """An empty message of the method's type."""
    return GetMessageClass(METHODS[name][1].input_type)()


def try_it(client: Client, name: str) -> Any:
    if name in STREAMS:
        return list(client.stream(name, [anything(name)]))
    return client.ask(name, anything(name))


# Authorisation


def test_every_method_has_a_required_scope_or_is_open() -> None:
    assert set(NEEDED) | OPEN == set(METHODS)


@pytest.mark.parametrize("name", NEEDED)
def test_call_without_a_token_is_unauthenticated(server: LiveServer, name: str) -> None:
    with connected(server, None) as nobody:
        assert refusal(lambda: try_it(nobody, name)) == ("UNAUTHENTICATED", "unauthenticated")


@pytest.mark.parametrize("name", NEEDED)
def test_call_with_another_scope_is_denied(server: LiveServer, name: str) -> None:
    others = "classify infer models:read models:write preprocess".replace(NEEDED[name], "").strip()
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
def test_invalid_token_is_refused(server: LiveServer, authorization: str) -> None:
    with connected(server, None) as nobody:
        given = authorization.format(token=server.token("models:read"))
        request = pb.ServerMetadataRequest()
        assert refusal(lambda: nobody.ask("ServerMetadata", request, authorization=given)) == (
            "UNAUTHENTICATED",
            "unauthenticated",
        )


@pytest.mark.parametrize("authorization", ["bearer {}", "BEARER {}", " Bearer {}", "Bearer  {} "])
def test_authorization_scheme_is_case_and_space_insensitive(
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


def test_caller_is_limited_to_its_models(server: LiveServer) -> None:
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


# Methods that do not exist


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
def test_default_model_can_be_loaded_but_not_unloaded(
    rpc: Client, name: str, refusal_of_it: tuple[str, str] | None
) -> None:
    request = GetMessageClass(METHODS[name][1].input_type)(model_name="colours")
    if refusal_of_it is None:
        rpc.ask(name, request)
    else:
        assert refusal(lambda: rpc.ask(name, request)) == refusal_of_it


@pytest.mark.parametrize("name", sorted(WRITE))
def test_model_upload_is_unsupported(rpc: Client, name: str) -> None:
    parameters = {"config": pb.ModelRepositoryParameter(string_param="{}")}
    kind = GetMessageClass(METHODS[name][1].input_type)
    request = kind(model_name="colours", parameters=parameters)
    assert refusal(lambda: rpc.ask(name, request)) == ("UNIMPLEMENTED", "unsupported")


def test_named_repositories_are_unsupported(rpc: Client) -> None:
    request = pb.RepositoryIndexRequest(repository_name="mine")
    assert refusal(lambda: rpc.ask("RepositoryIndex", request)) == ("UNIMPLEMENTED", "unsupported")
