"""The device library through a real broker, with a server that forgets messages."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from client.sensors import Backoff, Disconnected, SensorAnswer, SensorClient, Timing
from tests.support.processes.open_files import many_files
from tests.support.results.mosquitto import PASSWORD, USERNAME, Mosquitto, mosquitto
from tests.support.sensors.documented import python_programs, run_program
from tests.support.sensors.mqtt.stand_in import MqttStandIn
from tests.support.servers.databases import free_port
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio
LENGTH = 100
QUICK = Timing(handshake=1, silence=2, answer=1, stall=0.1, quiet=0.1)
SOON = Backoff(first=0.02, longest=0.1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


Serve = Callable[..., MqttStandIn]


@pytest.fixture
def serve(broker: Mosquitto) -> Iterator[Serve]:
    """Start a server at the broker."""
    servers: list[MqttStandIn] = []

    def start(forgets: Callable[[int], bool] = lambda _: False) -> MqttStandIn:
        servers.append(MqttStandIn(broker.port, LENGTH, forgets))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def client(broker: Mosquitto, folder: Path, answers: list[SensorAnswer]) -> SensorClient:
    return SensorClient(
        f"mqtt://127.0.0.1:{broker.port}",
        "pump-3",
        channels=1,
        queue=folder / "queue",
        on_result=answers.append,
        timing=QUICK,
        backoff=SOON,
    )


def expected(end: int) -> dict[int, float]:
    return {first: float(first) for first in range(0, end, LENGTH)}


async def test_windows_are_answered_through_a_broker(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    server, answers = serve(), list[SensorAnswer]()
    async with client(broker, tmp_path, answers) as device:
        await device.send(np.arange(2050))

    assert server.windows == expected(2000)
    assert [one.first_sequence for one in answers] == list(expected(2000))


async def test_device_with_a_thousand_other_files_is_answered(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    with many_files():
        server, answers = serve(), list[SensorAnswer]()
        async with client(broker, tmp_path, answers) as device:
            await device.send(np.arange(500))
            await device.wait_safe(500)
            assert device.status.connections == 1
        server.close()
    assert server.windows == expected(500)


async def test_messages_that_never_arrive_are_sent_again(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda number: number % 3 == 1)
    async with client(broker, tmp_path, []) as device:
        for first in range(0, 2000, 50):
            await device.send(np.arange(first, first + 50))
        await asyncio.wait_for(device.wait_safe(2000), PATIENCE)

    assert server.windows == expected(2000)


async def test_a_device_waits_for_a_server_behind_the_broker(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    async with client(broker, tmp_path, []) as device:
        await device.send(np.arange(100))
        await eventually(lambda: device.status.problem is not None)
        assert device.status.sent == 0
        server = serve()
        await asyncio.wait_for(device.wait_safe(100), PATIENCE)

    assert server.windows == expected(100)


async def problem(url: str, folder: Path, tls: ssl.SSLContext | None = None) -> str:
    """Why there is no connection."""
    async with SensorClient(url, "a", channels=1, queue=folder, tls=tls, backoff=SOON) as device:
        await eventually(lambda: device.status.problem is not None)
        assert isinstance(device.status.problem, Disconnected)
        return str(device.status.problem)


async def test_a_broker_that_is_away_or_refuses_is_reported(
    broker: Mosquitto, tmp_path: Path
) -> None:
    url = f"mqtts://{USERNAME}:wrong@localhost:{broker.tls_port}"
    tls = ssl.create_default_context(cafile=broker.ca_file)

    assert "Connection refused" in await problem(f"mqtt://127.0.0.1:{free_port()}", tmp_path)
    assert "Not authorized" in await problem(url, tmp_path, tls)


async def test_a_broker_with_tls_and_password_takes_the_device(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    password = PASSWORD.replace(" ", "%20")
    url = f"mqtts://{USERNAME}:{password}@localhost:{broker.tls_port}"
    tls = ssl.create_default_context(cafile=broker.ca_file)
    server = serve()
    async with SensorClient(
        url, "pump-3", channels=1, queue=tmp_path, tls=tls, timing=QUICK
    ) as device:
        await device.send(np.arange(100))
        await asyncio.wait_for(device.wait_safe(100), PATIENCE)

    assert server.windows == expected(100)


async def test_the_documented_program_sends_through_a_broker(
    broker: Mosquitto, serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    (program,) = (one for one in python_programs() if "mqtt://" in one)
    run_program(program.replace("127.0.0.1:1883", f"127.0.0.1:{broker.port}"), tmp_path)

    assert server.windows == expected(1000)
