"""A server behind a broker that answers frames of devices, and forgets messages on request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from client.sensors.links.paho_thread import PahoThread
from schemas.sensor_wire.frames import FrameDecoder, from_device
from schemas.sensor_wire.messages import Ack, Data, encode, parse
from schemas.sensors import SensorAnswer
from tests.support.waiting import PATIENCE

CREDIT_WINDOWS = 4


class MqttStandIn:
    """One sensor of one channel. Takes samples in order only: what is missing must come again.

    Attributes:
        forgets: called with the number of each message, from 0; True: it never arrived.
        windows: first sequence and first number of those that were answered.
    """

    def __init__(
        self, port: int, length: int, forgets: Callable[[int], bool] = lambda _: False
    ) -> None:
        self.windows: dict[int, float] = {}
        self.messages = 0
        self._length, self._forgets = length, forgets
        self._values: list[float] = []
        self._is_subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._exchange = PahoThread(self._client)
        self._exchange.start()
        assert self._is_subscribed.wait(PATIENCE)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._exchange.stop()

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe("potoo/sensors/+/data/+", qos=1)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        number, self.messages = self.messages, self.messages + 1
        if self._forgets(number):
            return
        name, epoch = message.topic.split("/")[2::2]
        decoder = FrameDecoder(from_device())
        for frame in decoder.feed(bytes(message.payload)):
            match parse(frame):
                case Data() as data if data.first <= len(self._values):
                    values = data.values(1)[len(self._values) - data.first :, 0]
                    self._values += map(float, values)
                    self._answer(name, int(epoch))
                case _:
                    pass
        safe = len(self.windows) * self._length
        ack = encode(Ack(safe, CREDIT_WINDOWS * self._length * 4))
        self._client.publish(f"potoo/sensors/{name}/ack/{epoch}", ack, qos=1)

    def _answer(self, name: str, epoch: int) -> None:
        while (first := len(self.windows) * self._length) + self._length <= len(self._values):
            self.windows[first] = self._values[first]
            answer = SensorAnswer(
                epoch=epoch,
                first_sequence=first,
                label="healthy",
                score=1.0,
                predictions=[],
                model="none",
                version=1,
                at=datetime.now(UTC),
                sampled_at=None,
            )
            topic = f"potoo/sensors/{name}/result"
            self._client.publish(topic, answer.model_dump_json(), qos=1)
