"""Load over a WebSocket, and the figures of ``make bench-streams``."""

from __future__ import annotations

import psutil
import pytest

from benchmarks.streams.freshness import Freshness
from benchmarks.streams.throughput import Throughput
from benchmarks.streams.websocket_load import StreamLoad, stream
from benchmarks.support.subject import Subject
from tests.support.servers.server import LiveServer


def load(p50_ms: float, p99_ms: float) -> StreamLoad:
    return StreamLoad(10, p50_ms, p99_ms, 10, 30, 0, 0.1)


def test_age_is_in_service_times_of_the_same_round() -> None:
    measured = Freshness(
        [load(10, 12), load(20, 30), load(10, 20)], [load(15, 20), load(25, 60), load(20, 50)]
    )
    assert measured.in_service_times() == 3
    assert measured.in_service_times("p50_ms") == 1.5
    assert measured.p99_over_alone() == 2
    assert "75% dropped" in measured.line()


def test_throughput_is_compared_round_by_round() -> None:
    http = [{"per_second": rate, "cpu_ms": 2.0} for rate in (100, 50, 200)]
    streamed = [{"per_second": rate, "cpu_ms": 1.0} for rate in (90, 50, 220)]
    measured = Throughput(http, streamed)
    assert measured.over_http() == 1
    assert measured.as_json()["cpu_over_http"] == 0.5


@pytest.mark.process
def test_frames_are_sent_and_counted(server: LiveServer) -> None:
    subject = Subject(server.url, server.token("stream"), 0, psutil.Process(server.process.pid))
    found = stream(subject, "all", 1)
    assert found.answered > 10
    assert (found.dropped, found.errors) == (0, 0)
    assert 0 < found.p50_ms <= found.p99_ms
    found = stream(subject, "latest", 1, rate=10 * found.per_second)
    assert found.answered > 1
    assert found.dropped > 1
    assert found.errors == 0
