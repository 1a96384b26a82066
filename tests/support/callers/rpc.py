"""A gRPC client, and checks that apply to every response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from numpy.typing import NDArray

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.transport.grpc.errors import CODE_KEY, RETRY_KEY
from tests.support.callers.answers import INSIDES
from tests.support.models.pictures import RED, plain
from tests.support.servers.server import LiveServer

SCOPES = "classify infer models:read"
PATIENCE = 60.0
METHODS = {
    method.name: (f"/{service.full_name}/{method.name}", method)
    for file in (pb.DESCRIPTOR, potoo_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}
"""Path and descriptor of every served method except reflection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response, with trailing metadata."""

    message: Any
    trailers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """A client that calls methods by their short names."""

    channel: grpc.Channel
    token: str | None = None

    def call(
        self, name: str, request: Message | bytes, *, timeout: float = PATIENCE, **metadata: str
    ) -> Answer:
        """Make a unary call; return message and metadata."""
        message, call = self._unary(name).with_call(
            request, timeout=timeout, metadata=self.metadata(metadata)
        )
        return Answer(message, dict(call.trailing_metadata()))

    def ask(self, name: str, request: Message | bytes, **options: Any) -> Any:
        """Make a unary call; return only the message."""
        return self.call(name, request, **options).message

    def begin(self, name: str, request: Message, **options: Any) -> Any:
        """Start a call and return it while it runs."""
        return self._unary(name).future(request, metadata=self.metadata({}), **options)

    def stream(self, name: str, requests: Iterable[Any], timeout: float = PATIENCE) -> Any:
        """Yield the responses to a stream of messages."""
        path, method = METHODS[name]
        multi = self.channel.stream_stream(
            path, _serialized, GetMessageClass(method.output_type).FromString
        )
        return multi(iter(requests), timeout=timeout, metadata=self.metadata({}))

    def unary(self, path: str) -> Any:
        """A unary method on raw bytes."""
        return self.channel.unary_unary(path)

    def upload(self, path: str) -> Any:
        """A client-streaming method on raw bytes."""
        return self.channel.stream_unary(path)

    def both_ways(self, path: str) -> Any:
        """A bidirectional streaming method on raw bytes."""
        return self.channel.stream_stream(path)

    def metadata(self, more: dict[str, str]) -> tuple[tuple[str, str], ...]:
        token = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        return tuple((token | {name.replace("_", "-"): more[name] for name in more}).items())

    def _unary(self, name: str) -> Any:
        path, method = METHODS[name]
        return self.channel.unary_unary(
            path, _serialized, GetMessageClass(method.output_type).FromString
        )


@contextmanager
def connected(server: LiveServer, scope: str | None = SCOPES, **options: int) -> Iterator[Client]:
    """A client with its own connection.

    Args:
        scope: of its token; None for no token.
        options: of the channel.
    """
    arguments = {"use_local_subchannel_pool": 1, "max_send_message_length": -1} | options
    channel = grpc.insecure_channel(
        server.grpc, [(f"grpc.{name}", value) for name, value in arguments.items()]
    )
    with channel:
        yield Client(channel, server.token(scope) if scope else None)


def tensor(array: NDArray[np.float32], **members: Any) -> pb.ModelInferRequest:
    """A request with one FP32 tensor as raw contents."""
    request = pb.ModelInferRequest(model_name="colours", **members)
    request.inputs.add(name="image", datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request


def files(*given: bytes, **members: Any) -> pb.ModelInferRequest:
    """A request with encoded images as typed contents."""
    request = pb.ModelInferRequest(model_name="colours", **members)
    one = request.inputs.add(name="image", datatype="BYTES", shape=[len(given)])
    one.contents.bytes_contents.extend(given)
    return request


def output_of(answer: pb.ModelInferResponse) -> NDArray[np.float32]:
    """The only output of a response, which must be raw."""
    (one,), (raw,) = answer.outputs, answer.raw_output_contents
    assert one.datatype == "FP32"
    assert not one.contents.ListFields()
    return np.frombuffer(raw, np.float32).reshape(one.shape)


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """The error of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refused(caught.value)


def check_unharmed(rpc: Client, server: LiveServer) -> None:
    """Check that other calls work, and that no refusal was logged as a server fault."""
    picture = potoo_pb2.PredictRequest(image_data=plain(RED))
    assert rpc.ask("Predict", picture).class_names[0] == "red"
    assert refusal(lambda: rpc.ask("Predict", b"\xff"))[0] == "INVALID_ARGUMENT"
    assert "unexpected error" not in server.events()
    assert "Traceback" not in server.events()


def refused(error: Any) -> tuple[str, str]:
    """Status name and error code of a refusal, with all general checks."""
    trailers = dict(error.trailing_metadata())
    status, words = error.code(), error.details()
    assert trailers["x-request-id"]
    assert words.endswith("."), words
    assert not INSIDES.search(words), words
    is_temporary = status in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
    assert (RETRY_KEY in trailers) == is_temporary
    return status.name, trailers[CODE_KEY]


def told_to_go(error: Any) -> str:
    """The status of a call during a server's shutdown, which must be retryable.

    Either from the server, or from a channel that could not connect any more.
    """
    if dict(error.trailing_metadata() or ()):
        assert refused(error) == ("UNAVAILABLE", "not_ready")
    status: str = error.code().name
    assert status == "UNAVAILABLE"
    return status


def _serialized(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()
