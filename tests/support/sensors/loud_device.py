"""A device that sends windows for the model ``loudest`` over a real socket, one at a time."""

from __future__ import annotations

import socket

import numpy as np

from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder, FrameType
from schemas.sensor_wire.messages import Hello, Message, data_of, encode, parse
from tests.support.sensors.tiny_series import LENGTH


class LoudDevice:
    """Sends windows in which one channel is the loudest."""

    def __init__(self, port: int, token: str, sensor: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._decoder = FrameDecoder(FROM_SERVER)
        self._messages: list[Message] = []
        self._socket.sendall(encode(Hello(1, 0, sensor, token)))
        self._until(FrameType.ACK)
        self._next = 0

    def send(self, loudest: int, *, skip: int = 0) -> None:
        """Send a window, and wait for its answer; ``skip``: samples that are lost before it."""
        values = np.random.default_rng(0).normal(5, 1, (LENGTH, 3)).astype(np.float32)
        values[:, loudest] += 100
        self._next += skip
        self._socket.sendall(encode(data_of(self._next, values)))
        self._next += LENGTH
        self._until(FrameType.RESULT)

    def close(self) -> None:
        self._socket.close()

    def _until(self, kind: FrameType) -> None:
        while True:
            for number, message in enumerate(self._messages):
                if message.kind is kind:
                    del self._messages[: number + 1]
                    return
            piece = self._socket.recv(65_536)
            assert piece, "the server ended the connection"
            self._messages += [parse(frame) for frame in self._decoder.feed(piece)]
