"""Overload: every request gets a response, and the server recovers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import add_device, add_person
from tests.support.callers.answers import problem_of
from tests.support.callers.raw_http import Connection, many
from tests.support.models.hostile_files import webp
from tests.support.models.pictures import RED, encoded, gradient, noise, plain
from tests.support.servers.server import LiveServer, serve

pytestmark = pytest.mark.alone

CROWD = 48


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with small limits."""
    with serve(
        tmp_path_factory.mktemp("small"),
        models=colours,
        POTOO_INFERENCE__QUEUE_CAPACITY="4",
        POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT=str(2**21),
        POTOO_LIMITS__MAX_BODY_BYTES=str(2**21),
    ) as live:
        live.token()  # once, before many clients need it
        yield live


def test_full_queue_is_refused_and_every_call_answered(small: LiveServer) -> None:
    picture = encoded(noise((500, 400)), "JPEG")

    def ask(_: int) -> list[httpx.Response]:
        with small.client() as client:
            return [client.post("/v1/classify", files={"file": picture}) for _ in range(4)]

    with ThreadPoolExecutor(CROWD) as crowd:
        answers = [answer for several in crowd.map(ask, range(CROWD)) for answer in several]
    counted = Counter(answer.status_code for answer in answers)
    assert set(counted) == {200, 503}
    assert counted.total() == 4 * CROWD
    for answer in answers:
        if answer.status_code == 503:
            assert problem_of(answer)["code"] == "overloaded"
    with small.client() as client:
        assert client.post("/v1/classify", files={"file": picture}).status_code == 200


def test_batch_larger_than_the_queue_answers_every_file(small: LiveServer) -> None:
    with small.client() as client:
        files = [("files", plain()) for _ in range(32)]
        results = client.post("/v1/classify/batch", files=files).json()["results"]
    codes = {result["problem"]["code"] for result in results if result.get("problem")}
    assert len(results) == 32
    assert codes <= {"overloaded"}


def test_valid_requests_succeed_between_invalid_ones(small: LiveServer) -> None:
    garbage = [b"text", plain()[:60], webp(16_383, 16_383), b""]

    def ask(number: int) -> tuple[int, str]:
        with small.client() as client:
            if number % 4 == 0:
                file = garbage[number // 4 % len(garbage)]
                return client.post("/v1/classify", files={"file": file}).status_code, ""
            answer = client.post("/v1/classify", files={"file": plain()})
            label = answer.json()["predictions"][0]["label"] if answer.is_success else ""
            return answer.status_code, label

    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(ask, range(100)))
    assert Counter(label for status, label in answers if status == 200) == {"red": 75}
    assert {status for status, _ in answers} == {200, 413, 415, 422}


def test_uploads_above_the_memory_budget_are_refused(small: LiveServer) -> None:
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        f"Authorization: Bearer {small.token()}\r\nContent-Length: {2**21}\r\n\r\n"
    ).encode()
    with many(small.address, 2) as holders:
        for holder in holders:
            holder.send(head + bytes(2**20 - 4096))
        with Connection(small.address) as late:
            late.send(head + bytes(2**21))
            answer = late.answer()
        assert (answer.status, answer.problem["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
    with small.client() as client:
        assert client.post("/v1/classify", files={"file": plain()}).status_code == 200


def test_announced_upload_reserves_no_memory(small: LiveServer) -> None:
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        f"Authorization: Bearer {small.token()}\r\nContent-Length: {2**21}\r\n\r\n"
    )
    with Connection(small.address) as idle, small.client() as client:
        idle.send(head.encode())
        client.get("/v1/models")  # its response shows that the server has received the headers
        assert client.post("/v1/classify", files={"file": plain()}).status_code == 200


def test_busy_caller_does_not_starve_another(server: LiveServer) -> None:
    """A caller with one photo at a time, beside a camera with thirty waiting ones."""
    camera, person = add_device(server).sign_in(), add_person(server).sign_in()
    picture = encoded(gradient((1600, 1200)))
    is_over = threading.Event()

    def shoot(_: int) -> int:
        shots = 0
        with as_caller(server, camera) as client:
            while not is_over.is_set():
                shots += client.post("/v1/classify", files={"file": picture}).status_code == 200
        return shots

    with ThreadPoolExecutor(30) as crowd:
        shooting = crowd.map(shoot, range(30))
        with as_caller(server, person) as client:
            waits = [
                client.post("/v1/classify", files={"file": plain(RED)}).json()["timing"]["queue_ms"]
                for _ in range(30)
            ]
        is_over.set()
        shots = sum(shooting)
    assert shots > 0
    with as_caller(server, camera) as client:
        took = client.post("/v1/classify", files={"file": picture}).json()["timing"]["total_ms"]
    # In order of arrival it would wait for the thirty before it.
    assert sorted(waits)[15] < 10 * took


def test_late_requests_are_refused_with_the_expected_wait(server: LiveServer) -> None:
    picture = encoded(gradient((2400, 1800)))

    # Use one client: creating many takes longer than their requests.
    with server.client() as client, ThreadPoolExecutor(CROWD) as crowd:
        answers = list(
            crowd.map(
                lambda _: client.post(
                    "/v1/classify", params={"timeout_ms": 400}, files={"file": picture}
                ),
                range(3 * CROWD),
            )
        )
    assert {answer.status_code for answer in answers} <= {200, 503, 504}
    refused = [problem_of(answer) for answer in answers if answer.status_code == 503]
    assert refused, "so many cannot be done in that time"
    for problem in refused:
        assert problem["code"] == "overloaded"
        assert problem["expected_wait_ms"] > 0


@pytest.mark.parametrize("priority", ["interactive", "normal", "bulk"])
def test_valid_priority_is_accepted(client: httpx.Client, priority: str) -> None:
    answer = client.post("/v1/classify", params={"priority": priority}, files={"file": plain(RED)})
    assert answer.json()["predictions"][0]["label"] == "red"


def test_unknown_priority_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/classify?priority=urgent", files={"file": plain(RED)})
    assert problem_of(answer)["errors"][0]["pointer"] == "/query/priority"


def as_caller(server: LiveServer, signed_in: dict[str, Any]) -> httpx.Client:
    headers = {"authorization": f"Bearer {signed_in['access_token']}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=30)
