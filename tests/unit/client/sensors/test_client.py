from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.sensors import (
    Backoff,
    ClientClosed,
    NameInUse,
    NotAuthorized,
    SensorAnswer,
    SensorClient,
    StaleEpoch,
    Timing,
)
from schemas.sensor_wire.messages import Error
from tests.support.sensors.tcp.small_server import SmallServer
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio
SOON = Backoff(first=0.01, longest=0.05)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmallServer]:
    async with SmallServer(tmp_path / "server.db").serve() as found:
        yield found
    assert found.faults == []


def client(server: SmallServer, folder: Path, **options: Any) -> SensorClient:
    given: dict[str, Any] = {"channels": 1, "queue": folder / "queue", "backoff": SOON} | options
    given.setdefault("token", "t")
    return SensorClient(f"tcp://127.0.0.1:{server.port}", "pump-3", **given)


async def send(device: SensorClient, first: int, end: int) -> None:
    """Send samples whose number is their sequence."""
    assert await device.send(np.arange(first, end, dtype=np.float32)) == range(first, end)


def expected(end: int) -> dict[int, float]:
    return {first: float(first) for first in range(0, end, 100)}


async def test_every_window_is_answered_once(server: SmallServer, tmp_path: Path) -> None:
    answers: list[SensorAnswer] = []
    async with client(server, tmp_path, on_result=answers.append) as device:
        for first in range(0, 2000, 50):
            await send(device, first, first + 50)
        await asyncio.wait_for(device.wait_safe(2000), PATIENCE)
        assert device.status.is_connected

    assert [one.first_sequence for one in answers] == list(range(0, 2000, 100))
    assert server.results() == expected(2000)
    assert [one.token for one in server.hellos] == ["t"]


async def test_answers_are_an_iterator(server: SmallServer, tmp_path: Path) -> None:
    async with client(server, tmp_path) as device:
        await send(device, 0, 300)
        firsts = []
        async for answer in device.results():
            firsts.append(answer.first_sequence)
            if len(firsts) == 3:
                break

    assert firsts == [0, 100, 200]
    assert [one async for one in device.results()] == []


async def test_samples_far_beyond_the_credit_are_sent_as_it_grows(
    server: SmallServer, tmp_path: Path
) -> None:
    server.credit = 2
    async with client(server, tmp_path) as device:
        await send(device, 0, 100_000)
        await asyncio.wait_for(device.wait_safe(100_000), PATIENCE)

    assert server.results() == expected(100_000)
    assert server.repeated == server.gaps == 0


async def test_samples_wait_without_a_server(tmp_path: Path) -> None:
    server = SmallServer(tmp_path / "server.db")
    async with server.serve():
        port = server.port
    async with SensorClient(
        f"tcp://127.0.0.1:{port}", "pump-3", channels=1, queue=tmp_path / "queue", backoff=SOON
    ) as device:
        await send(device, 0, 1000)
        assert not device.status.is_connected
        server = SmallServer(tmp_path / "server.db")
        async with server.serve(port):
            await asyncio.wait_for(device.wait_safe(1000), PATIENCE)
            assert server.results() == expected(1000)
            await device.close()


async def test_broken_connections_lose_and_double_nothing(
    server: SmallServer, tmp_path: Path
) -> None:
    async with client(server, tmp_path) as device:
        for first in range(0, 20_000, 500):
            await send(device, first, first + 500)
            await eventually(lambda: device.status.is_connected)
            if first % 2000 == 0:
                server.drop_connections()
        await asyncio.wait_for(device.wait_safe(20_000), PATIENCE)

    assert server.results() == expected(20_000)
    assert len(server.hellos) > 5
    assert server.gaps == 0


async def test_another_life_sends_what_was_not_confirmed(
    server: SmallServer, tmp_path: Path
) -> None:
    server.answers = False
    async with client(server, tmp_path) as device:
        await send(device, 0, 250)
        await device.close(0.2)

    server.answers = True
    async with client(server, tmp_path) as device:
        await send(device, 250, 400)
        await asyncio.wait_for(device.wait_safe(400), PATIENCE)

    assert server.results() == expected(400)
    assert len({one.epoch for one in server.hellos}) == 1


async def test_close_sends_what_is_queued(server: SmallServer, tmp_path: Path) -> None:
    answers: list[SensorAnswer] = []
    async with client(server, tmp_path, on_result=answers.append) as device:
        await send(device, 0, 5050)

    assert server.results() == expected(5000)
    assert len(answers) == 50


async def test_close_without_a_server_ends_in_time(tmp_path: Path) -> None:
    device = SensorClient("tcp://127.0.0.1:9", "pump-3", channels=1, queue=tmp_path / "queue")
    async with device:
        await send(device, 0, 100)
        async with asyncio.timeout(PATIENCE):
            await device.close(0.1)
    with pytest.raises(ClientClosed):
        await device.send([1.0])


@pytest.mark.parametrize(
    ("code", "kind"),
    [("unauthenticated", NotAuthorized), ("in_use", NameInUse), ("stale_epoch", StaleEpoch)],
)
async def test_a_lasting_refusal_stops_a_client_that_shall_not_retry(
    server: SmallServer, tmp_path: Path, code: str, kind: type[Exception]
) -> None:
    server.refuses = lambda _: Error(code, "No.", fatal=True)
    async with client(server, tmp_path, retries_refusals=False) as device:
        with pytest.raises(kind, match=r"No\."):
            await device.connected()
        with pytest.raises(ClientClosed):
            await device.send([1.0])
        with pytest.raises(kind):
            await anext(device.results())


async def test_refusals_are_retried_while_samples_are_kept(
    server: SmallServer, tmp_path: Path
) -> None:
    server.refuses = lambda _: (
        Error("not_found", "No.", fatal=True) if len(server.hellos) < 4 else None
    )
    async with client(server, tmp_path) as device:
        await send(device, 0, 100)
        await asyncio.wait_for(device.wait_safe(100), PATIENCE)
        assert device.status.problem is None

    assert len(server.hellos) == 4


async def test_a_token_is_renewed_within_the_stream(server: SmallServer, tmp_path: Path) -> None:
    def token() -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 0.5}).encode())
        return f"e30.{claims.decode().rstrip('=')}.sig"

    async with client(server, tmp_path, token=token) as device:
        await asyncio.wait_for(device.connected(), PATIENCE)
        await eventually(lambda: len(server.tokens) > 0)

    assert len(server.hellos) == 1


async def test_a_silent_server_is_asked_and_then_left(tmp_path: Path) -> None:
    hellos: list[bytes] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hellos.append(await reader.read(10))
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    timing = Timing(handshake=0.1)
    async with (
        listening,
        SensorClient(
            f"tcp://127.0.0.1:{port}",
            "pump-3",
            channels=1,
            queue=tmp_path / "queue",
            backoff=SOON,
            timing=timing,
        ),
    ):
        await eventually(lambda: len(hellos) >= 3)


async def test_an_idle_connection_is_kept_alive(server: SmallServer, tmp_path: Path) -> None:
    async with client(server, tmp_path, timing=Timing(silence=0.02)) as device:
        await asyncio.wait_for(device.connected(), PATIENCE)
        before = device._stream
        assert before is not None
        heard = before.last_heard
        await eventually(lambda: before.last_heard > heard)
        assert device._stream is before


async def test_numbers_that_the_disk_lost_begin_another_epoch(
    server: SmallServer, tmp_path: Path
) -> None:
    async with client(server, tmp_path) as device:
        await send(device, 0, 1000)
        await asyncio.wait_for(device.wait_safe(1000), PATIENCE)
    # A power failure: the newest samples are not on the disk, though the server has them.
    (file,) = (tmp_path / "queue").glob("*.samples")
    with file.open("r+b") as writable:
        writable.truncate(2000)
    async with client(server, tmp_path) as device:
        await device.send(np.arange(5000, 5300, dtype=np.float32))
        await eventually(lambda: device.status.safe == 300)

    epochs = [one.epoch for one in server.hellos]
    assert epochs[-1] > epochs[0] == epochs[1]
    query = "select first, value from results where epoch = ?"
    found = server._store.execute(query, [epochs[-1]]).fetchall()
    assert found == [(0, 5000.0), (100, 5100.0), (200, 5200.0)]


async def test_a_full_queue_becomes_a_gap_that_the_server_sees(
    server: SmallServer, tmp_path: Path
) -> None:
    server.refuses = lambda _: Error("not_ready", "Later.", fatal=True)
    async with client(server, tmp_path, queue_bytes=2**20, sync_seconds=None) as device:
        for first in range(0, 500_000, 10_000):
            await send(device, first, first + 10_000)
        dropped = device.status.dropped
        assert dropped > 100_000
        server.refuses = lambda _: None
        await asyncio.wait_for(device.wait_safe(500_000), PATIENCE)

    begin = -(-dropped // 100) * 100
    assert server.gaps == dropped
    assert sorted(server.results()) == list(range(begin, 500_000, 100))


@pytest.mark.parametrize("sync_seconds", [0.02, None])
async def test_samples_are_sent_with_other_kinds_of_syncing(
    server: SmallServer, tmp_path: Path, sync_seconds: float | None
) -> None:
    async with client(server, tmp_path, sync_seconds=sync_seconds) as device:
        await send(device, 0, 1000)
        await asyncio.wait_for(device.wait_safe(1000), PATIENCE)


async def test_an_error_of_the_callback_stops_the_client(
    server: SmallServer, tmp_path: Path
) -> None:
    def fail(_: SensorAnswer) -> None:
        raise KeyError("mine")

    async with client(server, tmp_path, on_result=fail) as device:
        await send(device, 0, 100)
        with pytest.raises(ClientClosed, match="mine"):
            await device.wait_safe(1000)
        with pytest.raises(ClientClosed):
            await device.send([1.0])


async def test_samples_that_are_not_on_disk_are_not_sent(
    server: SmallServer, tmp_path: Path
) -> None:
    async with client(server, tmp_path, sync_seconds=3600) as device:
        await asyncio.wait_for(device.connected(), PATIENCE)
        await send(device, 0, 100)
        stream = device._stream
        assert stream is not None
        await stream.ask()
        assert server.results() == {}

        await device.sent()

        await asyncio.wait_for(device.wait_safe(100), PATIENCE)
    assert server.results() == expected(100)
