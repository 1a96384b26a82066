"""The shipped Envoy with failing replicas and invalid requests: retries and responses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.proxies.envoy import HSTS, Envoy, envoy
from tests.support.proxies.faulty_upstream import (
    REFUSAL,
    RETRY_AFTER,
    Faulty,
    Mood,
    faulty_upstream,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PURE = (
    *("/v1/classify", "/v1/classify?top_k=1", "/v1/classify/batch", "/predict"),
    *("/predictions/a", "/v2/models/a/infer", "/v2/models/a/versions/1/infer"),
    *("/v1/models/a:predict", "/v1/models/a/versions/1:classify", "/v1/models/a/labels/b:predict"),
)
TOKEN = {"authorization": "Bearer whatever"}
ONCE = ("/v1/auth/token", "/v1/auth/revoke", "/v1/auth/introspect", "/anything")


@dataclass
class Three:
    """Envoy in front of three replicas with settable faults."""

    proxy: Envoy
    replicas: list[Faulty]

    def set(self, mood: Mood) -> None:
        for replica in self.replicas:
            replica.mood = mood
            replica.requests.clear()
            replica.heads.clear()

    def requests(self, path: str) -> list[int]:
        """Number of requests per replica."""
        return [replica.requests[path] for replica in self.replicas]


@pytest.fixture(scope="module")
def shared() -> Iterator[Three]:
    with ExitStack() as stack:
        replicas = [stack.enter_context(faulty_upstream()) for _ in range(3)]
        proxy = stack.enter_context(envoy([one.address for one in replicas], patient=True))
        yield Three(proxy, replicas)


@pytest.fixture
def three(shared: Three) -> Iterator[Three]:
    """Reset all faults, and wait until no replica is ejected."""
    shared.set("answer")
    yield shared
    shared.set("answer")
    until_all_serve(shared)


def until_all_serve(three: Three) -> None:
    """Wait until ejected replicas get requests again."""
    deadline = time.monotonic() + 60
    with three.proxy.edge.client(headers=TOKEN) as client:
        while not all(three.requests("/whose-turn")):
            assert time.monotonic() < deadline
            client.get("/whose-turn")


# Retries


@pytest.mark.parametrize("path", PURE)
def test_inference_is_retried_on_other_replicas(three: Three, path: str) -> None:
    three.set("drop")
    three.replicas[0].mood = "answer"
    with three.proxy.edge.client(headers=TOKEN) as client:
        while not any(three.requests(path)[1:]):
            assert client.post(path, content=b"a picture").text == "a picture"


@pytest.mark.parametrize(("path", "megabytes"), [("/v1/classify", 20), ("/v2/models/a/infer", 99)])
def test_large_inference_bodies_are_buffered_for_retries(
    three: Three, path: str, megabytes: int
) -> None:
    three.set("drop")
    three.replicas[0].mood = "answer"
    body = b"\xff" * megabytes * 2**20
    with three.proxy.edge.client(headers=TOKEN) as client:
        while not any(three.requests(path)[1:]):
            assert client.post(path, content=body).content == body


@pytest.mark.parametrize("path", ONCE)
def test_sign_in_is_never_retried(three: Three, path: str) -> None:
    three.set("drop")
    wishes = {"x-envoy-retry-on": "5xx,reset", "x-envoy-max-retries": "3"}
    with three.proxy.edge.client(headers=wishes | TOKEN) as client:
        answer = client.post(path, content=b"a secret")
    assert answer.status_code == 503
    assert sum(three.requests(path)) == 1


def test_busy_replicas_are_each_asked_once(three: Three) -> None:
    three.set("busy")
    with three.proxy.edge.client(headers=TOKEN) as client:
        answer = client.post("/v1/classify", content=b"a picture")
    assert (answer.status_code, answer.content) == (503, REFUSAL)
    assert answer.headers["retry-after"] == str(RETRY_AFTER)
    assert three.requests("/v1/classify") == [1, 1, 1]


def test_rate_limited_request_is_not_retried(three: Three) -> None:
    three.set("limited")
    with three.proxy.edge.client(headers=TOKEN) as client:
        assert client.post("/v1/classify", content=b"a picture").status_code == 429
    assert sum(three.requests("/v1/classify")) == 1


def test_busy_replicas_are_not_ejected(three: Three) -> None:
    three.set("busy")
    with three.proxy.edge.client(headers=TOKEN) as client:
        for _ in range(20):
            client.post("/v1/auth/token")
        three.set("answer")
        for _ in range(30):
            assert client.get("/v1/models").status_code == 200
    assert all(three.requests("/v1/models"))


def test_unauthenticated_upload_is_not_buffered(three: Three) -> None:
    """The proxy forwards the body at once, so that the server can refuse it."""
    path = "/v1/classify?unkept"  # a separate one: the request may end after the test
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".encode()
    with three.proxy.edge.raw() as connection:
        connection.send(head)
        assert wait_until(lambda: sum(one.heads[path] for one in three.replicas) == 1)


# Too large requests, and invalid responses


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 2**16):
        yield b"\xff" * 2**16


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/classify", 27_966_464), ("/v2/models/a/infer", 100 * 2**20)]
)
def test_oversized_body_is_refused_in_json(three: Three, path: str, limit: int) -> None:
    announced = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: a token\r\nContent-Length: {limit + 1}\r\n\r\n"
    with three.proxy.edge.raw() as connection:
        connection.send(announced.encode())
        early = connection.answer()
    with three.proxy.edge.client(headers=TOKEN) as client:
        late = client.post(path, content=chunks(limit + 2**17))
        fits = client.post(path, content=chunks(limit))
    for status, headers, body in (
        (early.status, early.headers, early.body),
        (late.status_code, late.headers, late.content),
    ):
        assert status == 413
        assert HSTS in headers
        told = json.loads(body)
        if path.startswith("/v2"):
            assert told == {"error": "The request is too large."}
        else:
            assert told["code"] == "payload_too_large"
            assert told["request_id"] == headers["x-request-id"]
    assert fits.status_code == 200


@pytest.mark.parametrize(
    ("mood", "status", "code"), [("drop", 503, "not_ready"), ("garbage", 502, "internal_error")]
)
def test_failing_replicas_cause_a_json_refusal(
    three: Three, mood: Mood, status: int, code: str
) -> None:
    three.set(mood)
    with three.proxy.edge.client(headers=TOKEN) as client:
        ours = client.post("/v1/auth/token")
        theirs = client.post("/v2/models/a/infer")
    assert (ours.status_code, ours.json()["code"]) == (status, code)
    assert ours.headers["content-type"] == "application/problem+json"
    assert theirs.headers["content-type"] == "application/json"
    assert theirs.json().keys() == {"error"}
    for answer in (ours, theirs):
        assert HSTS in answer.headers
        assert ("retry-after" in answer.headers) == (answer.status_code == 503)
