"""The shipped Envoy disconnects slow clients, but neither ends nor buffers streams.

All cases run at the same time, since each takes long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from grpc_health.v1 import health_pb2
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.support.callers.raw_http import Connection
from tests.support.callers.rpc import files, output_of
from tests.support.models.pictures import RED, plain
from tests.support.proxies.envoy import HSTS, Envoy, envoy
from tests.support.proxies.faulty_upstream import Faulty, faulty_upstream
from tests.support.proxies.tls import drip
from tests.support.proxies.upstreams import Recorder, recorder
from tests.support.servers.databases import free_port
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.slow

IDLE_SECONDS = 20
"""``stream_idle_timeout``: the longest silence of requests that are no streams."""
PATIENCE = 3 * IDLE_SECONDS
HEADERS = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: a"
BODY = (
    b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nAuthorization: a token\r\n"
    b"Content-Length: 1000\r\n\r\nthe beginning"
)
Cut = tuple[float, bytes]
"""Seconds from the beginning, and Envoy's response."""


@dataclass
class Slow:
    """The outcome of every case."""

    headers: Future[Cut]
    body: Future[Cut]
    answer: Future[httpx.Response]
    events: Future[list[bytes]]
    watch: Future[bool]
    infer: Future[int]
    websocket: Future[list[str | bytes]]


@pytest.fixture(scope="module")
def slow(server: LiveServer) -> Iterator[Slow]:
    host, _, port = server.grpc.rpartition(":")
    with ExitStack() as stack:
        silent, events = stack.enter_context(faulty_upstream()), stack.enter_context(recorder())
        of_events, echo = events.address.split(":"), stack.enter_context(Echo())
        potoo = stack.enter_context(envoy([server.address], [(host, int(port))]))
        of_silent = stack.enter_context(envoy([silent.address], patient=True))
        of_echo = stack.enter_context(envoy([echo], patient=True))
        edge_of_events = stack.enter_context(
            envoy([(of_events[0], int(of_events[1]))], patient=True)
        )
        threads = stack.enter_context(ThreadPoolExecutor(7))
        # Streams are silent until an equally silent sender was disconnected, and then continue.
        body = threads.submit(cut, potoo, BODY, silence)
        token = server.token("infer")
        yield Slow(
            threads.submit(cut, potoo, HEADERS, drip),
            body,
            threads.submit(ask, of_silent, silent),
            threads.submit(read_events, edge_of_events, events, body),
            threads.submit(watch, potoo, body),
            threads.submit(infer, potoo, token, body),
            threads.submit(talk, of_echo, body),
        )
        silent.over.set()


def cut(proxy: Envoy, beginning: bytes, go_on: Callable[[Connection, bytes], Cut]) -> Cut:
    with proxy.edge.raw() as connection:
        return go_on(connection, beginning)


def silence(connection: Connection, beginning: bytes) -> Cut:
    """Send the beginning of a request and then nothing."""
    began = time.monotonic()
    connection.socket.settimeout(PATIENCE)
    connection.send(beginning)
    said = connection.socket.recv(2**16)
    return time.monotonic() - began, said


def ask(proxy: Envoy, silent: Faulty) -> httpx.Response:
    silent.mood = "silent"
    with proxy.edge.client(timeout=PATIENCE) as client:
        return client.post("/v1/auth/token")


def read_events(proxy: Envoy, events: Recorder, until: Future[Cut]) -> list[bytes]:
    accepts = {"accept": "text/event-stream"}
    with (
        proxy.edge.client(timeout=PATIENCE) as client,
        client.stream("GET", "/events", headers=accepts) as stream,
    ):
        parts = stream.iter_raw()
        events.more.release()
        first = next(parts)
        until.result()
        events.more.release()
        return [first, next(parts)]


def watch(proxy: Envoy, until: Future[Cut]) -> bool:
    with proxy.edge.channel() as channel:
        health = [health_pb2.HealthCheckRequest()]
        watching = proxy.edge.rpc(channel).stream("Watch", health, timeout=PATIENCE)
        next(watching)
        until.result()
        return bool(watching.is_active())


def infer(proxy: Envoy, token: str, until: Future[Cut]) -> int:
    def pictures() -> Iterator[object]:
        yield files(plain(RED))
        until.result()
        yield files(plain(RED))

    with proxy.edge.channel() as channel:
        answers = proxy.edge.rpc(channel, token).stream("ModelStreamInfer", pictures(), PATIENCE)
        return sum(int(output_of(one.infer_response).argmax() == 0) for one in answers)


def talk(proxy: Envoy, until: Future[Cut]) -> list[str | bytes]:
    with proxy.edge.websocket("/v1/stream", ping_interval=None) as opened:
        opened.send("first")
        heard = [opened.recv(PATIENCE)]
        until.result()
        opened.send(b"second")
        return [*heard, opened.recv(PATIENCE)]


class Echo(ExitStack):
    """A WebSocket echo server that passes health checks."""

    def __enter__(self) -> tuple[str, int]:  # type: ignore[override]
        super().__enter__()
        address = "127.0.0.1", free_port()
        running = self.enter_context(serve(_echo, *address, process_request=_probed))
        self.enter_context(ThreadPoolExecutor(1)).submit(running.serve_forever)
        self.callback(running.shutdown)
        return address


def _probed(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(200, "ready") if request.path == "/readyz" else None


def _echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def test_slowly_sent_headers_are_cut_off(slow: Slow) -> None:
    seconds, said = slow.headers.result()
    assert seconds < PATIENCE, "far from the two minutes that all of a request may take"
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"strict-transport-security" in said


def test_stalled_body_times_out(slow: Slow) -> None:
    seconds, said = slow.body.result()
    assert seconds >= IDLE_SECONDS - 1
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_timeout"' in said


def test_silent_replica_causes_a_json_timeout(slow: Slow) -> None:
    answer = slow.answer.result()
    assert answer.status_code == 504
    assert answer.json()["code"] == "deadline_exceeded"
    assert HSTS in answer.headers


def test_events_are_neither_buffered_nor_cut_off(slow: Slow) -> None:
    assert slow.events.result() == [b"data: 0\n\n", b"data: 1\n\n"]


def test_health_watch_is_not_cut_off(slow: Slow) -> None:
    assert slow.watch.result()


def test_paused_inference_stream_is_not_cut_off(slow: Slow) -> None:
    assert slow.infer.result() == 2


def test_silent_websocket_is_not_cut_off(slow: Slow) -> None:
    assert slow.websocket.result() == ["first", b"second"]
