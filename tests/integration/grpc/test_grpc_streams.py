"""``ModelStreamInfer``: order, errors of single requests, and the end of a stream."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import grpc
import httpx
import numpy as np
import pytest

from schemas.pb import open_inference_pb2 as pb
from service.transport.grpc.streaming import IN_FLIGHT
from tests.support.callers.accounts import add_device, bearer
from tests.support.callers.raw_http import get
from tests.support.callers.rpc import Client, connected, files, output_of, refused, tensor
from tests.support.callers.tensors import images
from tests.support.models.hostile_files import black_png
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, "infer") as client:
        yield client


def numbered(count: int) -> list[pb.ModelInferRequest]:
    """Requests with distinguishable results."""
    return [
        tensor(np.full((1, 3, SIDE, SIDE), number / count, np.float32), id=str(number))
        for number in range(count)
    ]


def test_stream_answers_keep_the_request_order(rpc: Client) -> None:
    count = 5 * IN_FLIGHT
    answers = list(rpc.stream("ModelStreamInfer", numbered(count)))
    assert [one.infer_response.id for one in answers] == [str(number) for number in range(count)]
    for number, one in enumerate(answers):
        assert not one.error_message
        assert np.allclose(output_of(one.infer_response), 10 * number / count, atol=1e-5)


def test_slow_stream_request_keeps_the_order(rpc: Client) -> None:
    big = files(plain(size=(1500, 1500)), id="slow")
    answers = list(rpc.stream("ModelStreamInfer", [big, *numbered(3)]))
    assert [one.infer_response.id for one in answers] == ["slow", "0", "1", "2"]


def test_bad_stream_request_is_answered_and_the_stream_continues(rpc: Client) -> None:
    bad = tensor(images(1), id="bad")
    bad.inputs[0].name = "pixels"
    gone = tensor(images(1), id="gone")
    gone.model_name = "nope"
    good = tensor(images(1), id="good")
    requests = [good, bad, b"\xff", gone, b"\x2a\x00" * 10_000, good]
    answers = list(rpc.stream("ModelStreamInfer", requests))
    told = [
        (one.infer_response.id, one.infer_response.parameters["error-code"].string_param)
        for one in answers
    ]
    assert told == [
        ("good", ""),
        ("bad", "invalid_tensor"),
        ("", "invalid_request"),
        ("gone", "model_not_found"),
        ("", "invalid_request"),
        ("good", ""),
    ]
    for one in answers:
        assert bool(one.error_message) == (not one.infer_response.raw_output_contents)


def test_stream_can_be_used_repeatedly(rpc: Client) -> None:
    go_on = threading.Semaphore(1)

    def requests() -> Iterator[pb.ModelInferRequest]:
        for one in numbered(4):
            go_on.acquire()
            yield one

    seen = []
    for answer in rpc.stream("ModelStreamInfer", requests()):
        seen.append(answer.infer_response.id)
        go_on.release()
    assert seen == ["0", "1", "2", "3"]


def test_stream_is_read_only_while_its_answers_are_taken(rpc: Client, server: LiveServer) -> None:
    """The server stops reading from a client that does not read responses."""
    sent = 0
    one = tensor(images(1))

    def endless() -> Iterator[pb.ModelInferRequest]:
        nonlocal sent
        while not is_over.is_set():
            sent += 1
            one.id = f"{sent:04000}"  # returned, so that few answers fill the client's window
            yield one

    def is_at_rest() -> bool:
        """Whether nothing is read while other calls are answered."""
        before = sent
        for _ in range(50):
            rpc.ask("ModelInfer", tensor(images(1)))
        return sent == before

    is_over = threading.Event()
    window = {"http2.bdp_probe": 0, "http2.lookahead_bytes": 2**16}
    with connected(server, "infer", **window) as client:
        call = client.stream("ModelStreamInfer", endless())
        taken = [int(next(call).infer_response.id) for _ in range(3)]
        assert wait_until(is_at_rest)
        stopped_at = sent
        while sent == stopped_at:
            taken.append(int(next(call).infer_response.id))
        call.cancel()
        is_over.set()
    assert taken == list(range(1, len(taken) + 1))


def test_final_response_is_marked_on_request(rpc: Client) -> None:
    asked = tensor(images(1))
    asked.parameters["triton_enable_empty_final_response"].bool_param = True
    (answer,) = rpc.stream("ModelStreamInfer", [asked])
    assert answer.infer_response.parameters["triton_final_response"].bool_param
    (answer,) = rpc.stream("ModelStreamInfer", [tensor(images(1))])
    assert not answer.infer_response.parameters


def test_stream_without_requests_ends_normally(rpc: Client) -> None:
    assert not list(rpc.stream("ModelStreamInfer", []))


def counted(server: LiveServer, metric: str) -> float:
    text = get(server.address, "/metrics").body.decode()
    return sum(map(float, re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def test_cancelled_stream_drops_its_queued_work(rpc: Client, server: LiveServer) -> None:
    rows = 24
    slow = files(*[black_png(1200)] * rows)
    before = counted(server, "potoo_predictions_total")
    call = rpc.stream("ModelStreamInfer", [slow] * IN_FLIGHT)
    assert wait_until(lambda: counted(server, "potoo_queue_depth") > rows * IN_FLIGHT * 3 / 4)
    call.cancel()
    assert wait_until(lambda: counted(server, "potoo_queue_depth") == 0)
    assert counted(server, "potoo_predictions_total") - before < rows * IN_FLIGHT / 2
    assert len(list(rpc.stream("ModelStreamInfer", numbered(2)))) == 2
    assert "unexpected error" not in server.events()


def test_revoked_token_ends_the_stream(server: LiveServer) -> None:
    token = add_device(server, scopes=["infer"]).sign_in()["access_token"]
    go_on = threading.Semaphore(1)

    def requests() -> Iterator[pb.ModelInferRequest]:
        for one in numbered(3):
            go_on.acquire()
            yield one

    with connected(server, None) as nobody:
        answers = Client(nobody.channel, token).stream("ModelStreamInfer", requests())
        assert next(answers).infer_response.id == "0"
        revoked = httpx.post(
            f"{server.url}/v1/auth/revoke", data={"token": token}, headers=bearer(token)
        )
        assert revoked.status_code == 200
        go_on.release()
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
        assert refused(caught.value) == ("UNAUTHENTICATED", "unauthenticated")
        go_on.release()
