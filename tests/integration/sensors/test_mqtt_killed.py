"""Messages that a real broker sends again after a kill, and their count in the server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT
from tests.support.results.mosquitto import Mosquitto, listening, mosquitto

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


async def lines(process: asyncio.subprocess.Process, number: int) -> list[str]:
    """The first lines that a process prints."""
    assert process.stdout
    return [(await process.stdout.readline()).decode().strip() for _ in range(number)]


async def start(broker: Mosquitto, acknowledged: int) -> asyncio.subprocess.Process:
    module = "tests.support.sensors.mqtt.subscriber"
    arguments = (str(broker.port), "killed/data", str(acknowledged))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def test_message_that_was_not_acknowledged_comes_again_after_kill_9(
    broker: Mosquitto,
) -> None:
    first = await start(broker, acknowledged=2)
    try:
        assert await lines(first, 1) == ["ready"]
        with listening(broker.port) as publisher:
            for number in range(1, 6):
                publisher.publish("killed/data", str(number))
            seen = await lines(first, 6)
    finally:
        first.kill()
        await first.wait()
    assert sorted(seen) == ["1 0", "2 0", "3 0", "4 0", "5 0", "done"]
    second = await start(broker, acknowledged=0)
    try:
        again = await lines(second, 4)
    finally:
        second.kill()
        await second.wait()
    assert sorted(again) == ["3 1", "4 1", "5 1", "ready"]
