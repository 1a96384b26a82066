"""Limits per gRPC caller: bytes, time, rates, places in the queue."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.transport.grpc.handler import ANONYMOUS_STREAMS
from service.transport.grpc.methods import SMALL_BYTES
from tests.support.callers.rpc import (
    METHODS,
    PATIENCE,
    Client,
    connected,
    files,
    refusal,
    refused,
    tensor,
)
from tests.support.callers.tensors import images
from tests.support.models.pictures import RED, encoded, noise, plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with small limits and short time-outs."""
    with serve(
        tmp_path_factory.mktemp("small"),
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_INFERENCE__QUEUE_CAPACITY="4",
        POTOO_LIMITS__MAX_BODY_BYTES=str(MEBIBYTE),
        POTOO_LIMITS__MAX_BATCH_BYTES=str(2 * MEBIBYTE),
        POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT=str(4 * MEBIBYTE),
    ) as live:
        yield live


# Bytes


def test_message_above_the_grpc_default_of_4_mib_is_accepted(server: LiveServer) -> None:
    with connected(server) as client:
        request = files(*[encoded(noise((700, 700)))] * 8)
        assert request.ByteSize() > 8 * MEBIBYTE
        assert client.ask("ModelInfer", request).outputs[0].shape == [8, 3]


def test_message_above_the_server_limit_is_rejected(small: LiveServer) -> None:
    with connected(small) as client, pytest.raises(grpc.RpcError) as caught:
        client.ask("ModelInfer", files(bytes(2 * MEBIBYTE + 1)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_message_is_limited_by_its_decompressed_size(
    small: LiveServer, compression: grpc.Compression
) -> None:
    path, _ = METHODS["ModelInfer"]
    with connected(small) as client:
        call = client.unary(path)
        metadata = client.metadata({})
        good = tensor(images(1)).SerializeToString()
        assert call(good, metadata=metadata, compression=compression)
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(200 * MEBIBYTE), metadata=metadata, compression=compression)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    memory = psutil.Process(small.process.pid).memory_info().rss
    assert memory < 600 * MEBIBYTE


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("Predict", lambda: potoo_pb2.PredictRequest(image_data=bytes(MEBIBYTE + SMALL_BYTES))),
        ("ModelMetadata", lambda: pb.ModelMetadataRequest(name="x" * SMALL_BYTES)),
        ("ServerLive", lambda: b"\x0a\xf0\xff\x3f" + bytes(MEBIBYTE - 16)),
    ],
)
def test_every_method_has_its_own_message_limit(small: LiveServer, name: str, make: Any) -> None:
    with connected(small) as client:
        assert refusal(lambda: client.ask(name, make())) == (
            "INVALID_ARGUMENT",
            "payload_too_large",
        )


def test_too_many_typed_numbers_are_refused_recommending_raw_contents(small: LiveServer) -> None:
    request = pb.ModelInferRequest(model_name="colours")
    one = request.inputs.add(name="image", datatype="FP32", shape=[1])
    one.contents.fp32_contents.extend(np.zeros(MEBIBYTE // 4 + 1, np.float32))
    with connected(small) as client, pytest.raises(grpc.RpcError) as caught:
        client.ask("ModelInfer", request)
    assert refused(caught.value) == ("INVALID_ARGUMENT", "payload_too_large")
    assert "raw_input_contents" in words_of(caught.value)


def test_memory_consuming_numbers_are_refused_before_parsing(
    small: LiveServer, server: LiveServer
) -> None:
    """Numbers that take a byte each on the wire, eight in memory."""
    request, count = pb.ModelInferRequest(model_name="colours"), 900_000
    one = request.inputs.add(name="image", datatype="INT64", shape=[1])
    one.contents.int64_contents.extend(np.ones(count, np.int64))
    # Numbers without an end: the parser would refuse them for another reason.
    data = request.SerializeToString().replace(b"\x01" * count, b"\xff" * count)
    for live, expected in (
        (small, ("RESOURCE_EXHAUSTED", "overloaded")),
        (server, ("INVALID_ARGUMENT", "invalid_request")),
    ):
        with connected(live) as client:
            assert refusal(lambda: client.ask("ModelInfer", data)) == expected


def test_unauthenticated_stream_is_refused_before_it_is_read(small: LiveServer) -> None:
    """The refusal arrives before most of the message is sent."""
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield bytes(MEBIBYTE)

    path, _ = METHODS["ModelStreamInfer"]
    with connected(small, None) as nobody:
        assert refusal(lambda: list(nobody.both_ways(path)(chunks()))) == (
            "UNAUTHENTICATED",
            "unauthenticated",
        )
    assert sent < 100


# Time


def test_unreachable_timeout_raises_deadline_exceeded(server: LiveServer) -> None:
    with connected(server) as client:
        request = tensor(images(1))
        request.parameters["timeout"].int64_param = 1
        with pytest.raises(grpc.RpcError) as caught:
            client.ask("ModelInfer", request)
    assert refused(caught.value) == ("DEADLINE_EXCEEDED", "deadline_exceeded")


def test_late_calls_are_dropped_from_the_queue(server: LiveServer) -> None:
    """Late requests are dropped instead of being completed."""
    picture = files(*[encoded(noise((1200, 1200)))] * 4)
    with connected(server) as client:

        def late(_: int) -> str:
            with pytest.raises(grpc.RpcError) as caught:
                client.ask("ModelInfer", picture, timeout=0.05)
            return str(caught.value.code().name)

        with ThreadPoolExecutor(8) as crowd:
            codes = Counter(crowd.map(late, range(24)))
        assert set(codes) <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
        assert codes["DEADLINE_EXCEEDED"]
        assert client.ask("ModelInfer", tensor(images(1)))
    assert wait_until(lambda: queue_depth(server) == 0)
    assert "unexpected error" not in server.events()


def test_cancelled_calls_are_dropped_from_the_queue(server: LiveServer) -> None:
    picture = files(*[encoded(noise((1200, 1200)))] * 8)
    with connected(server) as client:
        calls = [client.begin("ModelInfer", picture) for _ in range(8)]
        assert wait_until(lambda: queue_depth(server) > 0)
        for call in calls:
            call.cancel()
        assert wait_until(lambda: queue_depth(server) == 0)
        assert client.ask("ModelInfer", tensor(images(1)))
    assert wait_until(lambda: '"code":"CANCELLED"' in server.events())
    assert "unexpected error" not in server.events()


def words_of(error: Any) -> str:
    return str(error.details())


def retry_after(error: Any) -> int:
    return int(dict(error.trailing_metadata())["retry-after"])


def queue_depth(server: LiveServer) -> float:
    text = httpx.get(f"{server.url}/metrics").text
    (line,) = [one for one in text.splitlines() if one.startswith("potoo_queue_depth{")]
    return float(line.split()[-1])


def test_silent_calls_do_not_block_others(server: LiveServer) -> None:
    path, _ = METHODS["ModelInfer"]
    is_over = threading.Event()

    def silent() -> Iterator[bytes]:
        is_over.wait()
        yield from ()

    with connected(server) as idle, connected(server) as client:
        half_open = [
            idle.upload(path).future(silent(), metadata=idle.metadata({})) for _ in range(90)
        ]
        for _ in range(5):
            assert client.ask("Predict", potoo_pb2.PredictRequest(image_data=plain()))
        is_over.set()
        for call in half_open:
            assert refusal(call.result) == ("INVALID_ARGUMENT", "invalid_request")


def test_silent_unauthenticated_call_times_out(server: LiveServer) -> None:
    path, _ = METHODS["Check"]
    is_over = threading.Event()

    def silent() -> Iterator[bytes]:
        is_over.wait()
        yield from ()

    with connected(server, None) as nobody:
        call = nobody.upload(path).future(silent())
        assert refusal(call.result) == ("DEADLINE_EXCEEDED", "upload_timeout")
        is_over.set()


# Places


def test_full_queue_is_refused_and_every_call_answered(small: LiveServer) -> None:
    with connected(small) as client:
        picture = potoo_pb2.PredictRequest(image_data=encoded(noise((400, 400)), "JPEG"))

        def ask(_: int) -> str:
            try:
                client.ask("Predict", picture)
            except grpc.RpcError as error:
                return "/".join(refused(error))
            return "OK"

        with ThreadPoolExecutor(32) as crowd:
            counted = Counter(crowd.map(ask, range(128)))
        assert set(counted) == {"OK", "RESOURCE_EXHAUSTED/overloaded"}
        assert client.ask("Predict", picture)


def test_unauthenticated_streams_are_limited(small: LiveServer) -> None:
    def watch(client: Client) -> Any:
        call = HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert next(call).status == health_pb2.HealthCheckResponse.SERVING
        return call

    with ExitStack() as stack:
        clients = [stack.enter_context(connected(small, None)) for _ in range(4)]
        calls = [watch(clients[number % 4]) for number in range(ANONYMOUS_STREAMS)]
        assert refusal(lambda: watch(clients[0])) == ("RESOURCE_EXHAUSTED", "overloaded")
        assert clients[0].ask("Check", health_pb2.HealthCheckRequest())
        for call in calls:
            call.cancel()
        assert wait_until(lambda: _may(partial(watch, clients[1])))


def _may(call: Callable[[], Any]) -> bool:
    try:
        call().cancel()
    except grpc.RpcError:
        return False
    return True


def test_http_and_grpc_share_the_rate_limit(tmp_path: Path, colours: Path) -> None:
    with (
        serve(
            tmp_path,
            models=colours,
            POTOO_GRPC_PORT="0",
            POTOO_AUTH__RATE_PER_PRINCIPAL="6/hour",
        ) as live,
        connected(live) as client,
        live.client() as over_http,
    ):
        for _ in range(3):
            assert over_http.get("/v1/models").status_code == 200
        first = client.call("Predict", potoo_pb2.PredictRequest(image_data=plain(RED)))
        assert "r=2" in first.trailers["ratelimit"]
        answers = list(client.stream("ModelStreamInfer", [tensor(images(1), id="a")] * 3))
        codes = [one.infer_response.parameters["error-code"].string_param for one in answers]
        # The start of the stream and each of its messages count.
        assert codes == ["", "rate_limited", "rate_limited"]
        with pytest.raises(grpc.RpcError) as caught:
            client.ask("ServerMetadata", pb.ServerMetadataRequest())
        assert refused(caught.value) == ("RESOURCE_EXHAUSTED", "rate_limited")
        assert retry_after(caught.value) > 1
        assert over_http.get("/v1/models").status_code == 429
        assert client.ask("ServerLive", pb.ServerLiveRequest()).live


# The wire


def test_connection_of_another_protocol_is_harmless(server: LiveServer) -> None:
    host, _, port = server.grpc.rpartition(":")
    for data in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02", bytes(1000), b""):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(data)
    with connected(server) as client:
        assert client.ask("ServerLive", pb.ServerLiveRequest()).live


def test_oversized_metadata_is_refused(server: LiveServer) -> None:
    with connected(server) as client, pytest.raises(grpc.RpcError) as caught:
        client.ask("ServerLive", pb.ServerLiveRequest(), x_more="x" * 200_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_repeated_calls_leak_no_memory(server: LiveServer) -> None:
    process = psutil.Process(server.process.pid)
    with connected(server) as client:
        request = tensor(np.random.default_rng(0).random((64, 3, 32, 32), np.float32))

        def ask_often() -> int:
            for _ in range(100):
                client.ask("ModelInfer", request)
            return int(process.memory_info().rss)

        ask_often()
        before = ask_often()
        after = max(ask_often() for _ in range(2))
    assert after - before < 16 * MEBIBYTE
