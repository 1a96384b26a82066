"""Clients that send FIN after their request still read: they are answered (RFC 9293, 3.6)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.callers.raw_http import Answer, Connection, get
from tests.support.models.hostile_files import black_png
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(autouse=True)
def _serves_on(server: LiveServer) -> Iterator[None]:
    """Check after every test that the next client is answered and no fault was logged."""
    yield
    assert get(server.address).status == 200
    assert '"level":"error"' not in server.events()


def classify(server: LiveServer, picture: bytes) -> bytes:
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        f"Authorization: Bearer {server.token()}\r\nContent-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode() + picture


def answers_after_fin(server: LiveServer, message: bytes) -> list[Answer]:
    with Connection(server.address) as client:
        # The end travels with the message: the server has seen it when it answers.
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        client.send(message)
        client.half_close()
        return client.answers()


def test_half_closed_client_is_answered(server: LiveServer) -> None:
    message = classify(server, plain())
    for _ in range(20):
        answers = answers_after_fin(server, message)
        assert [answer.status for answer in answers if answer.status != 100] == [200]
        assert answers[-1].headers["connection"] == "close"


@pytest.mark.parametrize(
    ("message", "statuses"),
    [
        (GET + b"\r\n", [200]),
        (GET.replace(b"1.1", b"1.0") + b"\r\n", [200]),
        ((GET + b"\r\n") * 5, [200] * 5),
        # The rest of a request never arrives; complete requests are answered.
        (GET + b"\r\n" + GET, [200]),
        (GET + b"\r\n" + b"GE", [200]),
        (GET, []),
        (b"", []),
        (b"nonsense\r\n\r\n", [400]),
    ],
)
def test_every_whole_request_is_answered(
    server: LiveServer, message: bytes, statuses: list[int]
) -> None:
    assert [answer.status for answer in answers_after_fin(server, message)] == statuses


def test_body_cut_off_by_fin_is_not_answered(server: LiveServer) -> None:
    message = classify(server, plain())
    assert answers_after_fin(server, message[:-1]) == []


def test_idle_connection_ends_with_its_client(server: LiveServer) -> None:
    with Connection(server.address) as client:
        client.send(GET + b"\r\n")
        assert client.answer().status == 200
        client.half_close()
        assert client.answers() == []


def test_slow_answer_comes_after_interim_responses(colours: Path, tmp_path: Path) -> None:
    with serve(tmp_path, models=colours, POTOO_INFERENCE__WORKERS="1") as live:
        message = classify(live, black_png(3500))
        crowd = [Connection(live.address) for _ in range(12)]
        for one in crowd:
            one.send(message)
            one.half_close()
        for one in crowd:
            *interim, answer = one.answers()
            assert answer.status == 200
            assert {early.status for early in interim} <= {100}
            one.close()
