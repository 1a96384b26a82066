"""Devices that send as fast as their credit allows, to measure what receiving costs.

The sensor's windows are so far apart that one in 512 frames' worth of samples is classified:
what is measured is sockets, frames, checksums and windows. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from typing import cast

import numpy as np
import uvloop

from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder
from schemas.sensor_wire.messages import Ack, Hello, Result, data_of, encode, parse

ROWS = 16_384
"""Samples of one channel in a frame: 64 KiB."""
STRIDE = 1_048_576
"""Samples between the starts of two windows."""
FLOAT_BYTES = 4


class FastDevice(asyncio.Protocol):
    """A device that is limited by its credit alone."""

    def __init__(self, name: str, epoch: int, token: str) -> None:
        self._hello = Hello(epoch, 0, name, token)
        self._decoder = FrameDecoder(FROM_SERVER)
        self._values = np.random.default_rng(0).normal(size=(ROWS, 1)).astype(np.float32)
        self._transport: asyncio.Transport | None = None
        self._limit, self._is_full = 0, False
        self.next = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(encode(self._hello))

    def data_received(self, data: bytes) -> None:
        """Take credit."""
        for frame in self._decoder.feed(data):
            message = parse(frame)
            if isinstance(message, Ack):
                self._limit = message.safe + message.credit // FLOAT_BYTES
                self._pump()
            elif not isinstance(message, Result):
                print(message, file=sys.stderr)

    def pause_writing(self) -> None:
        """Wait for the socket."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        self._pump()

    def _pump(self) -> None:
        assert self._transport is not None
        while not self._is_full and self.next + ROWS <= self._limit:
            self._transport.write(encode(data_of(self.next, self._values)))
            self.next += ROWS


async def run(given: argparse.Namespace) -> dict[str, float]:
    """Send for some seconds; return the bytes of samples that were sent."""
    loop, epoch = asyncio.get_running_loop(), time.time_ns() // 1_000_000
    devices = [FastDevice(name, epoch, given.token) for name in given.sensors]
    waiting = iter(devices)
    for _ in devices:
        await loop.create_connection(lambda: next(waiting), "127.0.0.1", given.port)
    await asyncio.sleep(given.warm)
    before = sum(device.next for device in devices)
    print("measuring", flush=True)
    await asyncio.sleep(given.seconds)
    return {"bytes": FLOAT_BYTES * (sum(device.next for device in devices) - before)}


def start(port: int, token: str, sensors: list[str], seconds: float) -> subprocess.Popen[str]:
    """Start the devices in a process; it prints ``measuring`` when ``seconds`` begin."""
    command = [sys.executable, "-m", "benchmarks.streams.sensors.ingest", str(port), *sensors]
    command += ["--token", token, "--seconds", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Run the devices of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("sensors", nargs="+")
    parser.add_argument("--token", required=True)
    parser.add_argument("--warm", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
