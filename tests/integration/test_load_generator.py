"""The load generator of ``potoo calibrate`` against a real server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from service.calibrate.load import Target, closed_loop, open_loop, percentile
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.anyio


def target(server: LiveServer, path: str = "/v1/classify", body: bytes | None = None) -> Target:
    return Target.post(f"{server.url}{path}", body or plain(), "image/png", server.token())


async def test_a_closed_loop_keeps_every_client_busy(server: LiveServer) -> None:
    load = await closed_loop(target(server), clients=4, seconds=0.5)
    assert load.offered == len(load.latencies) == load.statuses[200] >= 4
    assert load.failed == 0
    assert 0 < load.percentile(50) <= load.percentile(95)
    assert load.per_second * load.seconds == pytest.approx(load.offered)
    assert 0 < load.own_cores < 2


async def test_an_open_loop_offers_its_rate_whatever_is_answered(server: LiveServer) -> None:
    load = await open_loop(target(server), rate=40, seconds=0.5)
    assert load.offered == sum(load.statuses.values()) == 20


async def test_other_answers_are_counted_apart(server: LiveServer) -> None:
    load = await closed_loop(target(server, "/v1/classify?model=no-such"), 2, 0.2)
    assert set(load.statuses) == {404}
    assert load.failed == load.offered == len(load.refusal_latencies)
    assert load.percentile(95) == float("inf")


async def test_a_server_that_hangs_up_is_counted_and_not_waited_for() -> None:
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


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 95), percentile(values, 100)) == (
        51,
        96,
        100,
    )
