"""Invalid protobuf messages are refused cheaply, as errors of the caller."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from service.transport.grpc.shape import MAX_FIELDS
from tests.support.callers.rpc import (
    METHODS,
    SCOPES,
    Client,
    check_unharmed,
    connected,
    refusal,
    refused,
)
from tests.support.servers.server import LiveServer


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, SCOPES) as client:
        yield client


GARBAGE = (b"\xff", b"\x0a\xff", b"\x2a\x80", b"\x0b", b"\x3d\x00", bytes(100))


@pytest.mark.parametrize("data", GARBAGE)
@pytest.mark.parametrize("name", ["ModelInfer", "Predict", "ModelMetadata", "Check"])
def test_undecodable_message_is_an_invalid_request(rpc: Client, name: str, data: bytes) -> None:
    assert refusal(lambda: rpc.ask(name, data)) == ("INVALID_ARGUMENT", "invalid_request")


@pytest.mark.parametrize("name", ["ModelInfer", "ModelMetadata", "Check"])
def test_invalid_utf8_is_an_invalid_request(rpc: Client, name: str) -> None:
    data = b"\x0a\x01\xff"
    assert refusal(lambda: rpc.ask(name, data)) == ("INVALID_ARGUMENT", "invalid_request")


@pytest.mark.parametrize("name", ["ModelInfer", "Predict", "ServerLive"])
def test_call_without_a_message_is_an_invalid_request(rpc: Client, name: str) -> None:
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
def test_small_message_of_many_objects_is_refused(rpc: Client, data: bytes) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        rpc.ask("ModelInfer", data)
    assert refused(caught.value) == ("INVALID_ARGUMENT", "invalid_request")
    # The fields are counted before any object is made.
    assert caught.value.details() == f"The message has more than {MAX_FIELDS} fields."


def test_garbage_leaves_the_server_unharmed(rpc: Client, server: LiveServer) -> None:
    check_unharmed(rpc, server)
