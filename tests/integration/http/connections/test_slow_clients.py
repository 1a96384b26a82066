"""Slow, silent and disconnected clients: every connection state has a timeout."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.callers.raw_http import Connection, get, many
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

LIMIT = 2**20
MAX_CONNECTIONS = 250
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = b"GET /static/swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = b"POST /v1/auth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with short time-outs."""
    with serve(
        tmp_path_factory.mktemp("hasty"),
        models=colours,
        POTOO_LIMITS__HEADER_TIMEOUT_SECONDS="1",
        POTOO_LIMITS__BODY_TIMEOUT_SECONDS="1",
        POTOO_LIMITS__KEEP_ALIVE_SECONDS="2",
        POTOO_LIMITS__MAX_BODY_BYTES=str(LIMIT),
        POTOO_LIMITS__MAX_CONNECTIONS=str(MAX_CONNECTIONS),
    ) as live:
        yield live


@pytest.fixture(scope="module", autouse=True)
def waiting(hasty: LiveServer) -> Iterator[dict[str, Connection]]:
    """Idle connections of all kinds, opened together; the tests below check how they end."""
    half = b"64\r\nhalf of it"
    beginnings = {
        "a method": [b"GET"],
        "no empty line": [GET[:-2]],
        "half a body": [upload(hasty, "Content-Length: 1000") + half],
        "half a chunk": [upload(hasty, "Transfer-Encoding: chunked") + half],
        "half a form": [TOKEN + b"Content-Length: 100\r\n\r\ngrant_type=pass"],
        "never reads": [LARGE],
        "pipelines and never reads": [LARGE * 10],
        "sends requests and never reads": [LARGE] * 4,
        "announces a body that is not read": [
            GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")
        ],
    }
    with contextlib.ExitStack() as stack:
        connections = {
            name: stack.enter_context(Connection(hasty.address, receive_buffer=4096))
            for name in beginnings
        }
        for name, requests in beginnings.items():
            for request in requests:
                connections[name].send(request)
                # Another client's response shows that the server has processed it.
                get(hasty.address)
        yield connections


@pytest.fixture(autouse=True)
def _serves_on(hasty: LiveServer) -> Iterator[None]:
    """Check after every test that the process lives and answers the next client."""
    yield
    assert hasty.process.poll() is None
    assert get(hasty.address).status == 200


def metric(server: LiveServer, name: str) -> float:
    """The sum over a metric's series."""
    text = get(server.address, "/metrics").body.decode()
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def descriptors(server: LiveServer) -> int:
    return psutil.Process(server.process.pid).num_fds()


def upload(server: LiveServer, *headers: str) -> bytes:
    """The head of a classify request."""
    lines = (
        *("POST /v1/classify HTTP/1.1", "Host: a", f"Authorization: Bearer {server.token()}"),
        *("Content-Type: image/png", *headers),
    )
    return "\r\n".join((*lines, "", "")).encode()


def test_silent_connections_are_closed(hasty: LiveServer) -> None:
    with many(hasty.address, 50) as connections:
        assert all(not connection.answers() for connection in connections)


def test_slowly_sent_headers_time_out(hasty: LiveServer) -> None:
    with Connection(hasty.address) as connection:
        connection.send(GET[:-2])
        deadline = time.monotonic() + 20
        connection.socket.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() < deadline:
            connection.send(b"a")
            try:
                answer = connection.socket.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "what",
    [
        "a method",
        "no empty line",
        "half a body",
        "half a chunk",
        "half a form",
    ],
)
def test_incomplete_request_times_out(waiting: dict[str, Connection], what: str) -> None:
    waiting[what].socket.settimeout(5)
    answer = waiting[what].answer()
    assert (answer.status, answer.problem["code"]) == (408, "upload_timeout")
    assert answer.headers["connection"] == "close"
    assert waiting[what].answers() == []


def test_connection_is_reused_and_closed_when_idle(hasty: LiveServer) -> None:
    with Connection(hasty.address) as connection:
        for _ in range(3):
            connection.send(GET)
            assert connection.answer().status == 200
        assert connection.answers() == []


def test_an_upload_waits_for_100_continue(hasty: LiveServer) -> None:
    picture = plain()
    head = upload(hasty, f"Content-Length: {len(picture)}", "Expect: 100-continue")
    with Connection(hasty.address) as connection:
        connection.socket.settimeout(5)
        connection.send(head)
        assert connection.answer().status == 100
        connection.send(picture)
        assert connection.answer().status == 200


def test_upload_announcing_too_much_is_refused_before_the_body(hasty: LiveServer) -> None:
    head = upload(hasty, f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
    with Connection(hasty.address) as connection:
        connection.send(head)
        answer = connection.answer()
    assert (answer.status, answer.problem["code"]) == (413, "payload_too_large")


def test_chunked_upload_is_aborted_at_the_limit(hasty: LiveServer) -> None:
    before = metric(hasty, "potoo_http_request_body_bytes_total")
    with Connection(hasty.address) as connection:
        connection.send(upload(hasty, "Transfer-Encoding: chunked"))
        for _ in range(64):
            connection.send(b"10000\r\n" + bytes(2**16) + b"\r\n")
        answer = connection.answer()
    assert (answer.status, answer.problem["code"]) == (413, "payload_too_large")
    assert metric(hasty, "potoo_http_request_body_bytes_total") - before <= 2 * LIMIT


def test_hundred_thousand_one_byte_chunks_are_read(hasty: LiveServer) -> None:
    picture = plain(size=(300, 200), format="BMP")[:100_000]
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in picture)
    with Connection(hasty.address) as connection:
        connection.send(upload(hasty, "Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
        assert connection.answer().problem["code"] == "invalid_image"


def test_connections_above_the_limit_are_refused_with_retry_after(hasty: LiveServer) -> None:
    with many(hasty.address, MAX_CONNECTIONS):
        with Connection(hasty.address) as connection:
            (answer,) = connection.answers()
        assert (answer.status, answer.problem["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
    with Connection(hasty.address) as connection:
        assert wait_until(lambda: get(hasty.address).status == 200)
        connection.send(GET)


def test_vanished_clients_leak_no_connections_or_requests(hasty: LiveServer) -> None:
    leavers = {
        "silent": b"",
        "in the headers": GET[:20],
        "in the body": upload(hasty, "Content-Length: 100000") + b"a",
        "before the answer": upload(hasty, f"Content-Length: {len(plain())}") + plain(),
        "during the answer": LARGE,
        "between pipelined answers": LARGE * 5,
    }
    busy, before = metric(hasty, "potoo_http_requests_in_flight"), descriptors(hasty)
    for _ in range(200 // len(leavers) + 1):
        for beginning in leavers.values():
            with Connection(hasty.address, receive_buffer=4096) as connection:
                connection.send(beginning)
                connection.reset()
    assert wait_until(lambda: descriptors(hasty) <= before + 4)
    assert wait_until(lambda: metric(hasty, "potoo_http_requests_in_flight") <= busy)


def test_vanished_clients_cause_no_error_log(hasty: LiveServer) -> None:
    with Connection(hasty.address, receive_buffer=4096) as connection:
        connection.send(LARGE * 5)
        connection.answer()
        connection.reset()
    last = Connection(hasty.address)
    last.send(GET)
    assert last.answer().status == 200
    last.socket.close()
    assert "Traceback" not in hasty.events()


@pytest.mark.parametrize(
    "who",
    [
        "never reads",
        "pipelines and never reads",
        "sends requests and never reads",
        "announces a body that is not read",
    ],
)
def test_stuck_client_is_disconnected(
    hasty: LiveServer, waiting: dict[str, Connection], who: str
) -> None:
    port = waiting[who].socket.getsockname()[1]
    process = psutil.Process(hasty.process.pid)

    def is_gone() -> bool:
        open_ones = (peer for peer in process.net_connections() if peer.status != "LISTEN")
        return port not in {peer.raddr.port for peer in open_ones}

    patience = max(1, waiting[who].opened + 25 - time.monotonic())
    assert wait_until(is_gone, patience=patience, pause=0.2)
