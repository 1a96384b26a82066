"""Devices on a broker, with MQTT 3.1.1.

Packets are written by hand: a thousand clients of a library would cost more than the server that is
measured.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from typing import cast

from benchmarks.streams.sensors.device import Device
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, FrameType
from schemas.sensor_wire.messages import Ping, encode

PUBLISH, SUBACK = 3, 9
"""Types of packets."""


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
