"""Simulated devices: a connection each, in one process; over framed TCP or MQTT 3.1.1.

Prints ``measuring`` and ``measured`` when it does, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import uvloop

from benchmarks.streams.sensors.device import DOORS, Device, Tally
from benchmarks.streams.sensors.mqtt_devices import MqttDevice, MqttResults
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, FrameType
from schemas.sensor_wire.messages import Hello, encode

OUTSTANDING = 2
"""Windows of a device that wait for an answer, if no rate is given."""
START_SECONDS = 60.0
_FIRST = struct.Struct("<Q")


class TcpDevice(asyncio.Protocol):
    """A device on the framed port."""

    def __init__(self, device: Device, token: str) -> None:
        self._device, self._token = device, token
        self._decoder = FrameDecoder(FROM_SERVER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        opened = cast("asyncio.Transport", transport)
        self._device.send = opened.write
        hello = Hello(self._device.epoch, 0, self._device.name, self._token)
        opened.write(encode(hello))

    def data_received(self, data: bytes) -> None:
        """Take answers."""
        for frame in self._decoder.feed(data):
            if frame.type is FrameType.RESULT:
                self._device.answered(_FIRST.unpack_from(frame.payload)[0])
            elif frame.type is FrameType.ACK:
                self._device.acknowledged(frame.payload)
            else:
                self._device.tally.errors += 1
                print(self._device.name, frame, file=sys.stderr)

    def connection_lost(self, error: Exception | None) -> None:
        """Note an end that was not wanted."""
        del error
        if not self._device.is_ready.done():
            self._device.is_ready.set_exception(ConnectionError("ended before the first ACK"))


async def run(given: argparse.Namespace) -> dict[str, float]:
    """Connect, warm up, measure."""
    loop, tally = asyncio.get_running_loop(), Tally()
    devices = [Device(given.door, number, given.epoch, tally) for number in range(given.devices)]
    results: MqttResults | None = None
    if given.door == "mqtt":
        by_name = {device.name: device for device in devices}
        _, results = await loop.create_connection(
            lambda: MqttResults(by_name, given.topic), "127.0.0.1", given.port
        )
        await results.is_ready
    for device in devices:
        device.is_paced = given.rate > 0

        def make(device: Device = device) -> TcpDevice | MqttDevice:
            if given.door == "mqtt":
                return MqttDevice(device, given.topic)
            return TcpDevice(device, given.token)

        await loop.create_connection(make, "127.0.0.1", given.port)
        async with asyncio.timeout(START_SECONDS):
            await device.is_ready
    if results is not None:
        results.end_acks()
    if given.rate:
        pacing = loop.create_task(pace(devices, given.rate))
    else:
        for device in devices:
            for _ in range(OUTSTANDING):
                device.send_window()
    await asyncio.sleep(given.warm)
    print("measuring", flush=True)
    tally.is_open, began, cpu = True, time.monotonic(), _cpu()
    await asyncio.sleep(given.seconds)
    tally.is_open, seconds = False, time.monotonic() - began
    if given.rate:
        pacing.cancel()
    print("measured", flush=True)
    p50, p99 = np.percentile(tally.seconds or [np.nan], [50, 99]) * 1000
    return {
        "answers": tally.answers,
        "per_second": tally.answers / seconds,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "errors": tally.errors,
        "generator_cores": (_cpu() - cpu) / seconds,
    }


async def pace(devices: list[Device], rate: float) -> None:
    """Send ``rate`` windows a second, each from the next device."""
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate)
        while sent < due:
            devices[sent % len(devices)].send_window()
            sent += 1
        await asyncio.sleep(0.002)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def load(
    door: str, port: int, cpu: Callable[[], list[float]], **given: object
) -> tuple[dict[str, float], list[float]]:
    """Run devices in a process of their own.

    Args:
        cpu: seconds of CPU that were used so far, by what is measured.
        given: arguments of the command line.

    Returns:
        What was measured, and the seconds of CPU of that time.
    """
    command = [sys.executable, "-m", "benchmarks.streams.sensors.devices", door, str(port)]
    for name, value in given.items():
        command += [f"--{name}", str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = cpu()
        process.stdout.readline()
        used = [after - first for after, first in zip(cpu(), before, strict=True)]
        result: dict[str, float] = json.loads(process.stdout.readline())
    return result, used


def main() -> None:
    """Run the devices of the command line, and print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("port", type=int)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--token", default="")
    parser.add_argument("--topic", default="potoo")
    parser.add_argument("--rate", type=float, default=0, help="windows a second; 0: as answered")
    parser.add_argument("--warm", type=float, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
