"""Limits of streams: size, fragments, credits, rates, time, readers that do not read, restart."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from service.transport.http.server.websocket import MOST_FRAGMENTS
from tests.support.callers.accounts import add_device
from tests.support.callers.streams import PATIENCE, Stream, connected, opened, refusal
from tests.support.models.pictures import encoded, noise, plain
from tests.support.processes.environment import clean_environment
from tests.support.servers.memory import Watch
from tests.support.servers.server import STOP_SECONDS, LiveServer, serve
from tests.support.waiting import wait_until

LIMIT = 2**20
IDLE = 3
MOST = 4
"""Streams of an account."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with low limits."""
    with serve(
        tmp_path_factory.mktemp("strict"),
        models=colours,
        POTOO_LIMITS__MAX_BODY_BYTES=str(LIMIT),
        POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT=str(2 * LIMIT),
        POTOO_LIMITS__STREAM_IDLE_SECONDS=str(IDLE),
        POTOO_LIMITS__STREAM_FRAMES_PER_SECOND="20",
        POTOO_LIMITS__STREAMS_PER_PRINCIPAL=str(MOST),
        POTOO_AUTH__CLOCK_SKEW_SECONDS="0",
    ) as live:
        yield live


def metric(server: LiveServer, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.removeprefix(name))


def streams_open(server: LiveServer) -> float:
    return metric(server, "potoo_streams_in_flight")


def test_streams_of_an_account_are_limited(strict: LiveServer) -> None:
    refused = 'potoo_rejections_total{reason="streams"}'
    token, before = strict.token("stream"), metric(strict, refused)
    assert wait_until(lambda: streams_open(strict) == 0)
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(strict)) for _ in range(MOST)]
        assert refusal(strict, token) == (429, "rate_limited")
        with connected(strict) as late:
            late.say("hello", token=token)
            assert late.hear("error")["problem"]["code"] == "rate_limited"
            assert late.closed() == (4429, "rate_limited")
        assert metric(strict, refused) == before + 2
        other = add_device(strict, scopes=["stream"]).sign_in()["access_token"]
        with connected(strict, other) as stream:
            stream.hello(token=other)  # the same account again is no second stream
        streams[0].websocket.close()
        assert wait_until(lambda: streams_open(strict) == MOST - 1)
        with connected(strict) as stream:
            stream.hello(token=token)
            assert refusal(strict, token)[0] == 429
    assert wait_until(lambda: streams_open(strict) == 0)


def test_streams_of_events_of_an_account_are_limited(strict: LiveServer) -> None:
    camera = {"name": "door", "url": "http://127.0.0.1:9/a.jpg"}
    accept, events = {"accept": "text/event-stream"}, "/v1/cameras/door/events"
    refused = 'potoo_rejections_total{reason="streams"}'
    before = metric(strict, refused)
    with strict.client("cameras") as client:
        client.post("/v1/cameras", json=camera).raise_for_status()

        def is_let_in() -> bool:
            with client.stream("GET", events, headers=accept) as stream:
                return stream.status_code == 200

        with ExitStack() as stack:
            for _ in range(MOST):
                stream = stack.enter_context(client.stream("GET", events, headers=accept))
                assert stream.status_code == 200
            answer = client.get(events, headers=accept)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert answer.headers["retry-after"]
            assert metric(strict, refused) == before + 1
            assert client.get(events).status_code == 200, "the kept events are no stream"
            assert client.head(events, headers=accept).status_code == 200
        # Those that left have given their places back.
        assert wait_until(is_let_in)
        client.delete("/v1/cameras/door").raise_for_status()


def test_refused_hello_frees_its_place(strict: LiveServer) -> None:
    for _ in range(MOST + 1):
        with connected(strict, strict.token("stream")) as stream:
            stream.say("hello", options={"model": "none"})
            assert stream.closed()[0] == 4404
        assert wait_until(lambda: streams_open(strict) == 0)


def test_oversized_frame_ends_the_stream(strict: LiveServer) -> None:
    with opened(strict) as stream:
        stream.send_frame(1, bytes(LIMIT))
        assert stream.hear("error")["problem"]["code"] == "unsupported_image"
        stream.send_frame(2, bytes(LIMIT + 1))
        assert stream.closed()[0] == 1009


def test_message_in_too_many_fragments_ends_the_stream(strict: LiveServer) -> None:
    with opened(strict) as stream:
        with suppress(ConnectionClosed):
            stream.websocket.send(iter([b"x"] * (MOST_FRAGMENTS + 1)))
        assert stream.closed()[0] == 1008


def half_a_frame(size: int) -> bytes:
    """A masked binary message of ``size`` zeros without its last hundred."""
    return b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + bytes(size - 100)


def test_unfinished_messages_are_charged_to_the_budget(strict: LiveServer) -> None:
    """Three clients that each owe the end of a large message are more than the server holds."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(strict)).websocket for _ in range(3)]
        for websocket in sockets:
            websocket.socket.sendall(half_a_frame(LIMIT))
        assert wait_until(lambda: any(one.close_code for one in sockets))
        assert {one.close_code for one in sockets if one.close_code} == {1013}
    assert wait_until(lambda: streams_open(strict) == 0)
    with opened(strict) as stream:
        stream.send_frame(1, plain())
        stream.hear("result")


def test_flood_of_frames_without_credit_ends_the_stream(server: LiveServer) -> None:
    slow = encoded(noise((700, 700)))
    with opened(server) as stream:
        with suppress(ConnectionClosed):
            for number in range(100):
                stream.send_frame(number, slow)
        assert stream.closed() == (4420, "no credit left")


def test_frames_above_the_rate_are_refused(strict: LiveServer) -> None:
    with opened(strict) as stream, opened(strict) as other:
        answers = []
        for number in range(40):
            one = (stream, other)[number % 2]
            one.send_frame(number, b"bad")
            answers.append(one.hear("error"))
        refused = [one for one in answers if one["problem"]["code"] == "rate_limited"]
        assert refused, "both streams of the account have one rate"
        assert all(one["retry_after"] == 1 and one["credits"] == 1 for one in refused)


def test_frame_counts_as_a_call(tmp_path: Path, colours: Path) -> None:
    rate = {"POTOO_AUTH__RATE_PER_PRINCIPAL": "3/hour"}
    # The handshake is the first call.
    with serve(tmp_path, models=colours, arguments=(), **rate) as live, opened(live) as stream:
        for number in range(3):
            stream.send_frame(number, plain())
        codes = [stream.hear().get("problem", {}).get("code") for _ in range(3)]
    assert codes == [None, None, "rate_limited"]


def is_closed_within(stream: Stream, seconds: float) -> bool:
    """Read for so long; return whether the server has closed the stream."""
    ends_at = time.monotonic() + seconds
    try:
        while (left := ends_at - time.monotonic()) > 0:
            assert json.loads(stream.websocket.recv(left))["type"] == "pong"
    except TimeoutError:
        return False
    except ConnectionClosed:
        return True
    return False


def test_idle_stream_is_closed_and_pings_keep_it(strict: LiveServer) -> None:
    with opened(strict) as idle, opened(strict) as alive:
        while not is_closed_within(idle, IDLE / 4):
            alive.say("ping")
            alive.hear("pong")
        assert idle.closed() == (4408, "idle")
        alive.say("ping")
        alive.hear("pong")


def test_token_that_expires_ends_the_stream(strict: LiveServer) -> None:
    command = [sys.executable, "-m", "service", "token", "--user", "admin", "--scope", "stream"]
    token = subprocess.run(
        [*command, "--ttl", "8s", "--data-dir", str(strict.data_dir)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with connected(strict, token) as stream:
        assert 0 < stream.hello()["expires_in"] <= 8
        while not is_closed_within(stream, IDLE / 4):
            with suppress(ConnectionClosed):
                stream.say("ping")
        assert stream.closed() == (4410, "token expired")


def test_reader_that_does_not_read_is_dropped(server: LiveServer) -> None:
    watch = Watch(server)
    with connected(server, server.token("stream"), max_queue=1) as stream:
        stream.hello()
        end = threading.Timer(PATIENCE, stream.websocket.socket.shutdown, [socket.SHUT_RDWR])
        end.start()

        def flood() -> None:
            with suppress(ConnectionClosed):
                while True:
                    stream.say("ping", id="a" * 30_000)

        assert watch.peak_during(flood) < 100, "it holds no more than buffers"
        assert end.is_alive(), "the server ends it"
        end.cancel()
    assert wait_until(lambda: streams_open(server) == 0)


@pytest.mark.slow
def test_pings_without_a_reader_do_not_fill_the_memory(server: LiveServer) -> None:
    watch = Watch(server)
    ping = b"\x89\xfd" + bytes(4) + bytes(125)
    with connected(server, server.token("stream"), max_queue=1) as stream:
        stream.hello()
        for _ in range(100):
            stream.say("ping", id="a" * 30_000)  # what comes back fills the buffers between

        def flood() -> None:
            with suppress(OSError):
                while True:
                    stream.websocket.socket.sendall(ping * 1000)

        assert watch.peak_during(flood) < 30


@pytest.mark.parametrize("frame", [b"\x81\x80", b"\x82\x80"], ids=["text", "binary"])
def test_burst_of_empty_messages_ends_the_stream(server: LiveServer, frame: bytes) -> None:
    with opened(server) as stream:
        with suppress(OSError):
            stream.websocket.socket.sendall((frame + bytes(4)) * 20_000)
        assert stream.closed()[0] in {1008, 4420}


def test_client_that_vanishes_gives_its_budget_back(strict: LiveServer) -> None:
    for _ in range(5):
        with opened(strict) as stream:
            stream.websocket.socket.sendall(half_a_frame(LIMIT))
            stream.websocket.socket.shutdown(socket.SHUT_RDWR)
    assert wait_until(lambda: streams_open(strict) == 0)
    with opened(strict) as stream:
        stream.send_frame(1, plain())
        stream.hear("result")


def test_restart_answers_accepted_frames_and_asks_to_reconnect(
    tmp_path: Path, colours: Path
) -> None:
    with serve(tmp_path, models=colours) as live:
        with opened(live) as busy, opened(live) as idle:
            slow = encoded(noise((1500, 1500)))
            for number in range(4):
                busy.send_frame(number, slow)
            busy.say("ping")
            busy.hear("pong")  # the frames before have arrived
            live.process.terminate()
            assert idle.hear("goodbye")["code"] == 1012
            assert idle.closed() == (1012, "restart")
            heard = [busy.hear("result", "goodbye") for _ in range(5)]
            assert [one["frame"] for one in heard if one["type"] == "result"] == [0, 1, 2, 3]
            assert busy.closed() == (1012, "restart")
        live.process.wait(STOP_SECONDS)
        assert "forced exit" not in live.events()
        assert "Traceback" not in live.events()
