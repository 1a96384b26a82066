"""Requests are refused before the image is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.callers.raw_http import PATIENCE, Answer, Connection
from tests.support.models.hostile_files import black_png
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.drop_in import ALL_ON, SCOPES
from tests.support.servers.server import LiveServer, serve

SIDE = 6000
BRIEF = 0.3
PATHS = (
    *("/v1/classify", "/predict", "/predictions/colours", "/predictions/colours/1"),
    *("/v1/models/colours:predict", "/v1/models/colours:classify"),
    *("/v1/classify?version=1", "/v2/models/colours/infer"),
)


def test_full_queue_is_refused_before_the_image_is_sent(colours: Path, tmp_path: Path) -> None:
    settings = {"POTOO_INFERENCE__QUEUE_CAPACITY": "1", **ALL_ON}
    with serve(tmp_path, models=colours, arguments=(), **settings) as live:
        with _kept_busy(live):
            answers = [_refused(live.address, _head(path, live.token(SCOPES))) for path in PATHS]
        assert answers[0].problem["code"] == "overloaded"
        for answer in answers:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1


def test_versions_have_separate_queues(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for version in (1, 2):
        write_model(models, None, version=version)
    (models / "colours" / "serving.json").write_text('{"load": [1]}')
    with (
        serve(tmp_path, models=models, POTOO_INFERENCE__QUEUE_CAPACITY="1") as live,
        live.client() as client,
    ):
        with _kept_busy(live):
            _refused(live.address, _head("/v1/classify", live.token(SCOPES)))
            answer = client.post("/v1/classify?version=1", files={"file": plain()})
        assert answer.json()["model"] == {"name": "colours", "version": 1}


@contextmanager
def _kept_busy(live: LiveServer) -> Iterator[None]:
    """Send pictures that take the default model long, one after the other."""
    is_over = threading.Event()
    slow = black_png(SIDE)

    def keep_busy() -> None:
        with live.client() as client:
            while not is_over.is_set():
                client.post("/v1/classify", content=slow, headers={"content-type": "image/png"})

    holder = threading.Thread(target=keep_busy)
    holder.start()
    try:
        yield
    finally:
        is_over.set()
        holder.join()


def _head(path: str, token: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 50000\r\n\r\n"
    ).encode()


def _refused(address: tuple[str, int], head: bytes) -> Answer:
    """The response to a request of which only the headers are sent, once there is one."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with Connection(address) as connection:
            connection.socket.settimeout(BRIEF)
            connection.send(head)
            try:
                return connection.answer()
            except TimeoutError:
                continue  # it was admitted between two of the others, and waits for the image
    pytest.fail("nobody was refused")


def test_connection_is_usable_after_an_early_refusal(server: LiveServer) -> None:
    with Connection(server.address) as connection:
        connection.send(_head("/v1/classify?model=no-such", server.token()))
        assert connection.answer().status == 404, "before the image"
        connection.send(bytes(50_000) + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer().status == 200, "on the same connection"
