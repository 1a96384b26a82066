"""The load generator of ``potoo calibrate`` against a real server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from service.calibrate.load import Target, closed_loop, open_loop, percentile
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

pytestmark = [pytest.mark.anyio, pytest.mark.alone]


def target(server: LiveServer, path: str = "/v1/classify", body: bytes | None = None) -> Target:
    return Target.post(f"{server.url}{path}", body or plain(), "image/png", server.token())


async def test_a_closed_loop_keeps_every_client_busy(server: LiveServer) -> None:
    load = await closed_loop(target(server), clients=4, seconds=0.5)
    assert load.offered == len(load.latencies) == load.statuses[200] >= 4
    assert load.failed == 0
    assert 0 < load.percentile(50) <= load.percentile(95)
    assert load.per_second * load.seconds == pytest.approx(load.offered)
    assert 0 < load.own_cores < 2


async def test_open_loop_offers_its_rate_regardless_of_answers(server: LiveServer) -> None:
    load = await open_loop(target(server), rate=40, seconds=0.5)
    assert load.offered == sum(load.statuses.values()) == 20


async def test_failed_answers_are_counted_separately(server: LiveServer) -> None:
    load = await closed_loop(target(server, "/v1/classify?model=no-such"), 2, 0.2)
    assert set(load.statuses) == {404}
    assert load.failed == load.offered == len(load.refusal_latencies)
    assert load.percentile(95) == float("inf")


async def test_closed_connection_is_counted_as_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.recv(100)
                connection.close()

        hanging = asyncio.create_task(asyncio.to_thread(hang_up))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        load = await closed_loop(Target.post(url, b"x", "image/png", "t"), 2, 0.1)
        await hanging
    assert load.statuses[0] == load.failed == 2


def test_percentiles_use_the_nearest_rank() -> None:
    hundred = [float(number) for number in range(100, 0, -1)]
    found = [percentile(hundred, percent) for percent in (0, 1, 50, 50.1, 95, 100)]
    assert found == [1, 1, 50, 51, 95, 100]
    five = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(five, percent) for percent in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert (percentile([7.0], 50), percentile([], 50)) == (7, float("inf"))
