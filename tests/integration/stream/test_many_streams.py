"""A thousand idle streams: the server lives, answers others, and ends them in time."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.callers.accounts import bearer
from tests.support.callers.streams import PATH, PATIENCE, SUBPROTOCOL, opened
from tests.support.models.pictures import plain
from tests.support.servers.memory import Watch
from tests.support.servers.server import LiveServer, serve

COUNT, BATCH = 1000, 100
IDLE_SECONDS = 15
MOST_KIB = 100
"""Memory of one idle stream."""
FILES = COUNT + 500

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture
def files() -> Iterator[None]:
    """Permission to open that many sockets, here and in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("files")
def test_a_thousand_idle_streams(tmp_path: Path, colours: Path) -> None:
    with serve(
        tmp_path,
        models=colours,
        POTOO_LIMITS__STREAM_IDLE_SECONDS=str(IDLE_SECONDS),
        POTOO_LIMITS__STREAMS_PER_PRINCIPAL="0",
    ) as live:
        with opened(live) as stream:  # loads what the first stream needs
            stream.send_frame(1, plain())
            stream.hear("result")
        codes = asyncio.run(_hold(live))
        assert codes == {4408: COUNT}
        assert "Traceback" not in live.events()
        with opened(live) as stream:
            stream.send_frame(1, plain())
            stream.hear("result")


async def _hold(live: LiveServer) -> dict[int | None, int]:
    """Open the streams, check the server, and count the codes with which it closes them."""
    token, watch = live.token("classify stream"), Watch(live)
    address = live.url.replace("http://", "ws://") + PATH
    streams: list[ClientConnection] = []
    async with AsyncExitStack() as stack:

        async def open_one() -> None:
            websocket = await stack.enter_async_context(
                connect(
                    address,
                    subprotocols=[SUBPROTOCOL],
                    compression=None,
                    proxy=None,
                    open_timeout=PATIENCE,
                    additional_headers=bearer(token),
                )
            )
            await websocket.send(json.dumps({"type": "hello"}))
            await websocket.recv()
            streams.append(websocket)

        while len(streams) < COUNT:
            await asyncio.gather(*(open_one() for _ in range(BATCH)))
            for websocket in streams:  # those in front shall not get idle meanwhile
                await websocket.send(json.dumps({"type": "ping"}))
                await websocket.recv()
        assert watch.growth < COUNT * MOST_KIB / 1024
        async with httpx.AsyncClient(timeout=PATIENCE, headers=bearer(token)) as client:
            answer = await client.post(f"{live.url}/v1/classify", files={"file": plain()})
            assert answer.json()["predictions"][0]["label"] == "red"
            text = (await client.get(f"{live.url}/metrics")).text
            assert f"potoo_streams_in_flight {COUNT}.0" in text
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(websocket.wait_closed() for websocket in streams))
        codes = [websocket.close_code for websocket in streams]
    return {code: codes.count(code) for code in codes}
