"""Graceful shutdown: not ready, delay for load balancers, drain; forced by a second signal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from schemas.pb import open_inference_pb2 as pb
from tests.support.callers.raw_http import PATIENCE, Connection, get
from tests.support.callers.rpc import connected, tensor, told_to_go
from tests.support.callers.tensors import images
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ONE, TWO = (), ("--workers", "2")
LONG = "600"
"""Seconds; longer than a test, so that the drain does not end by itself."""
LONGEST = 2 * PATIENCE


@contextlib.contextmanager
def started(
    folder: Path, models: Path, arguments: tuple[str, ...], *, delay: str = "0", drain: str = LONG
) -> Iterator[LiveServer]:
    """A server whose processes are all ready."""
    with serve(
        folder,
        models=models,
        arguments=arguments,
        POTOO_GRPC_PORT="0",
        POTOO_DRAIN_DELAY_SECONDS=delay,
        POTOO_DRAIN_SECONDS=drain,
        POTOO_COMPATIBILITY__TORCHSERVE="true",
    ) as server:
        count = serving(arguments)
        assert wait_until(lambda: server.events().count('"event":"ready"') == count)
        yield server


def classify(server: LiveServer) -> bytes:
    """A complete request."""
    picture = plain()
    lines = (
        *("POST /v1/classify HTTP/1.1", "Host: a", "Content-Type: image/png"),
        *(f"Authorization: Bearer {server.token()}", f"Content-Length: {len(picture)}", "", ""),
    )
    return "\r\n".join(lines).encode() + picture


def processes(server: LiveServer) -> list[psutil.Process]:
    """The server process and its workers."""
    alone = psutil.Process(server.process.pid)
    return [alone, *(one for one in alone.children() if "spawn_main" in " ".join(one.cmdline()))]


def are_gone(all_of_it: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(all_of_it, timeout=PATIENCE)[1]


def are_told_to_go(server: LiveServer, arguments: tuple[str, ...]) -> bool:
    """Whether all processes drain; a request would reach only one of them."""
    return server.events().count('"event":"stopping"') == serving(arguments)


def serving(arguments: tuple[str, ...]) -> int:
    """Number of serving processes."""
    return int(arguments[-1]) if arguments else 1


# The delay


@pytest.mark.parametrize("arguments", [ONE, TWO], ids=["one process", "two workers"])
def test_stopping_server_is_not_ready_but_answers(
    tmp_path: Path, colours: Path, arguments: tuple[str, ...]
) -> None:
    with (
        started(tmp_path, colours, arguments, delay=LONG) as server,
        Connection(server.address) as kept,
        connected(server) as rpc,
    ):
        watch = HealthStub(rpc.channel).Watch(health_pb2.HealthCheckRequest(), timeout=LONGEST)
        assert next(watch).status == SERVING
        kept.send(GET)
        assert "connection" not in kept.answer().headers
        everything = processes(server)
        server.process.terminate()
        assert next(watch).status == NOT_SERVING
        assert wait_until(lambda: are_told_to_go(server, arguments))
        # Readiness fails, liveness does not.
        assert {get(server.address, "/readyz").status for _ in range(8)} == {503}
        assert get(server.address, "/v2/health/ready").status == 503
        assert get(server.address, "/ping").status == 500
        assert get(server.address, "/healthz").status == 200
        assert get(server.address, "/v2/health/live").status == 200
        assert not rpc.ask("ServerReady", pb.ServerReadyRequest()).ready
        assert rpc.ask("ServerLive", pb.ServerLiveRequest()).live
        # Requests on old and new connections succeed, with Connection: close.
        kept.send(GET)
        assert kept.answer().headers["connection"] == "close"
        with Connection(server.address) as fresh:
            fresh.send(classify(server))
            answer = fresh.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        with connected(server) as late:
            assert late.ask("ModelInfer", tensor(images(1))).outputs
        assert server.process.poll() is None
        tell_again(server, signal.SIGTERM)
        assert are_gone(everything)
    assert "a second signal" in server.events()
    assert "Traceback" not in server.events()


def test_server_drains_and_ends_after_the_delay(tmp_path: Path, colours: Path) -> None:
    with started(tmp_path, colours, ONE, delay="1") as server:
        server.process.terminate()
        assert server.process.wait(PATIENCE) in {0, -signal.SIGTERM}
    assert '"event":"stopping","accepting":1.0' in server.events()
    assert '"event":"stopped"' in server.events()


# No lost requests


@dataclass
class Crowd:
    """HTTP and gRPC clients that call until the server drains; counts responses."""

    server: LiveServer
    stop: Callable[[], None]
    """Called once, when both kinds have had many responses."""
    is_told: threading.Event = field(default_factory=threading.Event)
    counted: Counter[object] = field(default_factory=Counter)
    counting: threading.Lock = field(default_factory=threading.Lock)
    all_connected: threading.Barrier = field(
        default_factory=lambda: threading.Barrier(8, timeout=PATIENCE)
    )

    def run(self) -> None:
        asking = [self.ask_over_http, self.ask_over_grpc] * 4
        crowd = [threading.Thread(target=ask) for ask in asking]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(LONGEST)

    def note(self, answer: object) -> None:
        with self.counting:
            self.counted[answer] += 1
            if min(self.counted[200], self.counted["OK"]) >= 40 and not self.is_told.is_set():
                self.is_told.set()
                self.stop()

    def ask_over_http(self) -> None:
        request = classify(self.server)
        with Connection(self.server.address) as connection:
            self.all_connected.wait()
            while True:
                connection.send(request)
                answer = connection.answer()
                self.note(answer.status)
                if answer.headers.get("connection") == "close":
                    return

    def ask_over_grpc(self) -> None:
        call = tensor(images(4))
        with connected(self.server) as client:
            client.ask("ModelInfer", call)
            self.all_connected.wait()
            while True:
                try:
                    client.ask("ModelInfer", call)
                except grpc.RpcError as error:
                    self.note(told_to_go(error))
                    return
                self.note("OK")


@pytest.mark.parametrize("delay", ["0", "1"])
@pytest.mark.parametrize("arguments", [ONE, TWO], ids=["one process", "two workers"])
def test_accepted_requests_are_answered_during_shutdown(
    tmp_path: Path, colours: Path, arguments: tuple[str, ...], delay: str
) -> None:
    """All processes get the signal, as from systemd and a terminal."""
    with started(tmp_path, colours, arguments, delay=delay, drain="25") as server:
        everything = processes(server)

        def stop() -> None:
            for process in everything:
                process.terminate()

        crowd = Crowd(server, stop)
        crowd.run()
        assert server.process.wait(PATIENCE) in {0, -signal.SIGTERM}
        assert are_gone(everything)
    assert set(crowd.counted) == {200, "OK", "UNAVAILABLE"}
    assert crowd.counted["UNAVAILABLE"] == 4, "each of them once, when it was over"
    assert "forced exit" not in server.events()
    assert "Traceback" not in server.events()


# Forced end


@pytest.mark.parametrize("arguments", [ONE, TWO], ids=["one process", "two workers"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_a_long_drain(
    tmp_path: Path, colours: Path, arguments: tuple[str, ...], number: int
) -> None:
    with (
        started(tmp_path, colours, arguments) as server,
        Connection(server.address) as stuck,
    ):
        stuck.send(classify(server)[:-10])
        everything = processes(server)
        server.process.terminate()
        assert wait_until(lambda: not server.listens())
        assert server.process.poll() is None
        tell_again(server, number)
        assert are_gone(everything)
    assert "a second signal" in server.events()


def tell_again(server: LiveServer, number: int) -> None:
    """Repeat the signal until it is handled: simultaneous signals count as one."""

    def has_ended() -> bool:
        server.process.send_signal(number)
        return server.process.poll() is not None

    assert wait_until(has_ended)
    # A third one may reach the interpreter during its exit, without a handler.
    assert server.process.returncode in {128 + signal.SIGTERM, -number}


def test_workers_end_with_their_supervisor(tmp_path: Path, colours: Path) -> None:
    with started(tmp_path, colours, TWO) as server:
        everything = processes(server)
        assert len(everything) == 3
        server.process.kill()
        server.process.wait(PATIENCE)
        assert are_gone(everything[1:])
    assert server.events().count("the supervisor has exited") == 2
