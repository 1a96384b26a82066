"""Simulated devices: a connection each, in one process; over framed TCP or MQTT 3.1.1.

Packets of MQTT are written by hand: a thousand clients of a library would cost more than the
server that is measured. Prints one JSON line.
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
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import uvloop

from benchmarks.streams.sensors import windows
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, FrameType
from schemas.sensor_wire.messages import Hello, Ping, data_of, encode

DOORS = ("tcp", "mqtt")
OUTSTANDING = 2
"""Windows of a device that wait for an answer, if no rate is given."""
START_SECONDS = 60.0
PUBLISH, SUBACK = 3, 9
"""Types of MQTT packets."""
_FIRST = struct.Struct("<Q")
ACK = struct.Struct("<QI")
"""First sequence that is needed, and credit."""


@dataclass
class Tally:
    """Answers of all devices while it is open."""

    is_open: bool = False
    answers: int = 0
    errors: int = 0
    seconds: list[float] = field(default_factory=list)

    def count(self, sent: float | None) -> None:
        """Count an answer; ``sent``: when its window was sent."""
        if self.is_open and sent is not None:
            self.answers += 1
            self.seconds.append(time.monotonic() - sent)


class Device:
    """One sensor's windows: numbers them, and remembers when each was sent."""

    def __init__(self, door: str, number: int, epoch: int, tally: Tally) -> None:
        self.name, self.epoch, self.tally = name_of(door, number), epoch, tally
        self.send: Callable[[bytes], None] = lambda _: None
        self.is_paced = False
        self.is_ready = asyncio.get_running_loop().create_future()
        self._sent: dict[int, float] = {}
        self._next, self._window = 0, number

    def acknowledged(self, payload: bytes) -> None:
        """Go on where the run before has ended; of the first ACK."""
        if not self.is_ready.done():
            self._next = ACK.unpack(payload)[0]
            self.is_ready.set_result(None)

    def send_window(self) -> None:
        """Send the next window."""
        values = WINDOWS[self._window % len(WINDOWS)]
        first, self._next, self._window = self._next, self._next + len(values), self._window + 1
        self._sent[first] = time.monotonic()
        self.send(encode(data_of(first, values)))

    def answered(self, first: int) -> None:
        """Take the answer for a window."""
        self.tally.count(self._sent.pop(first, None))
        if not self.is_paced:
            self.send_window()


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


class MqttDevice(asyncio.Protocol):
    """A device that publishes with QoS 1."""

    def __init__(self, device: Device, topic: str) -> None:
        self._device, self._held, self._id = device, bytearray(), 0
        self._topic = f"{topic}/sensors/{device.name}/data/{device.epoch}".encode()
        self._transport: asyncio.Transport | None = None
        self._is_accepted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        opened = self._transport = cast("asyncio.Transport", transport)
        self._device.send = self._publish
        name = self._device.name.encode()
        body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name
        opened.write(b"\x10" + remaining(len(body)) + body)

    def _publish(self, frame: bytes) -> None:
        assert self._transport is not None
        self._id = self._id % 65_535 + 1
        head = struct.pack(">H", len(self._topic)) + self._topic + struct.pack(">H", self._id)
        self._transport.write(b"\x32" + remaining(len(head) + len(frame)) + head + frame)

    def data_received(self, data: bytes) -> None:
        """Ask for an ACK after CONNACK; PUBACKs follow."""
        del data
        if not self._is_accepted:
            self._is_accepted = True
            self._publish(encode(Ping()))

    def connection_lost(self, error: Exception | None) -> None:
        """Note an end that was not wanted."""
        self._device.tally.errors += error is not None


class MqttResults(asyncio.Protocol):
    """Subscribes to the results of all devices with QoS 0; before these, to their ACKs."""

    def __init__(self, devices: dict[str, Device], topic: str) -> None:
        self._devices, self._topic, self._held = devices, topic, b""
        self._transport: asyncio.Transport | None = None
        self.is_ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce itself."""
        opened = self._transport = cast("asyncio.Transport", transport)
        body = b"\0\4MQTT\4\2\0\0\0\7results"
        opened.write(b"\x10" + remaining(len(body)) + body)
        for last in ("result", "ack/+"):
            name = f"{self._topic}/sensors/+/{last}".encode()
            body = b"\0\1" + struct.pack(">H", len(name)) + name + b"\0"
            opened.write(b"\x82" + remaining(len(body)) + body)

    def end_acks(self) -> None:
        """Unsubscribe from ACKs: the answers tell when to send."""
        assert self._transport is not None
        name = f"{self._topic}/sensors/+/ack/+".encode()
        body = b"\0\2" + struct.pack(">H", len(name)) + name
        self._transport.write(b"\xa2" + remaining(len(body)) + body)

    def data_received(self, data: bytes) -> None:
        """Take answers of all devices."""
        data = self._held + data
        at = 0
        while (packet := packet_at(data, at)) is not None:
            kind, start, stop = packet
            if kind >> 4 == SUBACK and not self.is_ready.done():
                self.is_ready.set_result(None)
            elif kind >> 4 == PUBLISH:
                (length,) = struct.unpack_from(">H", data, start)
                topic = data[start + 2 : start + 2 + length].decode().split("/")
                self._take(topic, data[start + 2 + length : stop])
            at = stop
        self._held = data[at:]

    def _take(self, topic: list[str], payload: bytes) -> None:
        if topic[-1] == "result":
            if (device := self._devices.get(topic[-2])) is not None:
                device.answered(json.loads(payload)["first_sequence"])
        elif (device := self._devices.get(topic[-3])) is not None:
            for frame in FrameDecoder(FROM_SERVER).feed(payload):
                if frame.type is FrameType.ACK:
                    device.acknowledged(frame.payload)
                else:
                    device.tally.errors += 1
                    print(device.name, frame, file=sys.stderr)


def remaining(length: int) -> bytes:
    """Encode a remaining length (MQTT 3.1.1, section 2.2.3)."""
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(encoded)


def packet_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return first byte, start and stop of the body of a packet; None if it is incomplete."""
    length, shift, place = 0, 0, at + 1
    while place < len(data):
        length |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
        if not data[place - 1] & 0x80:
            return (data[at], place, place + length) if place + length <= len(data) else None
    return None


def name_of(door: str, number: int) -> str:
    """Return the name of a sensor; each door has its own."""
    return f"{door}-{number:04d}"


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


WINDOWS = windows.samples()


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
