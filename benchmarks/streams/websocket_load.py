"""WebSocket load: one stream of one photo, in a process of its own.

Without a rate a frame is sent for every credit (closed loop); with one, frames are sent at that
rate while there are credits (open loop).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.support import photo
from benchmarks.support.subject import ROOT, Subject
from service.calibrate.load import percentile

SUBPROTOCOL = Subprotocol("potoo.v1")
# Frames are written ready-made, with a mask of zeros: the load takes cores from the server.
_BINARY, _MASK = b"\x82\xff", bytes(4)


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """One measurement. ``p50_ms``, ``p99_ms``: age of the answered frames at their answer."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    dropped: int
    errors: int
    generator_cores: float


def stream(
    server: Subject, mode: str, seconds: float, *, most_unanswered: int = 1000, rate: float = 0.0
) -> StreamLoad:
    """Stream frames to a server.

    Args:
        mode: option of the stream, ``all`` or ``latest``.
        most_unanswered: frames without an answer, if the server grants more.
        rate: frames a second; 0 for as many as there are credits.
    """
    address = server.url.replace("http://", "ws://") + "/v1/stream"
    command = [sys.executable, "-m", "benchmarks.streams.websocket_load"]
    command += [address, server.token, mode, str(seconds), str(most_unanswered), str(rate)]
    output = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    return StreamLoad(**json.loads(output))


class _Client:
    """One stream and what it has heard."""

    def __init__(self, websocket: ClientConnection, most_credits: int) -> None:
        self._websocket, self._image = websocket, photo.jpeg()
        self._head = _BINARY + (8 + len(self._image)).to_bytes(8, "big") + _MASK
        self._most, self._open, self._number = most_credits, 0, 0
        self._has_credit = asyncio.Event()
        self.ages: list[float] = []
        self.dropped = self.errors = 0

    async def hello(self, mode: str) -> None:
        await self._websocket.send(json.dumps({"type": "hello", "options": {"mode": mode}}))
        welcome = json.loads(await self._websocket.recv())
        self._most = min(self._most, welcome["credits"])
        self._has_credit.set()

    async def send_all(self, until: float, rate: float) -> None:
        due = time.monotonic()
        while time.monotonic() < until:
            if rate:
                due += 1 / rate
                await asyncio.sleep(due - time.monotonic())
                if not self._has_credit.is_set():
                    continue
            await self._has_credit.wait()
            self._open += 1
            if self._open >= self._most:
                self._has_credit.clear()
            self._number += 1
            self._websocket.transport.write(
                self._head + self._number.to_bytes(8, "big") + self._image
            )

    async def hear_all(self) -> None:
        async for text in self._websocket:
            message = json.loads(text)
            if message["type"] == "result":
                self.ages.append(message["age_ms"])
            elif message["type"] == "dropped":
                self.dropped += 1
            else:
                self.errors += 1
            self._open -= message.get("credits", 0)
            self._has_credit.set()


async def _run(address: str, token: str, mode: str, most: int, load: tuple[float, float]) -> None:
    seconds, rate = load
    async with connect(
        address,
        subprotocols=[SUBPROTOCOL],
        compression=None,
        proxy=None,
        additional_headers={"Authorization": f"Bearer {token}"},
    ) as websocket:
        client = _Client(websocket, most)
        await client.hello(mode)
        began, cpu = time.monotonic(), os.times()
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(client.hear_all())
            await client.send_all(began + seconds, rate)
            hearing.cancel()
        took, after = time.monotonic() - began, os.times()
        used = after.user + after.system - cpu.user - cpu.system
    found = StreamLoad(
        per_second=len(client.ages) / took,
        p50_ms=percentile(client.ages, 50),
        p99_ms=percentile(client.ages, 99),
        answered=len(client.ages),
        dropped=client.dropped,
        errors=client.errors,
        generator_cores=used / took,
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    given = sys.argv
    load = float(given[4]), float(given[6])
    asyncio.run(_run(given[1], given[2], given[3], int(given[5]), load))
